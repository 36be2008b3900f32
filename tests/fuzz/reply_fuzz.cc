// Any bytes as the body of a reply: the outcome does not depend on how the network cut them, and a
// reply that counts as complete has a finish reason or `[DONE]`, and clean text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "llm/wire/reply_reader.h"
#include "text/utf8.h"

namespace postgen {
namespace {

constexpr std::size_t kMaxReplyBytes = 4096;

struct Outcome {
  std::string text;
  std::string delivered;
  FinishReason finish_reason;
  Usage usage;
  Code code = Code::kOk;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// `next_size` says how long the next piece is.
template <typename NextSize>
Outcome Read(std::string_view body, ReplyForm form, NextSize next_size) {
  CompletionParser parser;
  ReplyReader reader(&parser, kMaxReplyBytes);
  Outcome outcome;
  const auto sink = [&outcome](std::string_view text) { outcome.delivered += text; };
  reader.Begin(form);
  while (!body.empty() && !reader.ended()) {
    // A copy of its own, so that a view kept beyond its piece is found.
    const std::string piece(body.substr(0, std::max<std::size_t>(next_size(), 1)));
    body.remove_prefix(piece.size());
    reader.Read(piece, sink);
  }
  reader.EndOfBody(sink);
  REQUIRE_THAT(reader.ended());
  if (reader.error()) {
    REQUIRE_THAT(!reader.error()->message.empty());
    REQUIRE_THAT(reader.error()->message.find('\n') == std::string::npos);
    outcome.code = reader.error()->code;
  }
  outcome.text = reader.completion().text;
  outcome.finish_reason = reader.completion().finish_reason;
  outcome.usage = reader.completion().usage;
  return outcome;
}

void Check(std::string_view body) {
  std::minstd_rand rng(static_cast<std::uint32_t>(body.size()));
  for (const ReplyForm form : {ReplyForm::kEventStream, ReplyForm::kWholeBody}) {
    const Outcome whole = Read(body, form, [&body] { return body.size(); });
    REQUIRE_THAT(whole.text == whole.delivered);
    REQUIRE_THAT(IsValidUtf8(whole.text));
    REQUIRE_THAT(whole.text.find('\0') == std::string::npos);
    if (whole.code == Code::kOk) {
      REQUIRE_THAT(!whole.text.empty());
      REQUIRE_THAT(form == ReplyForm::kWholeBody ||
                   whole.finish_reason.kind != FinishReason::Kind::kNone ||
                   body.find("[DONE]") != std::string_view::npos);
    }
    REQUIRE_THAT(Read(body, form, [] { return 1; }) == whole);
    REQUIRE_THAT(Read(body, form, [&rng] { return rng() % 40; }) == whole);
  }
  CompletionParser().ParseError(body);
}

}  // namespace
}  // namespace postgen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postgen::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
