// One reply from beginning to end, in pieces.
#ifndef POSTGEN_TESTS_UNIT_LLM_WIRE_OUTCOME_H_
#define POSTGEN_TESTS_UNIT_LLM_WIRE_OUTCOME_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/wire/reply_reader.h"

namespace postgen {

// What came out of a reply.
struct Outcome {
  bool ended = false;
  std::optional<Code> code;
  std::string text;
  std::string delivered;  // through the sink
  FinishReason finish_reason;
  std::string model;
  std::optional<Usage> usage;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

inline Outcome ReadPieces(const std::vector<std::string>& pieces,
                          ReplyForm form = ReplyForm::kEventStream) {
  CompletionParser parser;
  ReplyReader reader(&parser, /*max_reply_bytes=*/1U << 20U);
  reader.Begin(form);
  Outcome outcome;
  const auto sink = [&outcome](std::string_view text) { outcome.delivered += text; };
  for (const std::string& piece : pieces) reader.Read(piece, sink);
  if (!reader.ended()) reader.EndOfBody(sink);
  outcome.ended = reader.ended();
  if (reader.error()) outcome.code = reader.error()->code;
  const Completion& completion = reader.completion();
  outcome.text = completion.text;
  outcome.finish_reason = completion.finish_reason;
  outcome.model = completion.model;
  if (completion.usage_kind == UsageKind::kExact) outcome.usage = completion.usage;
  return outcome;
}

}  // namespace postgen

#endif  // POSTGEN_TESTS_UNIT_LLM_WIRE_OUTCOME_H_
