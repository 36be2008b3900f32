#include "http_message.h"

#include <charconv>

#include "numbers.h"

namespace emulator {
namespace {

struct Reason {
  int status;
  std::string_view text;
};

constexpr Reason kReasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Payload Too Large"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {498, "Capacity Exceeded"},
    {500, "Internal Server Error"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {529, "Overloaded"},
};

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

std::string_view StatusReason(int status) {
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return reason.text;
  }
  return "Unknown";
}

void AppendHead(std::string& out, const ReplyHead& head) {
  out.append("HTTP/1.1 ").append(ToText(head.status)).append(" ");
  out.append(StatusReason(head.status)).append("\r\n");
  AppendHeader(out, "server", "postgen-emulator");
  if (!HasNoBody(head.status)) AppendHeader(out, "content-type", head.content_type);
  for (const auto& [name, value] : head.headers) AppendHeader(out, name, value);
  bool until_close = head.framing == BodyFraming::kUntilClose;
  if (!head.keep_alive || until_close) AppendHeader(out, "connection", "close");
  if (head.framing == BodyFraming::kChunked) {
    AppendHeader(out, "transfer-encoding", "chunked");
  } else if (!until_close && !HasNoBody(head.status)) {
    AppendHeader(out, "content-length", ToText(head.content_length));
  }
  out.append("\r\n");
}

void AppendBodyChunk(std::string& out, std::string_view bytes) {
  char size[20];
  out.append(size, std::to_chars(size, size + sizeof size, bytes.size(), 16).ptr);
  out.append("\r\n").append(bytes).append("\r\n");
}

}  // namespace emulator
