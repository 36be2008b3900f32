// A model's reply becomes title and body, however it is laid out: labels in full or half width,
// bold, fenced, with a preamble, on one line, in the other order, in simplified Chinese, in
// brackets, or not there at all.
//
//   ParseReply("**標題：** 台積電站回月線\n\n**內容：** 量能回溫……")
//       gives {"台積電站回月線", "量能回溫……"}
#ifndef POSTGEN_SRC_VERSION_REPLY_TEXT_H_
#define POSTGEN_SRC_VERSION_REPLY_TEXT_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "postgen/observer.h"
#include "version/body_cleaner.h"
#include "version/reply_label.h"
#include "version/text_normalizer.h"

namespace postgen {

struct ReplyText {
  std::string title;    // at most 25 code points; empty only if the reply had no text
  std::string content;  // may be empty: the reply had a title and no body
};

// REQUIRES: valid UTF-8. Never puts a label, a fence, a bracket of the format or a placeholder into
// a text.
ReplyText ParseReply(std::string_view reply);

// The same parse on a stream: hands out text as soon as it is certain which part it belongs to. The
// title comes whole, the body as it arrives where the reply keeps to the format that was asked for;
// else all of it comes with End(). The deltas of a part joined are what ParseReply gives for the
// whole reply. Not thread-safe.
class ReplyStream {
 public:
  using Sink = std::function<void(Event::Part part, std::string_view text)>;

  explicit ReplyStream(Sink sink) : sink_(std::move(sink)) {}

  // The next fragment of the reply, cut anywhere, inside a code point too.
  void Push(std::string_view fragment);
  // No more will come; hands out what was held back. Once, after the last Push.
  void End();

 private:
  enum class State {
    kStart,    // before the title
    kBetween,  // after the title, before the body
    kContent,
    kDone,  // a second title ended the body
    kHeld,  // not in the format: End() tells
  };

  // Each deals with what comes next; false: more of the reply is needed, or nothing is left to do.
  bool Step(bool ended);
  LabelMatch Match(std::string_view line, bool complete);
  bool ReadTitle(std::string_view line, bool complete);
  bool ReadBetween(std::string_view line, bool complete);
  bool ReadContent(std::string_view line, bool complete);
  bool Hold();
  void SendContent(std::string_view text);

  Sink sink_;
  TextNormalizer normalizer_;
  BodyCleaner body_;
  State state_ = State::kStart;
  std::string reply_;         // all of it, normalised
  std::string content_;       // what is handed out next; kept for its memory
  std::size_t at_ = 0;        // what of reply_ has been dealt with
  std::size_t searched_ = 0;  // there is no line end between at_ and here
  // What the line at matched_at_ was seen to be, and how long it must be to look at it again.
  LabelMatch matched_;
  std::size_t matched_at_ = std::string::npos;
  std::size_t look_again_ = 0;
  bool at_line_start_ = true;  // in kContent
  bool title_sent_ = false;
  bool content_sent_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_REPLY_TEXT_H_
