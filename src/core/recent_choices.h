// The texts that were last chosen for each KOL, so that a text from the cache is not posted twice
// in a row under one name. In memory and bounded: a restart, or another process, knows nothing of
// it.
#ifndef POSTGEN_SRC_CORE_RECENT_CHOICES_H_
#define POSTGEN_SRC_CORE_RECENT_CHOICES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace postgen {

// Not thread-safe.
class RecentChoices {
 public:
  static constexpr std::size_t kTexts = 20;    // of a KOL: two rounds of the most versions
  static constexpr std::size_t kKols = 10000;  // of all tenants; the one unused for longest goes

  RecentChoices() = default;
  RecentChoices(const RecentChoices&) = delete;
  RecentChoices& operator=(const RecentChoices&) = delete;

  // A number that rises with each choice; 0: not among the last ones.
  std::uint64_t LastChosen(std::string_view tenant, std::int64_t kol, std::string_view text) const;
  void Add(std::string_view tenant, std::int64_t kol, std::string_view text);

 private:
  struct Choice {
    std::size_t text = 0;  // a hash: a wrong likeness only makes another version come first
    std::uint64_t number = 0;
  };
  struct Kol {
    std::string name;
    std::array<Choice, kTexts> choices;  // a ring
    std::size_t next = 0;
  };

  std::list<Kol> kols_;  // most recently used first
  std::unordered_map<std::string, std::list<Kol>::iterator> by_name_;
  std::uint64_t last_number_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_RECENT_CHOICES_H_
