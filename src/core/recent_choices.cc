#include "core/recent_choices.h"

#include <functional>

namespace postgen {
namespace {

// A number holds no colon, so that no two pairs have one name.
std::string NameOf(std::string_view tenant, std::int64_t kol) {
  return std::to_string(kol) + ':' + std::string(tenant);
}

std::size_t HashOf(std::string_view text) { return std::hash<std::string_view>()(text); }

}  // namespace

std::uint64_t RecentChoices::LastChosen(std::string_view tenant, std::int64_t kol,
                                        std::string_view text) const {
  const auto found = by_name_.find(NameOf(tenant, kol));
  if (found == by_name_.end()) return 0;
  const std::size_t hash = HashOf(text);
  std::uint64_t last = 0;
  for (const Choice& choice : found->second->choices) {
    if (choice.text == hash && choice.number > last) last = choice.number;
  }
  return last;
}

void RecentChoices::Add(std::string_view tenant, std::int64_t kol, std::string_view text) {
  std::string name = NameOf(tenant, kol);
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) {
    kols_.splice(kols_.begin(), kols_, found->second);
  } else {
    if (kols_.size() >= kKols) {
      by_name_.erase(kols_.back().name);
      kols_.pop_back();
    }
    kols_.emplace_front().name = name;
    by_name_.emplace(std::move(name), kols_.begin());
  }
  Kol& used = kols_.front();
  used.choices[used.next] = {HashOf(text), ++last_number_};
  used.next = (used.next + 1) % kTexts;
}

}  // namespace postgen
