#include "llm/wire/reply_reader.h"

#include <algorithm>
#include <utility>

#include "llm/wire/provider_error.h"
#include "llm/wire/safe_word.h"

namespace postgen {
namespace {

// The status under which replies are read here.
constexpr int kHttpOk = 200;

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool StartsWithIgnoringCase(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                    [](char want, char have) { return want == ToLower(have); });
}

FinishReason ToFinishReason(std::string_view word) {
  using Kind = FinishReason::Kind;
  if (word == "stop") return {Kind::kStop, "stop"};
  if (word == "length") return {Kind::kLength, "length"};
  if (word == "content_filter") return {Kind::kContentFilter, "content_filter"};
  std::string safe = SafeWord(word);
  return {Kind::kOther, safe.empty() ? "other" : std::move(safe)};
}

// Servers keep connections open with such events; async-openai skips them too.
bool IsKeepAlive(std::string_view type) { return type == "ping" || type == "keepalive"; }

}  // namespace

ReplyForm FormOfReply(std::string_view content_type, bool stream_requested) {
  const bool event_stream = content_type.empty()
                                ? stream_requested
                                : StartsWithIgnoringCase(content_type, "text/event-stream");
  return event_stream ? ReplyForm::kEventStream : ReplyForm::kWholeBody;
}

void ReplyReader::Begin(ReplyForm form) {
  form_ = form;
  events_.Reset();
  joiner_.Clear();
  body_.clear();
  completion_.text.clear();
  completion_.model.clear();
  completion_.finish_reason = {};
  completion_.usage = {};
  completion_.usage_kind = UsageKind::kUnknown;
  error_.reset();
  payload_events_ = 0;
  has_token_ = has_choice_ = refused_ = done_ = ended_ = false;
}

void ReplyReader::Read(std::string_view bytes, TextSink on_text) {
  if (ended_) return;
  if (form_ == ReplyForm::kWholeBody) {
    body_.append(bytes);
    if (body_.size() > max_reply_bytes_) {
      Fail(Error(Code::kTooLarge, "the provider's reply exceeds llm.max_reply_bytes"));
    }
    return;
  }
  events_.Feed(bytes);
  SseEvent event;
  while (!ended_) {
    switch (events_.Next(&event)) {
      case SseParser::Step::kEvent: ReadEvent(event, on_text); break;
      case SseParser::Step::kNeedMore: return;
      case SseParser::Step::kTooLarge:
        Fail(
            Error(Code::kTooLarge, "an event of the provider's reply exceeds llm.max_reply_bytes"));
        break;
    }
  }
}

void ReplyReader::EndOfBody(TextSink on_text) {
  if (ended_) return;
  if (form_ == ReplyForm::kWholeBody) {
    ReadWholeBody(on_text);
  } else {
    ReadLastEvent(on_text);
    if (!ended_) Conclude();
  }
}

bool ReplyReader::EndEarly() {
  if (ended_) return true;
  if (completion_.finish_reason.kind == FinishReason::Kind::kNone) return false;
  if (form_ == ReplyForm::kWholeBody) return false;
  Conclude();
  return true;
}

void ReplyReader::EndHere(std::size_t bytes) {
  completion_.text.resize(bytes);
  completion_.finish_reason = {FinishReason::Kind::kEarlyStop, "early_stop"};
  ended_ = true;
}

void ReplyReader::ReadEvent(const SseEvent& event, TextSink on_text) {
  if (IsKeepAlive(event.type)) return;
  ++payload_events_;
  if (event.data == "[DONE]") {
    done_ = true;
    return Conclude();
  }
  if (event.type == "error") {
    return Fail(ToError(kHttpOk, parser_->ParseError(event.data)));
  }
  Result<CompletionPart> part = parser_->Parse(event.data, &joiner_);
  if (!part.ok()) return Fail(std::move(part).error());
  Add(*part, on_text);
}

// An event that the stream broke off is as good as one that never came, unless its data is whole.
void ReplyReader::ReadLastEvent(TextSink on_text) {
  SseEvent event;
  if (events_.AtEnd(&event) != SseParser::Step::kEvent) return;
  ReadEvent(event, on_text);
  if (error_ && (error_->code == Code::kProtocol || error_->code == Code::kEncoding)) {
    error_.reset();
    ended_ = false;
  }
}

void ReplyReader::ReadWholeBody(TextSink on_text) {
  Result<CompletionPart> part = parser_->Parse(body_, nullptr);
  if (!part.ok()) return Fail(std::move(part).error());
  Add(*part, on_text);
  if (ended_) return;
  if (!has_choice_) {
    return Fail(Error(Code::kProtocol, "the provider's reply is no chat completion: no choice"));
  }
  Conclude();
}

void ReplyReader::Add(const CompletionPart& part, TextSink on_text) {
  if (part.error) return Fail(ToError(kHttpOk, *part.error));
  if (part.finish_reason == "error") return Fail(ToError(kHttpOk, ProviderError{}));
  if (part.usage) {
    completion_.usage = *part.usage;
    completion_.usage_kind = UsageKind::kExact;
  }
  if (completion_.model.empty() && !part.model.empty()) completion_.model = SafeWord(part.model);
  if (!part.finish_reason.empty()) completion_.finish_reason = ToFinishReason(part.finish_reason);
  has_choice_ = has_choice_ || part.has_choice;
  refused_ = refused_ || !part.refusal.empty();
  has_token_ = has_token_ || part.reasoning || !part.content.empty() || !part.refusal.empty() ||
               !part.finish_reason.empty();
  if (part.content.empty()) return;
  completion_.text.append(part.content);
  on_text(part.content);
}

void ReplyReader::Conclude() {
  ended_ = true;
  error_ = Objection();
}

// Why a reply that came to its end is no good.
std::optional<Error> ReplyReader::Objection() const {
  using Kind = FinishReason::Kind;
  const Kind kind = completion_.finish_reason.kind;
  if (kind == Kind::kNone && form_ == ReplyForm::kEventStream && !done_) {
    if (payload_events_ == 0) return Error(Code::kProtocol, "the provider's stream was empty");
    return Error(Code::kTruncated, "the provider's stream ended without a finish reason");
  }
  if (joiner_.holding()) {
    return Error(Code::kEncoding, "the provider's reply ends with half a character");
  }
  if (kind == Kind::kContentFilter) {
    return Error(Code::kRefused, "the provider's content filter stopped the text");
  }
  if (refused_) return Error(Code::kRefused, "the model refused to write the text");
  if (!completion_.text.empty()) return std::nullopt;
  if (kind == Kind::kLength) {
    return Error(Code::kTruncated,
                 "the model used its whole token limit without writing any text: it was spent on "
                 "reasoning, beyond the allowance for it; raise llm.max_tokens");
  }
  return Error(Code::kProtocol, "the provider's reply has no text");
}

void ReplyReader::Fail(Error error) {
  ended_ = true;
  error_ = std::move(error);
}

}  // namespace postgen
