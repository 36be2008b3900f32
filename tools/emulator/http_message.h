// HTTP/1 on both sides of the service: the request as far as the service looks at it, and the head
// of a reply.
#ifndef POSTGEN_EMULATOR_HTTP_MESSAGE_H_
#define POSTGEN_EMULATOR_HTTP_MESSAGE_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace emulator {

struct HttpRequest {
  std::string method;
  std::string path;  // without the query
  std::optional<std::string> authorization;
  std::optional<std::string> fault;  // x-emulator-fault
  std::string body;
  bool http10 = false;
  bool keep_alive = true;
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

enum class BodyFraming { kContentLength, kChunked, kUntilClose };

struct ReplyHead {
  int status = 200;
  std::string content_type = "application/json";
  HeaderList headers;
  BodyFraming framing = BodyFraming::kContentLength;
  std::size_t content_length = 0;
  bool keep_alive = true;
};

std::string_view StatusReason(int status);

// Appends status line, headers and the blank line.
void AppendHead(std::string& out, const ReplyHead& head);

// Appends one chunk of a chunked body. REQUIRES: !bytes.empty().
void AppendBodyChunk(std::string& out, std::string_view bytes);
inline constexpr std::string_view kLastBodyChunk = "0\r\n\r\n";

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_HTTP_MESSAGE_H_
