#include "cache/cache_entry.h"

#include <cstdint>

#include "cache/bytes.h"
#include "digest/sha256.h"

namespace postgen {
namespace {

// Raise the digit whenever the fields below or their order change: older entries become misses.
constexpr std::string_view kMagic = "postgen1";

std::string_view View(const std::array<std::uint8_t, 32>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Only the kinds of a complete reply.
std::optional<FinishReason::Kind> FinishKind(std::uint64_t number) {
  for (const FinishReason::Kind kind :
       {FinishReason::Kind::kStop, FinishReason::Kind::kEarlyStop}) {
    if (number == static_cast<std::uint64_t>(kind)) return kind;
  }
  return std::nullopt;
}

std::optional<UsageKind> KindOfUsage(std::uint64_t number) {
  for (const UsageKind kind : {UsageKind::kUnknown, UsageKind::kEstimated, UsageKind::kExact}) {
    if (number == static_cast<std::uint64_t>(kind)) return kind;
  }
  return std::nullopt;
}

}  // namespace

std::string EncodeCacheEntry(const CacheKey& key, const LlmReply& reply) {
  ByteWriter entry;
  entry.Raw(kMagic).Raw(View(key));
  entry.Text(reply.text);
  entry.Number(static_cast<std::uint64_t>(reply.finish_reason.kind)).Text(reply.finish_reason.text);
  entry.Text(reply.model).Text(reply.request_id);
  entry.Signed(reply.usage.prompt_tokens).Signed(reply.usage.completion_tokens);
  entry.Signed(reply.usage.cached_tokens).Number(static_cast<std::uint64_t>(reply.usage_kind));
  const Digest checksum = Sha256(entry.bytes());
  entry.Raw(View(checksum));
  return std::move(entry).Take();
}

std::optional<LlmReply> DecodeCacheEntry(const CacheKey& key, std::string_view bytes) {
  if (bytes.size() < sizeof(Digest)) return std::nullopt;
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof(Digest));
  if (bytes.substr(body.size()) != View(Sha256(body))) return std::nullopt;

  ByteReader entry(body);
  if (entry.Raw(kMagic.size()) != kMagic) return std::nullopt;
  if (entry.Raw(key.size()) != View(key)) return std::nullopt;

  LlmReply reply;
  reply.text = entry.Text();
  const std::optional<FinishReason::Kind> finish_kind = FinishKind(entry.Number());
  reply.finish_reason.text = entry.Text();
  reply.model = entry.Text();
  reply.request_id = entry.Text();
  reply.usage.prompt_tokens = entry.Signed();
  reply.usage.completion_tokens = entry.Signed();
  reply.usage.cached_tokens = entry.Signed();
  const std::optional<UsageKind> usage_kind = KindOfUsage(entry.Number());
  // A right checksum says that these bytes were written, not that this format wrote them.
  if (!entry.ok() || !entry.at_end() || !finish_kind || !usage_kind || reply.text.empty()) {
    return std::nullopt;
  }
  reply.finish_reason.kind = *finish_kind;
  reply.usage_kind = *usage_kind;
  reply.source = Source::kCache;
  return reply;
}

}  // namespace postgen
