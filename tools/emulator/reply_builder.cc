#include "reply_builder.h"

#include <algorithm>
#include <utility>

#include "event_stream.h"
#include "json_writer.h"
#include "numbers.h"

namespace emulator {
namespace {

constexpr std::string_view kFingerprint = "fp_postgen_emulator";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr const char* kEventStreamType = "text/event-stream; charset=utf-8";
constexpr std::string_view kNotHttp = "\x16\x03\x01 not HTTP at all\r\n";
constexpr std::string_view kHtmlPage =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in to the "
    "network.</body></html>\n";
constexpr std::string_view kBrokenJson = R"({"id":"chatcmpl-broken","choices":[{"index":0,"de)";
constexpr Duration kCommentInterval = std::chrono::milliseconds(100);
constexpr std::size_t kMissingBytes = 1000;

bool Is(const std::optional<Fault>& fault, FaultKind kind) { return fault && fault->kind == kind; }

void WriteUsage(JsonWriter& json, std::int64_t prompt_tokens, std::int64_t completion_tokens,
                std::int64_t reasoning_tokens) {
  json.BeginObject();
  json.Key("prompt_tokens").Int(prompt_tokens);
  json.Key("completion_tokens").Int(completion_tokens);
  json.Key("total_tokens").Int(prompt_tokens + completion_tokens);
  json.Key("prompt_tokens_details").BeginObject();
  json.Key("cached_tokens").Int(0).Key("audio_tokens").Int(0).EndObject();
  json.Key("completion_tokens_details").BeginObject();
  json.Key("reasoning_tokens").Int(reasoning_tokens).Key("audio_tokens").Int(0);
  json.Key("accepted_prediction_tokens").Int(0).Key("rejected_prediction_tokens").Int(0);
  json.EndObject().EndObject();
}

// `generated` visible tokens so far.
std::string UsageJson(const Completion& completion, std::int64_t generated) {
  JsonWriter json;
  WriteUsage(json, completion.prompt_tokens, generated + completion.reasoning_tokens,
             completion.reasoning_tokens);
  return json.Take();
}

std::int64_t VisibleTokens(const Completion& completion) {
  std::int64_t tokens = 0;
  for (std::int64_t each : completion.ChoiceTokens()) tokens += each;
  return tokens;
}

// A whole body, or for cut ones the first half of it, with the faults of the body's bytes.
ReplyScript BodyReply(ReplyHead head, std::string body, const std::optional<Fault>& fault,
                      Duration due) {
  ReplyScript script;
  script.ending = head.keep_alive ? Ending::kKeepAlive : Ending::kClose;
  if (Is(fault, FaultKind::kBom)) body.insert(0, kByteOrderMark);
  if (Is(fault, FaultKind::kGarbage)) body = kBrokenJson;
  if (Is(fault, FaultKind::kGzip)) head.headers.emplace_back("content-encoding", "gzip");
  head.content_length = body.size();
  if (Is(fault, FaultKind::kContentLengthTooLarge)) head.content_length += kMissingBytes;
  if (Is(fault, FaultKind::kEofCut)) head.framing = BodyFraming::kUntilClose;

  AppendHead(script.bytes, head);
  if (Is(fault, FaultKind::kStallHeaders)) {
    script.EndStep(due);
    script.ending = Ending::kHold;
    return script;
  }
  std::size_t half = script.bytes.size() + body.size() / 2;
  script.bytes += body;
  script.byte_by_byte = Is(fault, FaultKind::kByteByByte);
  if (fault) {
    switch (fault->kind) {
      case FaultKind::kResetAfter:
        script.bytes.resize(half);
        script.ending = Ending::kReset;
        break;
      case FaultKind::kStallAfter:
        script.bytes.resize(half);
        script.ending = Ending::kHold;
        break;
      case FaultKind::kCut:
      case FaultKind::kChunkedCut:
      case FaultKind::kEofCut:
        script.bytes.resize(half);
        script.ending = Ending::kCut;
        break;
      case FaultKind::kContentLengthTooLarge: script.ending = Ending::kCut; break;
      case FaultKind::kCloseAfter: script.ending = Ending::kClose; break;
      case FaultKind::kTrailingBytes:
        script.bytes += "bytes after the body\r\n";
        script.ending = Ending::kClose;
        break;
      default: break;
    }
  }
  script.EndStep(due);
  return script;
}

// Sends `bytes` over and over after `head`, as a chunked body.
ReplyScript RepeatedReply(ReplyHead head, std::string_view bytes, Duration due, Duration interval) {
  head.framing = BodyFraming::kChunked;
  ReplyScript script;
  AppendHead(script.bytes, head);
  script.loop = {script.bytes.size(), interval};
  AppendBodyChunk(script.bytes, bytes);
  script.EndStep(due);
  script.ending = Ending::kHold;
  return script;
}

ReplyHead HeadFor(const ReplyOptions& options) {
  ReplyHead head;
  head.headers = options.headers;
  head.keep_alive = options.keep_alive;
  return head;
}

// Writes one stream. The steps of the public function, with what they share as members.
class StreamWriter {
 public:
  StreamWriter(const Completion& completion, const GenerationPace& pace,
               const ReplyOptions& options)
      : completion_(completion),
        pace_(pace),
        options_(options),
        fault_(options.fault),
        events_(Framing(), LineEnd()) {
    chunk_prefix_ = R"({"id":")" + completion.id +
                    R"(","object":"chat.completion.chunk","created":)" +
                    ToText(completion.created) + R"(,"model":")";
    AppendJsonEscaped(chunk_prefix_, completion.model);
    chunk_prefix_ += R"(","service_tier":"default","system_fingerprint":")";
    chunk_prefix_.append(kFingerprint).append(R"(","choices":[)");
    bool usage_elsewhere = options.include_usage && options.usage_style == UsageStyle::kFinalChunk;
    chunk_suffix_ = usage_elsewhere ? R"(],"usage":null})" : "]}";
  }

  ReplyScript Write() {
    if (Is(fault_, FaultKind::kStallHeaders)) {
      events_.EndStep(pace_.first);
      return Take(Ending::kHold);
    }
    if (Is(fault_, FaultKind::kBom)) events_.Bytes(kByteOrderMark);
    WriteOpening();
    std::int64_t deltas = DeltaCount();
    for (std::int64_t delta = 0; delta < deltas; ++delta) {
      if (StopsAfter(delta)) return Stop(delta);
      WriteDeltas(delta);
      events_.EndStep(DueOf(delta));
    }
    if (StopsAfter(deltas) || (StopDelta() && *StopDelta() > deltas)) return Stop(deltas);
    if (Is(fault_, FaultKind::kEndless)) return RepeatLastDelta(deltas);
    WriteFinish();
    return WriteDone();
  }

 private:
  BodyFraming Framing() const {
    if (options_.http10 || Is(fault_, FaultKind::kEofCut)) return BodyFraming::kUntilClose;
    if (Is(fault_, FaultKind::kContentLengthTooLarge)) return BodyFraming::kContentLength;
    return BodyFraming::kChunked;
  }

  std::string_view LineEnd() const {
    return Is(fault_, FaultKind::kCrlf) ? "\r\n" : Is(fault_, FaultKind::kCr) ? "\r" : "\n";
  }

  // How many deltas come before the fault strikes, for those faults that count them.
  std::optional<std::int64_t> StopDelta() const {
    if (!fault_) return std::nullopt;
    switch (fault_->kind) {
      case FaultKind::kResetAfter:
      case FaultKind::kStallAfter:
      case FaultKind::kCut:
      case FaultKind::kChunkedCut:
      case FaultKind::kEofCut:
      case FaultKind::kErrorMid: return fault_->number;
      default: return std::nullopt;
    }
  }

  bool StopsAfter(std::int64_t deltas) const { return StopDelta() == deltas; }

  std::int64_t DeltaCount() const {
    std::int64_t tokens = 0;
    for (std::int64_t each : completion_.ChoiceTokens()) tokens = std::max(tokens, each);
    if (tokens == 0) return 0;
    return 1 + (tokens - 1 + options_.tokens_per_chunk - 1) / options_.tokens_per_chunk;
  }

  Duration DueOf(std::int64_t delta) const {
    std::int64_t tokens = TokensInDeltas(delta + 1, options_.tokens_per_chunk);
    return pace_.TokenDue(std::min(tokens, pace_.LongestChoice()) - 1);
  }

  // Everything before the first delta; it leaves together with it.
  void WriteOpening() {
    if (Is(fault_, FaultKind::kFilterChunks)) {
      events_.Data(R"({"choices":[],"created":0,"id":"","model":"","object":"",)"
                   R"("prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]})");
    }
    for (const Choice& choice : completion_.choices) {
      const char* empty = choice.field == Choice::Field::kContent ? "\"\"" : "null";
      WriteChunk(
          choice,
          R"("delta":{"role":"assistant","content":)" + std::string(empty) + R"(,"refusal":null})",
          "null", RunningUsage(0));
    }
  }

  void WriteDeltas(std::int64_t delta) {
    if (delta == 1 && Is(fault_, FaultKind::kGarbage)) events_.Data(kBrokenJson);
    if (Is(fault_, FaultKind::kKeepaliveEvent)) {
      events_.Line(": keep-alive");
      events_.Bytes("event: keepalive\n");
      events_.Data(R"({"type":"keepalive"})");
    }
    std::int64_t begin = TokensInDeltas(delta, options_.tokens_per_chunk);
    std::int64_t end = TokensInDeltas(delta + 1, options_.tokens_per_chunk);
    std::string usage = RunningUsage(end);
    for (const Choice& choice : completion_.choices) {
      auto count = static_cast<std::int64_t>(choice.pieces.size());
      if (begin >= count) continue;
      delta_ = choice.field == Choice::Field::kRefusal ? R"("delta":{"refusal":")"
                                                       : R"("delta":{"content":")";
      for (std::int64_t i = begin; i < std::min(end, count); ++i) {
        delta_ += choice.pieces[static_cast<std::size_t>(i)];
      }
      delta_ += "\"}";
      WriteChunk(choice, delta_, "null", usage);
      if (Is(fault_, FaultKind::kFilterChunks)) WriteFilterResult(choice);
    }
  }

  // As an asynchronous content filter reports: a choice without a delta.
  void WriteFilterResult(const Choice& choice) {
    events_.Data(chunk_prefix_,
                 R"({"index":)" + ToText(choice.index) +
                     R"(,"finish_reason":null,"content_filter_results":{},)"
                     R"("content_filter_offsets":{"check_offset":0,"start_offset":0}})",
                 chunk_suffix_);
  }

  void WriteChunk(const Choice& choice, std::string_view delta, std::string_view finish_reason,
                  std::string_view usage) {
    choice_ = R"({"index":)" + ToText(choice.index) + ",";
    choice_.append(delta).append(R"(,"logprobs":null,"finish_reason":)").append(finish_reason);
    choice_ += "}";
    events_.Data(chunk_prefix_, choice_, usage.empty() ? std::string_view(chunk_suffix_) : usage);
  }

  // The end of a chunk with the usage so far, when every chunk has it.
  std::string RunningUsage(std::int64_t tokens) const {
    if (!options_.include_usage || options_.usage_style != UsageStyle::kEveryChunk) return "";
    std::int64_t generated = 0;
    for (std::int64_t each : completion_.ChoiceTokens()) generated += std::min(each, tokens);
    return R"(],"usage":)" + UsageJson(completion_, generated) + "}";
  }

  // The end of the last finish chunk, when that carries usage.
  std::string FinishUsage() const {
    if (!options_.include_usage) return "";
    std::string usage = UsageJson(completion_, VisibleTokens(completion_));
    switch (options_.usage_style) {
      case UsageStyle::kFinalChunk: return "";
      case UsageStyle::kXGroq:
        return R"(],"x_groq":{"id":")" + completion_.id + R"(","usage":)" + usage + "}}";
      case UsageStyle::kFinishChunk:
      case UsageStyle::kEveryChunk: return R"(],"usage":)" + usage + "}";
    }
    return "";
  }

  void WriteFinish() {
    std::string usage = FinishUsage();
    for (const Choice& choice : completion_.choices) {
      bool last = &choice == &completion_.choices.back();
      WriteChunk(choice, R"("delta":{})", "\"" + choice.finish_reason + "\"", last ? usage : "");
    }
    if (options_.include_usage && options_.usage_style == UsageStyle::kFinalChunk) {
      events_.Data(chunk_prefix_,
                   R"(],"usage":)" + UsageJson(completion_, VisibleTokens(completion_)), "}");
    }
  }

  ReplyScript WriteDone() {
    Duration due = pace_.End();
    if (Is(fault_, FaultKind::kFakeDone)) {
      events_.Data("[DONE]x");
    } else if (!Is(fault_, FaultKind::kNoDone)) {
      events_.Data("[DONE]");
    }
    if (Is(fault_, FaultKind::kSlowClose)) {
      events_.EndStep(due);
      return Take(Ending::kHold);
    }
    events_.EndBody(due);
    if (Is(fault_, FaultKind::kTrailingBytes)) {
      events_.AfterBody("bytes after the body\r\n", due);
      return Take(Ending::kClose);
    }
    if (Is(fault_, FaultKind::kCloseAfter)) return Take(Ending::kClose);
    if (Is(fault_, FaultKind::kContentLengthTooLarge)) return Take(Ending::kCut);
    return Take(Ending::kKeepAlive);
  }

  // Ends the stream where the fault says, with what it says.
  ReplyScript Stop(std::int64_t delta) {
    Duration due = delta == 0 ? pace_.first : DueOf(delta - 1);
    switch (fault_->kind) {
      case FaultKind::kResetAfter: events_.EndStep(due); return Take(Ending::kReset);
      case FaultKind::kStallAfter: events_.EndStep(due); return Take(Ending::kHold);
      case FaultKind::kErrorMid:
        events_.Data(ErrorBody(StatusError(500)));
        events_.EndBody(due);
        return Take(Ending::kKeepAlive);
      case FaultKind::kCut: events_.EndBody(due); return Take(Ending::kKeepAlive);
      default: events_.EndStep(due); return Take(Ending::kCut);
    }
  }

  ReplyScript RepeatLastDelta(std::int64_t deltas) {
    Duration due = pace_.End();
    std::size_t begin = events_.size();
    WriteDeltas(std::max<std::int64_t>(deltas - 1, 0));
    events_.EndStep(due);
    events_.Repeat(begin, pace_.per_token);
    return Take(Ending::kHold);
  }

  ReplyScript Take(Ending ending) {
    ReplyHead head = HeadFor(options_);
    head.content_type = kEventStreamType;
    head.headers.emplace_back("cache-control", "no-cache");
    if (Is(fault_, FaultKind::kGzip)) head.headers.emplace_back("content-encoding", "gzip");
    if (Is(fault_, FaultKind::kContentLengthTooLarge)) head.content_length = kMissingBytes;
    bool can_keep = options_.keep_alive && Framing() != BodyFraming::kUntilClose;
    ReplyScript script = events_.Take(std::move(head));
    script.ending = ending == Ending::kKeepAlive && !can_keep ? Ending::kClose : ending;
    script.byte_by_byte = Is(fault_, FaultKind::kByteByByte);
    return script;
  }

  const Completion& completion_;
  const GenerationPace& pace_;
  const ReplyOptions& options_;
  const std::optional<Fault>& fault_;
  EventStream events_;
  std::string chunk_prefix_;  // a chunk up to its choices
  std::string chunk_suffix_;
  std::string delta_;  // scratch
  std::string choice_;
};

}  // namespace

