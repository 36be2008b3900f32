// Any bytes as options: refused with a proper error, or accepted and then within every bound.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "postgen/json.h"

namespace postgen {
namespace {

void Check(std::string_view text) {
  Result<Options> options = ParseOptions(text);
  if (!options.ok()) {
    REQUIRE_THAT(options.error().code == Code::kInvalidConfig);
    REQUIRE_THAT(!options.error().message.empty());
    REQUIRE_THAT(options.error().message.find('\n') == std::string::npos);
    return;
  }
  const std::string key = options->llm.api_key;
  REQUIRE_THAT(ValidateOptions(&*options).ok());
  REQUIRE_THAT(options->llm.api_key == key);  // already trimmed
  REQUIRE_THAT(options->llm.connect_timeout_ms > 0);
  REQUIRE_THAT(options->store.pool_min <= options->store.pool_max);
}

}  // namespace
}  // namespace postgen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postgen::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
