// A model's reply becomes title and body, however it is laid out: labels in full or half width,
// bold, fenced, with a preamble, on one line, in the other order, in simplified Chinese, in
// brackets, or not there at all.
#ifndef POSTGEN_SRC_VERSION_REPLY_TEXT_H_
#define POSTGEN_SRC_VERSION_REPLY_TEXT_H_

#include <functional>
#include <string>
#include <string_view>

#include "postgen/observer.h"

namespace postgen {

struct ReplyText {
  std::string title;    // may be empty: the reply had none; at most 25 code points
  std::string content;  // may be empty: the reply had none
};

// REQUIRES: valid UTF-8. Never puts a label, a fence, a bracket of the format or a placeholder into
// a text.
ReplyText ParseReply(std::string_view reply);

// The same parse on a stream: hands out text as soon as it is certain which part it belongs to. The
// deltas of a part joined are a prefix of, or equal to, what ParseReply says of the whole reply
// wherever the reply keeps to the format that was asked for; where it does not, ParseReply's result
// (version_done) wins. Not thread-safe.
class ReplyStream {
 public:
  using Sink = std::function<void(Event::Part part, std::string_view text)>;

  explicit ReplyStream(Sink sink) : sink_(std::move(sink)) {}

  // The next fragment of the reply, cut anywhere, inside a code point too.
  void Push(std::string_view fragment);
  // No more will come; hands out what was held back.
  void End();

 private:
  Sink sink_;
  std::string held_;  // not yet certain
  enum class State { kStart, kTitle, kBetween, kContent } state_ = State::kStart;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_REPLY_TEXT_H_