std::int64_t TokensInDeltas(std::int64_t deltas, std::int64_t tokens_per_chunk) {
  return deltas == 0 ? 0 : 1 + (deltas - 1) * tokens_per_chunk;
}

ReplyScript JsonReply(int status, std::string body, bool keep_alive) {
  ReplyHead head;
  head.status = status;
  head.keep_alive = keep_alive;
  return BodyReply(std::move(head), std::move(body), std::nullopt, Duration::zero());
}

ReplyScript ErrorReply(const ApiError& error, bool keep_alive, const HeaderList& headers,
                       Duration due) {
  ReplyHead head;
  head.status = error.status;
  head.keep_alive = keep_alive;
  head.headers = headers;
  head.headers.insert(head.headers.end(), error.headers.begin(), error.headers.end());
  if (error.html) head.content_type = "text/html";
  bool no_body = error.status == 204 || error.status == 304;
  return BodyReply(std::move(head), no_body ? "" : ErrorBody(error), std::nullopt, due);
}

ReplyScript WholeReply(const Completion& completion, const GenerationPace& pace,
                       const ReplyOptions& options) {
  if (Is(options.fault, FaultKind::kComments)) {
    return RepeatedReply(HeadFor(options), "\n", pace.first, kCommentInterval);
  }
  JsonWriter json;
  json.BeginObject();
  json.Key("id").String(completion.id);
  json.Key("object").String("chat.completion");
  json.Key("created").Int(completion.created);
  json.Key("model").String(completion.model);
  json.Key("choices").BeginArray();
  for (const Choice& choice : completion.choices) {
    std::string text = "\"";
    for (const std::string& piece : choice.pieces) text += piece;
    text += "\"";
    json.BeginObject();
    json.Key("index").Int(choice.index);
    json.Key("message").BeginObject();
    json.Key("role").String("assistant");
    json.Key("content").Raw(choice.field == Choice::Field::kContent ? text : "null");
    json.Key("refusal").Raw(choice.field == Choice::Field::kRefusal ? text : "null");
    json.Key("annotations").BeginArray().EndArray();
    json.EndObject();
    json.Key("logprobs").Null();
    json.Key("finish_reason").String(choice.finish_reason);
    json.EndObject();
  }
  json.EndArray();
  json.Key("usage").Raw(UsageJson(completion, VisibleTokens(completion)));
  json.Key("service_tier").String("default");
  json.Key("system_fingerprint").String(kFingerprint);
  json.EndObject();

  std::string body = json.Take();
  if (Is(options.fault, FaultKind::kEndless)) {
    return RepeatedReply(HeadFor(options), body, pace.End(), pace.per_token);
  }
  return BodyReply(HeadFor(options), std::move(body), options.fault, pace.End());
}

