// Encodes server-sent events into a reply script: events gather until EndStep, which makes them one
// body chunk with one due time. The head is put before them last, when the length is known.
#ifndef POSTGEN_EMULATOR_EVENT_STREAM_H_
#define POSTGEN_EMULATOR_EVENT_STREAM_H_

#include <string>
#include <string_view>

#include "http_message.h"
#include "reply_script.h"

namespace emulator {

class EventStream {
 public:
  EventStream(BodyFraming framing, std::string_view line_end)
      : framing_(framing), line_end_(line_end) {}

  // data: <parts joined>, blank line.
  void Data(std::string_view json) { Data(json, {}, {}); }
  void Data(std::string_view prefix, std::string_view middle, std::string_view suffix);
  // A line that is no data, with a blank line after it.
  void Line(std::string_view line);
  void Bytes(std::string_view bytes) { pending_ += bytes; }

  void EndStep(Duration due);

  // Everything since the last step, and after it the end of the body, due at `due`.
  void EndBody(Duration due);

  // Bytes that are not part of the body, in a step of their own.
  void AfterBody(std::string_view bytes, Duration due);

  // After the last step, the bytes from `begin` on are sent again for ever.
  void Repeat(std::size_t begin, Duration interval) { script_.loop = {begin, interval}; }

  std::size_t size() const { return script_.bytes.size(); }

  // The script with `head` before it.
  ReplyScript Take(ReplyHead head);

 private:
  void Flush();

  const BodyFraming framing_;
  const std::string line_end_;
  std::string pending_;
  ReplyScript script_;
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_EVENT_STREAM_H_
