// Reads the body of one good reply (HTTP 200) into a completion, streamed or whole.
//
//   reader.Begin(ReplyForm::kEventStream);
//   reader.Read(bytes, on_text);          // for each piece of the body
//   if (reader.ended()) transport.Finish(transfer);
//   else: reader.EndOfBody(on_text);      // when the body is over
//
// A stream is complete when its choice has a finish reason or the server says `[DONE]`: the end of
// the body alone does not tell that nothing was cut off. Not thread-safe.
#ifndef POSTGEN_SRC_LLM_WIRE_REPLY_READER_H_
#define POSTGEN_SRC_LLM_WIRE_REPLY_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <absl/functional/function_ref.h>

#include "llm/wire/completion_parser.h"
#include "llm/wire/sse_parser.h"
#include "llm/wire/surrogates.h"
#include "postgen/error.h"
#include "postgen/types.h"

namespace postgen {

enum class ReplyForm { kEventStream, kWholeBody };

// From the content-type header; a missing one is taken for what was asked for.
ReplyForm FormOfReply(std::string_view content_type, bool stream_requested);

struct Completion {
  std::string text;
  FinishReason finish_reason;
  std::string model;  // empty: the provider did not say
  Usage usage;
  UsageKind usage_kind = UsageKind::kUnknown;
};

class ReplyReader {
 public:
  using TextSink = absl::FunctionRef<void(std::string_view)>;

  // `parser` must outlive the reader.
  ReplyReader(CompletionParser* parser, std::size_t max_reply_bytes)
      : parser_(parser), max_reply_bytes_(max_reply_bytes), events_(max_reply_bytes) {}

  // A new reply; keeps the buffers.
  void Begin(ReplyForm form);

  // `on_text` gets the text of each delta, or a whole reply's at its end. No-ops once ended.
  void Read(std::string_view bytes, TextSink on_text);
  void EndOfBody(TextSink on_text);

  // The connection broke or fell silent: a stream that has its finish reason is complete all the
  // same. False: it is not, and the reader is unchanged.
  bool EndEarly();

  // The reader of the text has enough: the reply is complete with its first `bytes`, whatever the
  // provider still sends. REQUIRES: !ended(), an event stream.
  void EndHere(std::size_t bytes);

  // Nothing more is needed: see error() and completion().
  bool ended() const { return ended_; }
  // kTruncated, kProtocol, kEncoding, kRefused, kTooLarge, kNomem or what the provider said.
  const std::optional<Error>& error() const { return error_; }
  Completion& completion() { return completion_; }
  const Completion& completion() const { return completion_; }
  ReplyForm form() const { return form_; }

  // Events that carried data (not comments and pings), and whether one of them carried a token.
  std::int64_t payload_events() const { return payload_events_; }
  bool has_token() const { return has_token_; }

 private:
  void ReadEvent(const SseEvent& event, TextSink on_text);
  void ReadLastEvent(TextSink on_text);
  void ReadWholeBody(TextSink on_text);
  void Add(const CompletionPart& part, TextSink on_text);
  void Conclude();
  std::optional<Error> Objection() const;
  void Fail(Error error);

  CompletionParser* const parser_;
  const std::size_t max_reply_bytes_;

  SseParser events_;
  SurrogateJoiner joiner_;
  std::string body_;  // of a whole reply, as far as it has come
  ReplyForm form_ = ReplyForm::kWholeBody;
  Completion completion_;
  std::optional<Error> error_;
  std::int64_t payload_events_ = 0;
  bool has_token_ = false;
  bool has_choice_ = false;
  bool refused_ = false;
  bool done_ = false;  // `[DONE]` came
  bool ended_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_REPLY_READER_H_
