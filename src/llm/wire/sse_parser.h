// Server-sent events (WHATWG HTML, "9.2.6 Interpreting an event stream") as a push parser: bytes go
// in however the network cut them, and the same events come out.
//
//   parser.Feed(fragment);
//   SseEvent event;
//   while (parser.Next(&event) == SseParser::Step::kEvent) Use(event.data);
//
// Linear in the number of bytes, whatever the cuts. An event that lies within one fragment is
// handed out as a view of that fragment, without a copy. `id` and `retry` are accepted and have no
// effect: we never reconnect to a stream. Not thread-safe.
#ifndef POSTGEN_SRC_LLM_WIRE_SSE_PARSER_H_
#define POSTGEN_SRC_LLM_WIRE_SSE_PARSER_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace postgen {

// Views are borrowed until the parser's next call.
struct SseEvent {
  std::string_view type;  // empty: "message"
  std::string_view data;  // several data lines are joined with LF
};

class SseParser {
 public:
  enum class Step {
    kEvent,     // *event is filled
    kNeedMore,  // everything that was fed has been read
    kTooLarge,  // a line or an event exceeds the bound; the parser stays in this state
  };

  explicit SseParser(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

  // A new stream; keeps the buffers.
  void Reset();

  // The next bytes of the stream, borrowed until Next() says kNeedMore. REQUIRES: it has said so
  // for the bytes before.
  void Feed(std::string_view fragment);
  Step Next(SseEvent* event);

  // The stream has ended: kEvent if it ended inside an event that has data. The standard drops such
  // an event; servers that omit the last blank line exist, so that the caller decides whether the
  // data is whole. REQUIRES: Next() said kNeedMore.
  Step AtEnd(SseEvent* event);

 private:
  bool TakeLine(std::string_view* line, bool* borrowed);
  void ReadLine(std::string_view line, bool borrowed);
  void AppendData(std::string_view value, bool borrowed);
  void SpillView();
  bool TooLarge(std::size_t line_bytes) const;
  Step Dispatch(SseEvent* event);
  void ClearEvent();
  std::size_t FindLineEnd();

  const std::size_t max_event_bytes_;

  // The fragment being read, and the first CR and LF at or after `position_` (its size: none).
  // Remembered so that a fragment full of one of them is not searched again and again for the
  // other.
  std::string_view fragment_;
  std::size_t position_ = 0;
  std::size_t next_cr_ = 0;
  std::size_t next_lf_ = 0;

  std::string line_;            // begun in earlier fragments
  std::string type_;            // of the event being read
  std::string data_;            // of the event being read, unless data_view_ holds it
  std::string_view data_view_;  // its only data line so far, in the fragment
  bool has_data_ = false;
  bool skip_lf_ = false;     // the last line ended in CR: an LF belongs to it
  bool first_line_ = true;   // may begin with a byte order mark
  bool dispatched_ = false;  // the event was handed out and is to be cleared
  bool too_large_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_SSE_PARSER_H_
