// Any bytes as a request: refused with a proper error, or accepted and then within every bound and
// rendered as JSON that can be read back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "postgen/json.h"
#include "request/json_value.h"
#include "request/post_json.h"

namespace postgen {
namespace {

void RequireProper(const Error& error) {
  REQUIRE_THAT(error.code == Code::kInvalidRequest);
  REQUIRE_THAT(!error.message.empty());
  REQUIRE_THAT(!error.details.field.empty());
  REQUIRE_THAT(error.message.find('\n') == std::string::npos);
  REQUIRE_THAT(ParseJson(ErrorToJson(error)).has_value());
}

void Check(std::string_view text) {
  const Result<PostRequest> request = ParseRequest(text);
  if (!request.ok()) {
    RequireProper(request.error());
    return;
  }
  REQUIRE_THAT(ValidateRequest(*request).ok());
  REQUIRE_THAT(request->versions >= 1 && request->versions <= 10);
  PostResult post;
  post.title = request->title.value_or("");
  post.content = request->content.value_or("");
  post.stock_code = request->stock_code;
  post.commodity_tags = CommodityTagsJson(*request);
  post.warnings = request->warnings;
  REQUIRE_THAT(ParseJson(ResultToJson(post)).has_value());
  REQUIRE_THAT(ParseJson(GenerationParamsJson(*request, post)).has_value());
}

}  // namespace
}  // namespace postgen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postgen::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
