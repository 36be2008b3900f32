#include "llm/wire/completion_parser.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <simdjson.h>

#include "text/utf8.h"

namespace postgen {

namespace dom = simdjson::dom;

struct CompletionParser::Scratch {
  // The parser reads past the end of a document, so that it gets a padded copy.
  simdjson::error_code Load(std::string_view json, dom::element* root) {
    padded.assign(json);
    padded.append(simdjson::SIMDJSON_PADDING, '\0');
    return parser.parse(padded.data(), json.size(), /*realloc_if_needed=*/false).get(*root);
  }

  dom::parser parser;
  std::string padded;
};

namespace {

Error ProtocolError(std::string_view what) {
  return Error(Code::kProtocol, "the provider's reply is no chat completion: " + std::string(what));
}

Error ParseFailure(simdjson::error_code failure, std::string_view json) {
  if (failure == simdjson::MEMALLOC) {
    return Error(Code::kNomem, "out of memory while reading the provider's reply");
  }
  if (!IsValidUtf8(json)) return Error(Code::kEncoding, "the provider's reply is not UTF-8");
  if (FindLoneSurrogate(json)) {
    return Error(Code::kEncoding, "the provider's reply has half a character");
  }
  return ProtocolError(json.empty() ? "it is empty" : "it is not JSON");
}

// The member `key`, where null counts as absent.
std::optional<dom::element> Member(dom::object object, std::string_view key) {
  dom::element value;
  if (object.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return value;
}

std::optional<dom::object> Object(const std::optional<dom::element>& value) {
  dom::object found;
  if (!value || value->get(found) != simdjson::SUCCESS) return std::nullopt;
  return found;
}

// Several members, the first of each name, in one walk: Member() is one for each.
template <std::size_t N>
std::array<std::optional<dom::element>, N> Members(dom::object object,
                                                   const std::array<std::string_view, N>& keys) {
  std::array<std::optional<dom::element>, N> found;
  for (const dom::key_value_pair field : object) {
    for (std::size_t i = 0; i < N; ++i) {
      if (field.key != keys[i]) continue;
      if (!found[i] && !field.value.is_null()) found[i] = field.value;
      break;
    }
  }
  return found;
}

// Empty where there is no such string.
std::string_view Text(const std::optional<dom::element>& value) {
  std::string_view text;
  if (!value || value->get(text) != simdjson::SUCCESS) return {};
  return text;
}

std::string_view StringMember(dom::object object, std::string_view key) {
  return Text(Member(object, key));
}

// False: it is there and is no string.
bool ReadText(const std::optional<dom::element>& value, std::string_view* text) {
  return !value || value->get(*text) == simdjson::SUCCESS;
}

// More tokens than any reply can have: with less, no sum over replies overflows.
constexpr std::int64_t kMaxCount = 1'000'000'000;

std::optional<std::int64_t> CountMember(dom::object object, std::string_view key) {
  const std::optional<dom::element> value = Member(object, key);
  std::int64_t count = 0;
  if (!value || value->get(count) != simdjson::SUCCESS || count < 0 || count > kMaxCount) {
    return std::nullopt;
  }
  return count;
}

std::optional<Usage> ReadUsage(const std::optional<dom::element>& value) {
  const std::optional<dom::object> object = Object(value);
  if (!object) return std::nullopt;
  const std::optional<std::int64_t> prompt = CountMember(*object, "prompt_tokens");
  const std::optional<std::int64_t> completion = CountMember(*object, "completion_tokens");
  if (!prompt || !completion) return std::nullopt;
  Usage usage{*prompt, *completion, 0};
  if (const auto details = Object(Member(*object, "prompt_tokens_details"))) {
    usage.cached_tokens = std::min(CountMember(*details, "cached_tokens").value_or(0), *prompt);
  }
  return usage;
}

// A code may be a number (OpenRouter).
std::string CodeText(dom::object error) {
  if (const auto number = CountMember(error, "code")) return std::to_string(*number);
  return std::string(StringMember(error, "code"));
}

ProviderError ReadProviderError(dom::object error) {
  ProviderError read;
  read.code = CodeText(error);
  read.type = StringMember(error, "type");
  read.param = StringMember(error, "param");
  read.message = StringMember(error, "message");
  return read;
}

// {"error": {...}}, {"error": "text"} or, from some validators, the error itself.
std::optional<ProviderError> FindProviderError(dom::object root,
                                               const std::optional<dom::element>& error,
                                               const std::optional<dom::element>& type) {
  if (!error) {
    if (Text(type) == "error") return ReadProviderError(root);
    return std::nullopt;
  }
  dom::object object;
  if (error->get(object) == simdjson::SUCCESS) return ReadProviderError(object);
  ProviderError read;
  std::string_view text;
  if (error->get(text) == simdjson::SUCCESS) read.message = text;
  return read;
}

// The document's object; Gemini wraps errors in an array.
bool RootObject(dom::element root, dom::object* object) {
  dom::array array;
  if (root.get(array) == simdjson::SUCCESS && array.begin() != array.end()) root = *array.begin();
  return root.get(*object) == simdjson::SUCCESS;
}

// We ask for one choice: any other index, and the same one twice, is not an answer to us.
bool IsOurIndex(const std::optional<dom::element>& index) {
  std::int64_t number = -1;
  return !index || (index->get(number) == simdjson::SUCCESS && number == 0);
}

std::optional<Error> ReadMessage(dom::object message, CompletionPart* part) {
  const auto [content, refusal, reasoning, reasoning_content] =
      Members<4>(message, {"content", "refusal", "reasoning", "reasoning_content"});
  if (!ReadText(content, &part->content)) return ProtocolError("its content is not text");
  if (part->content.find('\0') != std::string_view::npos) {
    return Error(Code::kEncoding, "the provider's reply has a NUL character in its text");
  }
  part->refusal = Text(refusal);
  part->reasoning = !Text(reasoning).empty() || !Text(reasoning_content).empty();
  return std::nullopt;
}

std::optional<Error> ReadChoice(dom::object choice, CompletionPart* part) {
  const auto [index, finish_reason, delta, message] =
      Members<4>(choice, {"index", "finish_reason", "delta", "message"});
  if (!IsOurIndex(index) || part->has_choice) {
    return ProtocolError("it has a choice that was not asked for");
  }
  part->has_choice = true;
  if (!ReadText(finish_reason, &part->finish_reason)) {
    return ProtocolError("its finish reason is not text");
  }
  std::optional<dom::object> text = Object(delta);
  if (!text) text = Object(message);
  return text ? ReadMessage(*text, part) : std::nullopt;
}

std::optional<Error> ReadChoices(const std::optional<dom::element>& member, CompletionPart* part) {
  if (!member) return std::nullopt;
  dom::array choices;
  if (member->get(choices) != simdjson::SUCCESS) return ProtocolError("its choices are no array");
  for (const dom::element element : choices) {
    dom::object choice;
    if (element.get(choice) != simdjson::SUCCESS) return ProtocolError("a choice is no object");
    if (std::optional<Error> error = ReadChoice(choice, part)) return error;
  }
  return std::nullopt;
}

Result<CompletionPart> ReadPart(dom::element root) {
  dom::object object;
  if (!RootObject(root, &object)) return ProtocolError("it is no object");
  const auto [error, type, model, usage, groq, choices] =
      Members<6>(object, {"error", "object", "model", "usage", "x_groq", "choices"});
  CompletionPart part;
  part.error = FindProviderError(object, error, type);
  part.model = Text(model);
  part.usage = ReadUsage(usage);
  if (!part.usage) {
    // Groq's older form.
    if (const auto extra = Object(groq)) part.usage = ReadUsage(Member(*extra, "usage"));
  }
  if (std::optional<Error> bad = ReadChoices(choices, &part)) return *std::move(bad);
  return part;
}

}  // namespace

CompletionParser::CompletionParser() : scratch_(std::make_unique<Scratch>()) {}

CompletionParser::~CompletionParser() = default;

Result<CompletionPart> CompletionParser::Parse(std::string_view json, SurrogateJoiner* joiner) {
  // A half that an earlier event left belongs before this one's text.
  std::optional<std::string> edited;
  const bool was_holding = joiner != nullptr && joiner->holding();
  if (was_holding) edited = joiner->PutHigh(json);
  const bool joined = edited.has_value();
  std::string_view document = joined ? std::string_view(*edited) : json;

  dom::element root;
  simdjson::error_code failure = scratch_->Load(document, &root);
  if (failure != simdjson::SUCCESS && joiner != nullptr) {
    if (std::optional<std::string> rest = joiner->TakeHigh(document)) {
      edited = std::move(rest);
      document = *edited;
      failure = scratch_->Load(document, &root);
    }
  }
  if (failure != simdjson::SUCCESS) return ParseFailure(failure, document);

  Result<CompletionPart> part = ReadPart(root);
  if (part.ok() && was_holding && !joined && !part->content.empty()) {
    return Error(Code::kEncoding, "the provider's reply has half a character");
  }
  return part;
}

ProviderError CompletionParser::ParseError(std::string_view body) {
  ProviderError fallback;
  fallback.message = body;
  dom::element root;
  dom::object object;
  if (scratch_->Load(body, &root) != simdjson::SUCCESS || !RootObject(root, &object)) {
    return fallback;
  }
  if (std::optional<ProviderError> error =
          FindProviderError(object, Member(object, "error"), Member(object, "object"))) {
    return *std::move(error);
  }
  // An error without an envelope; what validators put where varies too much to read it.
  ProviderError flat = ReadProviderError(object);
  if (flat.message.empty()) flat.message = std::move(fallback.message);
  return flat;
}

}  // namespace postgen
