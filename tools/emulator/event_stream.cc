#include "event_stream.h"

#include <utility>

namespace emulator {

void EventStream::Data(std::string_view prefix, std::string_view middle, std::string_view suffix) {
  pending_.append("data: ").append(prefix).append(middle).append(suffix);
  pending_.append(line_end_).append(line_end_);
}

void EventStream::Line(std::string_view line) {
  pending_.append(line).append(line_end_).append(line_end_);
}

void EventStream::Flush() {
  if (pending_.empty()) return;
  if (framing_ == BodyFraming::kChunked) {
    AppendBodyChunk(script_.bytes, pending_);
  } else {
    script_.bytes += pending_;
  }
  pending_.clear();
}

void EventStream::EndStep(Duration due) {
  Flush();
  script_.EndStep(due);
}

void EventStream::EndBody(Duration due) {
  Flush();
  if (framing_ == BodyFraming::kChunked) script_.bytes += kLastBodyChunk;
  script_.EndStep(due);
}

void EventStream::AfterBody(std::string_view bytes, Duration due) {
  script_.bytes += bytes;
  script_.EndStep(due);
}

ReplyScript EventStream::Take(ReplyHead head) {
  head.framing = framing_;
  head.content_length += script_.bytes.size();
  std::string bytes;
  AppendHead(bytes, head);
  std::size_t head_size = bytes.size();
  bytes += script_.bytes;
  script_.bytes = std::move(bytes);
  for (ReplyScript::Step& step : script_.steps) step.end += head_size;
  if (script_.loop) script_.loop->begin += head_size;
  return std::move(script_);
}

}  // namespace emulator
