// A finished post to render.
#ifndef POSTGEN_TESTS_UNIT_REQUEST_SAMPLE_POST_H_
#define POSTGEN_TESTS_UNIT_REQUEST_SAMPLE_POST_H_

#include <chrono>
#include <string>

#include "postgen/types.h"

namespace postgen {

inline VersionResult SampleVersion(int number) {
  VersionResult version;
  version.version_number = number;
  version.angle = "angle " + std::to_string(number);
  version.version_type = "analysis";
  version.title = "title " + std::to_string(number);
  version.content = "content " + std::to_string(number);
  version.words = 9;
  version.within_limit = true;
  version.source = Source::kLlm;
  version.model = "gpt-4o-mini-2024-07-18";
  version.finish_reason = {FinishReason::Kind::kStop, "stop"};
  version.attempts = 1;
  version.ttft_ms = 412.34567;
  version.total_ms = 2345.6789;
  version.usage = {1000, 200, 100};
  version.usage_kind = UsageKind::kExact;
  version.cost_usd = 0.000255;
  version.request_id = "req_" + std::to_string(number);
  return version;
}

// Three versions, of which the second was chosen and the third failed.
inline PostResult SamplePost() {
  PostResult post;
  post.post_id = "0b0e7d0a-6f2f-4c8b-9f57-3a1f0a5c2a11";
  post.title = "title 2";
  post.content = "content 2\n\nsignature";
  post.stock_code = "2330";
  post.stock_name = "台積電";
  post.kol_serial = 208;
  post.kol_nickname = "KOL-208";
  post.kol_persona = "technical";
  post.commodity_tags = R"([{"type":"Market","key":"TWA00","bullOrBear":0}])";
  post.timestamp = WallTime(std::chrono::seconds(1767772923));
  post.model = "gpt-4o-mini";
  post.provider = "api.openai.com";
  post.chosen = 2;
  post.versions = {SampleVersion(1), SampleVersion(2), SampleVersion(3)};
  VersionResult& failed = post.versions[2];
  failed.error = Error(Code::kTruncated, "the reply was cut by the token limit");
  failed.finish_reason = {FinishReason::Kind::kLength, "length"};
  failed.ttft_ms.reset();
  failed.cost_usd.reset();
  failed.request_id.clear();
  post.usage = {3000, 600, 300};
  post.cost_usd = 0.000765;
  post.timings = {0.1234, 1.2345, 2000.5555, 400.4444, 3.3333, 2405.6911};
  post.stored = Stored::kStored;
  post.warnings = {"one warning"};
  return post;
}

}  // namespace postgen

#endif  // POSTGEN_TESTS_UNIT_REQUEST_SAMPLE_POST_H_