ReplyScript StreamReply(const Completion& completion, const GenerationPace& pace,
                        const ReplyOptions& options) {
  if (Is(options.fault, FaultKind::kComments)) {
    ReplyHead head = HeadFor(options);
    head.content_type = kEventStreamType;
    return RepeatedReply(std::move(head), ": keep-alive\n\n", pace.first, kCommentInterval);
  }
  return StreamWriter(completion, pace, options).Write();
}

std::optional<InsteadOfCompletion> InsteadReply(const Fault& fault, bool keep_alive, bool stream,
                                                const HeaderList& headers, Duration due) {
  auto error_reply = [&](const ApiError& error) {
    return InsteadOfCompletion{error.status, ErrorReply(error, keep_alive, headers, due)};
  };
  ReplyHead head;
  head.keep_alive = keep_alive;
  head.headers = headers;
  auto body_reply = [&](std::string body) {
    int status = head.status;
    return InsteadOfCompletion{status,
                               BodyReply(std::move(head), std::move(body), std::nullopt, due)};
  };
  auto silent = [](Ending ending) {
    ReplyScript script;
    script.EndStep(Duration::zero());
    script.ending = ending;
    return InsteadOfCompletion{0, std::move(script)};
  };

  switch (fault.kind) {
    case FaultKind::kStatus: return error_reply(StatusError(static_cast<int>(fault.number)));
    case FaultKind::kQuota: return error_reply(QuotaError(fault.text));
    case FaultKind::kSlowDown: return error_reply(SlowDownError());
    case FaultKind::kRetryAfter: return error_reply(RetryAfterError(fault.text));
    case FaultKind::kRedirect:
      head.status = 307;
      head.headers.emplace_back("location", fault.text);
      return body_reply("");
    case FaultKind::kHtml:
      head.content_type = "text/html; charset=utf-8";
      return body_reply(std::string(kHtmlPage));
    case FaultKind::kEmpty:
      if (stream) head.content_type = kEventStreamType;
      return body_reply("");
    case FaultKind::kError200: return body_reply(ErrorBody(StatusError(500)));
    case FaultKind::kBigHeader:
      head.headers.emplace_back("x-large",
                                std::string(static_cast<std::size_t>(fault.number), 'x'));
      return body_reply("{}");
    case FaultKind::kHttpGarbage: {
      ReplyScript script;
      script.bytes = kNotHttp;
      script.EndStep(due);
      script.ending = Ending::kClose;
      return InsteadOfCompletion{0, std::move(script)};
    }
    case FaultKind::kReset: return silent(Ending::kReset);
    case FaultKind::kStall: return silent(Ending::kHold);
    default: return std::nullopt;
  }
}

}  // namespace emulator
