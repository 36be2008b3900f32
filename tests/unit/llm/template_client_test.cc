#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "llm/clients.h"
#include "text/utf8.h"

namespace postgen {
namespace {

LlmRequest Request(std::string posting_type, int version, std::int64_t max_words) {
  LlmRequest request;
  request.posting_type = std::move(posting_type);
  request.version_number = version;
  request.max_words = max_words;
  request.angle = "技術面分析";
  request.stock_code = "2330";
  request.stock_name = "台積電";
  return request;
}

LlmReply Write(LlmRequest request, CancelToken cancel = {}) {
  std::optional<LlmReply> written;
  LlmSink sink;
  sink.on_done = [&written](LlmReply reply) { written = std::move(reply); };
  NewTemplateClient()->Complete(std::move(request), std::move(cancel), std::move(sink));
  REQUIRE(written.has_value());  // inline
  return *written;
}

// Title and body of the shape that the reply parser reads.
std::pair<std::string, std::string> Split(const std::string& text) {
  constexpr std::string_view kTitle = "標題：";
  constexpr std::string_view kBody = "\n內容：";
  REQUIRE(text.rfind(kTitle, 0) == 0);
  const std::size_t body = text.find(kBody);
  REQUIRE(body != std::string::npos);
  return {text.substr(kTitle.size(), body - kTitle.size()), text.substr(body + kBody.size())};
}

TEST_CASE("ten different texts of each type, within any limit, about the stock") {
  for (const std::string_view type : {"interaction", "analysis", "personalized"}) {
    for (const std::int64_t max_words : {10, 15, 50, 150, 200, 4000}) {
      CAPTURE(type);
      CAPTURE(max_words);
      std::set<std::string> titles;
      std::set<std::string> bodies;
      for (int version = 1; version <= 10; ++version) {
        CAPTURE(version);
        const auto [title, body] =
            Split(Write(Request(std::string(type), version, max_words)).text);
        CHECK(CountCodePoints(title) <= 25);
        CHECK(CountCodePoints(body) <= static_cast<std::size_t>(max_words));
        CHECK(title.find("台積電") != std::string::npos);
        CHECK(body.find("台積電") != std::string::npos);
        if (type == "interaction") CHECK(body.ends_with("？"));
        titles.insert(title);
        bodies.insert(body);
      }
      CHECK(titles.size() == 10);
      CHECK(bodies.size() == 10);
    }
  }
}

TEST_CASE("a longer limit gives a longer text, and the angle shows") {
  const auto [title, body] = Split(Write(Request("analysis", 1, 200)).text);
  CHECK(CountCodePoints(body) > 100);
  CHECK(body.find("技術面分析") != std::string::npos);
}

TEST_CASE("odd stocks") {
  LlmRequest request = Request("analysis", 3, 10);
  request.stock_name = std::string(300, 'x');
  auto [title, body] = Split(Write(request).text);
  CHECK(CountCodePoints(title) <= 25);
  CHECK(CountCodePoints(body) <= 10);
  request.stock_name.clear();
  CHECK(Write(request).text.find("2330") != std::string::npos);
  request.stock_code.clear();
  CHECK(Write(request).ok());
}

TEST_CASE("replies are marked and cost nothing") {
  const LlmReply reply = Write(Request("analysis", 1, 200));
  CHECK(reply.ok());
  CHECK(reply.source == Source::kTemplate);
  CHECK(reply.finish_reason.kind == FinishReason::Kind::kStop);
  CHECK(reply.usage == Usage{});
  CHECK(reply.attempts == 0);
  CHECK(NewTemplateClient()->provider() == "template");
}

TEST_CASE("a stream gets the text before the end, a cancelled call gets none") {
  std::string streamed;
  std::string whole;
  LlmSink sink;
  sink.on_text = [&streamed](std::string_view text) { streamed += text; };
  sink.on_done = [&whole](LlmReply reply) { whole = reply.text; };
  LlmRequest request = Request("analysis", 1, 200);
  request.stream = true;
  NewTemplateClient()->Complete(request, {}, std::move(sink));
  CHECK(streamed == whole);

  CancelSource source;
  source.request_stop();
  const LlmReply cancelled = Write(request, source.get_token());
  REQUIRE(cancelled.error.has_value());
  CHECK(cancelled.error->code == Code::kCancelled);
}

}  // namespace
}  // namespace postgen
