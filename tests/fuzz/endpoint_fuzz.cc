// Any bytes as base URL, key, header and query, a line each: what is accepted is one URL of the
// host that was written, and headers that cannot break out of their line; what is refused is not
// shown.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "llm/endpoint.h"

namespace postgen {
namespace {

// Up to the next 0x01 byte, which ends a field.
std::string Field(std::string_view* bytes) {
  const std::size_t end = bytes->find('\x01');
  std::string field(bytes->substr(0, end));
  *bytes = end == std::string_view::npos ? std::string_view() : bytes->substr(end + 1);
  return field;
}

bool StartsWithScheme(std::string_view url) {
  return url.starts_with("https://") || url.starts_with("http://");
}

void Check(std::string_view bytes) {
  LlmOptions options;
  options.allow_insecure_http = true;
  options.base_url = Field(&bytes);
  options.api_key = Field(&bytes);
  const std::string name = Field(&bytes);
  const std::string value = Field(&bytes);
  if (!name.empty()) options.headers = {{name, value}};
  options.query = {{name, value}};

  const Result<std::vector<Endpoint>> made = MakeEndpoints(options);
  if (!made.ok()) {
    REQUIRE_THAT(made.error().code == Code::kInvalidConfig);
    REQUIRE_THAT(!made.error().details.field.empty());
    REQUIRE_THAT(made.error().message.find('\n') == std::string::npos);
    // Shorter ones may be found by chance in what we say.
    REQUIRE_THAT(options.api_key.size() < 40 ||
                 made.error().message.find(options.api_key) == std::string::npos);
    return;
  }
  REQUIRE_THAT(made->size() == 1);
  const Endpoint& endpoint = made->front();
  for (const std::string& url : {endpoint.http.url, endpoint.http.probe_url}) {
    REQUIRE_THAT(StartsWithScheme(url));
    for (const char c : url) REQUIRE_THAT(c > ' ' && c <= '~');
    REQUIRE_THAT(url.find('@') == std::string::npos);
    REQUIRE_THAT(url.find('#') == std::string::npos);
    REQUIRE_THAT(url.find("/../") == std::string::npos);
  }
  REQUIRE_THAT(!endpoint.host.empty());
  for (const std::string& header : endpoint.http.headers) {
    REQUIRE_THAT(header.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    REQUIRE_THAT(header.find(": ") != std::string::npos);
  }
}

}  // namespace
}  // namespace postgen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postgen::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
