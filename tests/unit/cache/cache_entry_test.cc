#include "cache/cache_entry.h"

#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

LlmReply SomeReply() {
  LlmReply reply;
  reply.text = std::string("標題：台積電\n內容：量增\0價漲", 41);
  reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
  reply.model = "gpt-4o-mini-2024-07-18";
  reply.usage = {612, 187, 512};
  reply.usage_kind = UsageKind::kExact;
  reply.request_id = "req_1";
  reply.attempts = 3;
  reply.ttft_ms = 420;
  reply.total_ms = 2900;
  return reply;
}

const CacheKey kKey = {1, 2, 3};

TEST_CASE("DecodeCacheEntry gives back the reply, now from the cache") {
  const LlmReply reply = SomeReply();
  const std::optional<LlmReply> hit = DecodeCacheEntry(kKey, EncodeCacheEntry(kKey, reply));
  REQUIRE(hit.has_value());
  CHECK(hit->ok());
  CHECK(hit->text == reply.text);
  CHECK(hit->finish_reason == reply.finish_reason);
  CHECK(hit->model == reply.model);
  CHECK(hit->usage == reply.usage);
  CHECK(hit->usage_kind == reply.usage_kind);
  CHECK(hit->request_id == reply.request_id);
  CHECK(hit->source == Source::kCache);
  CHECK(hit->attempts == 0);
  CHECK_FALSE(hit->ttft_ms.has_value());
  CHECK(hit->total_ms == 0);
}

TEST_CASE("DecodeCacheEntry keeps early_stop and unknown usage") {
  LlmReply reply = SomeReply();
  reply.finish_reason = {FinishReason::Kind::kEarlyStop, "early_stop"};
  reply.usage_kind = UsageKind::kUnknown;
  const std::optional<LlmReply> hit = DecodeCacheEntry(kKey, EncodeCacheEntry(kKey, reply));
  REQUIRE(hit.has_value());
  CHECK(hit->finish_reason == reply.finish_reason);
  CHECK(hit->usage_kind == UsageKind::kUnknown);
}

TEST_CASE("DecodeCacheEntry refuses the entry of another key") {
  const CacheKey other = {1, 2, 4};
  CHECK_FALSE(DecodeCacheEntry(other, EncodeCacheEntry(kKey, SomeReply())).has_value());
}

TEST_CASE("DecodeCacheEntry refuses an entry with any byte damaged") {
  const std::string entry = EncodeCacheEntry(kKey, SomeReply());
  REQUIRE(DecodeCacheEntry(kKey, entry).has_value());
  for (std::size_t i = 0; i < entry.size(); ++i) {
    for (const unsigned mask : {0x01U, 0x80U, 0xFFU}) {
      std::string damaged = entry;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ mask);
      CAPTURE(i);
      CHECK_FALSE(DecodeCacheEntry(kKey, damaged).has_value());
    }
  }
}

TEST_CASE("DecodeCacheEntry refuses an entry that was cut or has more behind it") {
  const std::string entry = EncodeCacheEntry(kKey, SomeReply());
  for (std::size_t size = 0; size < entry.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(DecodeCacheEntry(kKey, entry.substr(0, size)).has_value());
    CHECK_FALSE(DecodeCacheEntry(kKey, entry.substr(entry.size() - size)).has_value());
  }
  CHECK_FALSE(DecodeCacheEntry(kKey, entry + '\0').has_value());
}

TEST_CASE("DecodeCacheEntry refuses replies that must never be cached, however they got there") {
  LlmReply cut = SomeReply();
  cut.finish_reason = {FinishReason::Kind::kLength, "length"};
  CHECK_FALSE(DecodeCacheEntry(kKey, EncodeCacheEntry(kKey, cut)).has_value());
  LlmReply filtered = SomeReply();
  filtered.finish_reason = {FinishReason::Kind::kContentFilter, "content_filter"};
  CHECK_FALSE(DecodeCacheEntry(kKey, EncodeCacheEntry(kKey, filtered)).has_value());
  LlmReply empty = SomeReply();
  empty.text.clear();
  CHECK_FALSE(DecodeCacheEntry(kKey, EncodeCacheEntry(kKey, empty)).has_value());
}

}  // namespace
}  // namespace postgen
