#include "cache/cache_key.h"

#include <bit>
#include <cstdint>

#include "cache/bytes.h"
#include "digest/sha256.h"

namespace postgen {
namespace {

// Raise it whenever the fields below or their order change.
constexpr std::string_view kSchema = "postgen cache key 1";

// The key is random and long, so that a fixed HMAC key is enough to keep it from being told; its
// purpose is that no other use of the same digest gives the same value.
constexpr std::string_view kFingerprintLabel = "postgen cache scope";

// -0.0 and 0.0 are one temperature.
std::uint64_t TemperatureBits(double temperature) {
  return std::bit_cast<std::uint64_t>(temperature == 0 ? 0.0 : temperature);
}

}  // namespace

std::string CacheScope(const CacheOptions& cache, const LlmOptions& llm) {
  if (!cache.scope.empty()) return "scope:" + cache.scope;
  const auto fingerprint = [](const std::string& key) {
    return HexDigest(HmacSha256(kFingerprintLabel, key));
  };
  if (llm.endpoints.empty()) return "key:" + fingerprint(llm.api_key);
  std::string scope = "keys";
  for (const LlmEndpoint& endpoint : llm.endpoints) scope += ":" + fingerprint(endpoint.api_key);
  return scope;
}

std::string CacheEndpoint(const LlmOptions& llm) {
  if (llm.endpoints.empty()) return llm.base_url;
  ByteWriter urls;
  for (const LlmEndpoint& endpoint : llm.endpoints) urls.Text(endpoint.base_url);
  return std::move(urls).Take();
}

CacheKey MakeCacheKey(std::string_view scope, std::string_view tenant, std::string_view endpoint,
                      const LlmRequest& request) {
  ByteWriter fields;
  fields.Text(kSchema).Text(scope).Text(tenant).Text(endpoint).Text(request.model);
  fields.Signed(request.max_tokens);
  fields.Number(request.temperature.has_value() ? 1 : 0);
  if (request.temperature) fields.Number(TemperatureBits(*request.temperature));
  fields.Number(request.messages.size());
  for (const Message& message : request.messages) {
    fields.Signed(static_cast<std::int64_t>(message.role)).Text(message.content);
  }
  fields.Text(request.posting_type).Text(request.angle).Signed(request.version_number);
  fields.Text(request.stock_code).Text(request.stock_name).Signed(request.max_words);
  return Sha256(fields.bytes());
}

}  // namespace postgen
