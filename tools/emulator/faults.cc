#include "faults.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "numbers.h"
#include "random.h"

namespace emulator {
namespace {

enum class ValueType { kNone, kNumber, kText };

struct FaultSpec {
  std::string_view name;
  FaultKind kind;
  ValueType type;
  std::int64_t low;
  std::int64_t high;
  std::int64_t preset;  // the number when none is given
  std::string_view help;
};

constexpr std::int64_t kMaxDeltas = 1'000'000;
constexpr std::int64_t kMaxEventBytes = 256LL << 20;
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

constexpr FaultSpec Plain(std::string_view name, FaultKind kind, std::string_view help) {
  return {name, kind, ValueType::kNone, 0, 0, 0, help};
}

constexpr FaultSpec Deltas(std::string_view name, FaultKind kind, std::string_view help) {
  return {name, kind, ValueType::kNumber, 0, kMaxDeltas, 3, help};
}

constexpr FaultSpec kSpecs[] = {
    {"status", FaultKind::kStatus, ValueType::kNumber, 200, 599, 500,
     "answer with this status and the body that goes with it"},
    {"quota", FaultKind::kQuota, ValueType::kText, 0, 0, 0,
     "429 of type insufficient_quota; the value is another error code"},
    Plain("slow-down", FaultKind::kSlowDown, "429 with code slow_down"),
    {"retry-after", FaultKind::kRetryAfter, ValueType::kText, 0, 0, 0,
     "429 with this retry-after header (seconds or a date; 20ms sends retry-after-ms: 20)"},
    {"redirect", FaultKind::kRedirect, ValueType::kText, 0, 0, 0, "307 to this URL"},
    Plain("html", FaultKind::kHtml, "200 with an HTML page"),
    Plain("empty", FaultKind::kEmpty, "200 with an empty body"),
    Plain("error-200", FaultKind::kError200, "200 with a JSON error body"),
    Plain("http-garbage", FaultKind::kHttpGarbage, "bytes that are not HTTP"),
    {"big-header", FaultKind::kBigHeader, ValueType::kNumber, 1, kMaxEventBytes, 300'000,
     "a header line of so many bytes"},

    Plain("reset", FaultKind::kReset, "RST before any byte"),
    Plain("stall", FaultKind::kStall, "no answer, connection open"),
    Plain("stall-headers", FaultKind::kStallHeaders, "headers, then silence"),
    Deltas("reset-after", FaultKind::kResetAfter, "RST after N deltas"),
    Deltas("stall-after", FaultKind::kStallAfter, "silence after N deltas"),
    Deltas("cut", FaultKind::kCut,
           "after N deltas the body ends properly, without finish_reason or [DONE]"),
    Deltas("chunked-cut", FaultKind::kChunkedCut,
           "connection closed after N deltas, inside the body"),
    Deltas("eof-cut", FaultKind::kEofCut,
           "a body delimited by the end of the connection, which comes after N deltas"),
    Plain("slow-close", FaultKind::kSlowClose, "[DONE], then the body does not end"),
    Plain("close-after", FaultKind::kCloseAfter,
          "keep-alive promised, closed right after the reply"),
    Plain("endless", FaultKind::kEndless, "deltas for ever"),
    Plain("comments", FaultKind::kComments,
          "SSE comments for ever (blank lines when not streamed)"),

    Deltas("error-mid", FaultKind::kErrorMid, "an error event after N deltas, then the end"),
    Plain("no-done", FaultKind::kNoDone, "finish_reason but no [DONE]"),
    Plain("fake-done", FaultKind::kFakeDone, "data: [DONE]x instead of [DONE]"),
    Plain("garbage", FaultKind::kGarbage, "malformed JSON in the third event, or as the body"),
    Plain("keepalive-event", FaultKind::kKeepaliveEvent,
          "comments and events of type keepalive between the deltas"),
    Plain("filter-chunks", FaultKind::kFilterChunks,
          "a first chunk with empty choices, later ones with a choice without delta"),
    {"choice-index", FaultKind::kChoiceIndex, ValueType::kNumber, -kMaxInt, kMaxInt, -1,
     "this index on every choice"},

    Plain("empty-content", FaultKind::kEmptyContent, "content \"\""),
    Plain("null-content", FaultKind::kNullContent, "content null"),
    Plain("refusal", FaultKind::kRefusal, "a refusal instead of content"),
    Plain("content-filter", FaultKind::kContentFilter,
          "half the text, finish_reason content_filter"),
    Plain("length", FaultKind::kLength, "half the text, finish_reason length"),
    Plain("bad-utf8", FaultKind::kBadUtf8, "bytes FF FE in the text"),
    Plain("lone-surrogate", FaultKind::kLoneSurrogate, "\\ud83d without its partner in the text"),
    Plain("split-surrogate", FaultKind::kSplitSurrogate,
          "a surrogate pair over two deltas, which is legal"),
    Plain("nul-content", FaultKind::kNulContent, "\\u0000 in the text"),
    {"big-event", FaultKind::kBigEvent, ValueType::kNumber, 1, kMaxEventBytes, 8LL << 20,
     "one delta with so many bytes of text"},

    Plain("byte-by-byte", FaultKind::kByteByByte, "writes of one byte"),
    Plain("crlf", FaultKind::kCrlf, "event lines end in CR LF"),
    Plain("cr", FaultKind::kCr, "event lines end in CR"),
    Plain("bom", FaultKind::kBom, "a byte order mark before the body"),
    Plain("content-length-too-large", FaultKind::kContentLengthTooLarge,
          "content-length of 1,000 bytes more than are sent, then closed"),
    Plain("trailing-bytes", FaultKind::kTrailingBytes, "bytes after the end of the body"),
    Plain("gzip", FaultKind::kGzip, "content-encoding: gzip on a body that is not"),
};

const FaultSpec* FindSpec(std::string_view name) {
  for (const FaultSpec& spec : kSpecs) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

std::string_view Name(FaultKind kind) {
  for (const FaultSpec& spec : kSpecs) {
    if (spec.kind == kind) return spec.name;
  }
  return "";
}

std::string Bounds(const FaultSpec& spec) {
  return "must be a whole number from " + ToText(spec.low) + " to " + ToText(spec.high);
}

// Moves ":share", "@every" or "#count" from the end of *text to *rule. A suffix that is not a
// number belongs to the fault's value (a URL, a date).
bool TakeCondition(std::string_view* text, FaultRule* rule, std::string* error) {
  std::size_t mark = text->find_last_of(":@#");
  if (mark == std::string_view::npos) return true;
  std::string_view suffix = text->substr(mark + 1);
  char sign = (*text)[mark];
  std::optional<double> share = ToNumber<double>(suffix);
  if (!share) return true;
  if (sign == ':') {
    if (*share < 0 || *share > 1) {
      *error = "share in '" + std::string(*text) + "' must be from 0 to 1";
      return false;
    }
    rule->when = FaultRule::When::kShare;
    rule->share = *share;
  } else {
    std::optional<std::int64_t> count = ToNumber<std::int64_t>(suffix);
    if (!count || *count < 1) {
      *error = "count in '" + std::string(*text) + "' must be a whole number of at least 1";
      return false;
    }
    rule->when = sign == '@' ? FaultRule::When::kEvery : FaultRule::When::kFirst;
    rule->count = *count;
  }
  text->remove_suffix(text->size() - mark);
  return true;
}

}  // namespace

std::optional<Fault> ParseFault(std::string_view text, std::string* error) {
  std::size_t equals = text.find('=');
  std::string_view name = text.substr(0, equals);
  const FaultSpec* spec = FindSpec(name);
  if (spec == nullptr) {
    *error = "unknown fault '" + std::string(name) + "' (--help lists them)";
    return std::nullopt;
  }
  Fault fault{spec->kind, spec->preset, ""};
  if (equals == std::string_view::npos) {
    bool needs_value = spec->kind == FaultKind::kRedirect || spec->kind == FaultKind::kRetryAfter;
    if (!needs_value) return fault;
    *error = "fault '" + std::string(name) + "' needs a value: " + std::string(name) + "=...";
    return std::nullopt;
  }
  std::string_view value = text.substr(equals + 1);
  if (spec->type == ValueType::kNone) {
    *error = "fault '" + std::string(name) + "' takes no value";
    return std::nullopt;
  }
  if (spec->type == ValueType::kNumber) {
    std::optional<std::int64_t> number = ToNumber<std::int64_t>(value);
    if (!number || *number < spec->low || *number > spec->high) {
      *error = "fault '" + std::string(name) + "': value " + Bounds(*spec);
      return std::nullopt;
    }
    fault.number = *number;
    return fault;
  }
  // The text goes into a header or a JSON string: no line breaks.
  if (value.empty() || value.find_first_of("\r\n") != std::string_view::npos) {
    *error = "fault '" + std::string(name) + "': value must be one line, not empty";
    return std::nullopt;
  }
  fault.text = value;
  return fault;
}

std::optional<FaultRule> ParseFaultRule(std::string_view text, std::string* error) {
  FaultRule rule;
  rule.spec = text;
  if (!TakeCondition(&text, &rule, error)) return std::nullopt;
  std::optional<Fault> fault = ParseFault(text, error);
  if (!fault) return std::nullopt;
  rule.fault = *std::move(fault);
  return rule;
}

std::string FaultName(const Fault& fault) {
  std::string name(Name(fault.kind));
  const FaultSpec* spec = FindSpec(name);
  if (spec->type == ValueType::kNumber) name += "=" + ToText(fault.number);
  if (spec->type == ValueType::kText && !fault.text.empty()) name += "=" + fault.text;
  return name;
}

std::string FaultsHelp() {
  constexpr std::size_t kColumn = 30;
  std::string help;
  for (const FaultSpec& spec : kSpecs) {
    std::string line = "  " + std::string(spec.name);
    if (spec.type == ValueType::kNumber) line += "=" + ToText(spec.preset);
    if (spec.type == ValueType::kText) line += "=TEXT";
    line.resize(std::max(line.size() + 2, kColumn), ' ');
    help += line + std::string(spec.help) + "\n";
  }
  return help;
}

void FaultPlan::SetRules(std::vector<FaultRule> rules) {
  rules_.clear();
  for (FaultRule& rule : rules) rules_.push_back({std::move(rule), 0});
}

std::optional<Fault> FaultPlan::Draw(std::uint64_t seed, std::uint64_t index) {
  constexpr std::uint64_t kFaultStream = 0xfa;  // keeps these draws apart from the latency's
  Rng rng(Mix(Mix(seed, kFaultStream), index));
  const Fault* drawn = nullptr;
  for (CountedRule& counted : rules_) {
    const FaultRule& rule = counted.rule;
    ++counted.seen;
    double luck = rng.Unit();  // drawn for every rule, so that one rule does not shift another
    bool matches = false;
    switch (rule.when) {
      case FaultRule::When::kAlways: matches = true; break;
      case FaultRule::When::kShare: matches = luck < rule.share; break;
      case FaultRule::When::kEvery: matches = counted.seen % rule.count == 0; break;
      case FaultRule::When::kFirst: matches = counted.seen <= rule.count; break;
    }
    if (matches && drawn == nullptr) drawn = &rule.fault;
  }
  return drawn == nullptr ? std::nullopt : std::optional<Fault>(*drawn);
}

}  // namespace emulator
