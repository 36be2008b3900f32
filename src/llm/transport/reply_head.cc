#include "llm/transport/reply_head.h"

#include <charconv>

namespace postgen {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// Of "HTTP/1.1 200 OK" or "HTTP/2 200"; 0 where there is none.
int StatusOf(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return 0;
  line.remove_prefix(space + 1);
  int status = 0;
  std::from_chars(line.data(), line.data() + line.size(), status);
  return status;
}

bool IsInterim(int status) { return status >= 100 && status < 200 && status != 101; }

}  // namespace

ReplyHead::Line ReplyHead::Push(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxBytes) return Line::kTooLarge;
  if (complete_) return Line::kMore;

  line = Trim(line);
  if (line.empty()) {
    complete_ = !IsInterim(head_.status);
    return complete_ ? Line::kComplete : Line::kMore;
  }
  if (line.starts_with("HTTP/")) {
    head_.status = StatusOf(line);
    head_.headers = {};
    return Line::kMore;
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    head_.headers.Add(Trim(line.substr(0, colon)), Trim(line.substr(colon + 1)));
  }
  return Line::kMore;
}

}  // namespace postgen
