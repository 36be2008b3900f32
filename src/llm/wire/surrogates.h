// Escaped characters beyond U+FFFF are two halves (😀 is "\ud83d\ude00"), and some servers
// send one half at the end of a delta and the other at the start of the next. Neither delta is
// valid JSON text alone.
#ifndef POSTGEN_SRC_LLM_WIRE_SURROGATES_H_
#define POSTGEN_SRC_LLM_WIRE_SURROGATES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace postgen {

struct LoneSurrogate {
  std::size_t offset = 0;  // of its backslash
  bool high = false;       // the first half of a pair
};

// The first escaped half without its partner in a JSON document.
std::optional<LoneSurrogate> FindLoneSurrogate(std::string_view json);

// Moves a high half from the end of one document's string to the front of a later one's.
class SurrogateJoiner {
 public:
  // Takes a lone high half from the end of a string and keeps it; std::nullopt: there is none to
  // take. Else the document without it.
  std::optional<std::string> TakeHigh(std::string_view json);

  // Puts the half that is held before a lone low half at the start of a string; std::nullopt: there
  // is no such place, the half stays held. Else the document with the pair.
  std::optional<std::string> PutHigh(std::string_view json);

  bool holding() const { return !held_.empty(); }
  void Clear() { held_.clear(); }

 private:
  std::string held_;  // "\ud83d" as it was written
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_SURROGATES_H_
