// When a reply that is still coming has text enough: the first sentence of its body that ends
// beyond the word limit is over. HoldWordLimit then makes of it what it would have made of the
// whole reply's beginning.
#ifndef POSTGEN_SRC_VERSION_EARLY_STOP_H_
#define POSTGEN_SRC_VERSION_EARLY_STOP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "postgen/observer.h"
#include "version/reply_text.h"
#include "version/word_limit.h"

namespace postgen {

// Counts the body alone, as MakeVersion counts it; a reply that does not keep to the format that
// was asked for cannot be told apart from its title and labels before its end, and goes on. Linear
// in the reply's length. Not thread-safe; stays where it was made.
class EarlyStop {
 public:
  EarlyStop(std::int64_t max_words, std::string_view posting_type);
  EarlyStop(const EarlyStop&) = delete;
  EarlyStop& operator=(const EarlyStop&) = delete;

  // The next piece of the reply, whole code points. Not once it is enough().
  void Push(std::string_view piece);

  bool enough() const { return enough_; }
  // How many bytes of all that was pushed may be shown; once it is enough(), how many the text has.
  // Beyond the limit each sentence may be the last: what is not seen to be text of the body (a line
  // end, a mark) is kept back until text follows.
  std::size_t ready() const { return sentences_.words() > max_words_ ? body_end_ : pushed_; }

 private:
  void Read(Event::Part part, std::string_view text);
  bool IsEnough(const std::optional<SentenceEnd>& end) const;

  const std::int64_t max_words_;
  const bool needs_question_;
  ReplyStream body_;
  SentenceScanner sentences_;
  std::int64_t reply_words_ = 0;  // of all that was pushed: the body has no more
  std::size_t pushed_ = 0;        // bytes
  std::size_t body_end_ = 0;      // what was pushed when text of the body came out last
  bool body_grew_ = false;
  bool enough_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_EARLY_STOP_H_
