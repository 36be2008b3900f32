#include "chat_request.h"

#include <simdjson.h>

#include <limits>
#include <utility>

#include "numbers.h"
#include "tokens.h"

namespace emulator {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t kMaxChoices = 128;
constexpr std::int64_t kMaxTokenLimit = 1'000'000;
constexpr std::size_t kMaxStops = 4;
constexpr std::size_t kMaxModelBytes = 256;

// What the API adds to the text of each message, and to the prompt as a whole.
constexpr std::int64_t kTokensPerMessage = 4;
constexpr std::int64_t kTokensPerPrompt = 3;

std::string Quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

ApiError WrongType(std::string_view param, std::string_view expected) {
  return InvalidRequestError(
      "Invalid type for " + Quoted(param) + ": expected " + std::string(expected) + ".",
      std::string(param), "invalid_type");
}

ApiError Missing(std::string_view param) {
  return InvalidRequestError("Missing required parameter: " + Quoted(param) + ".",
                             std::string(param), "missing_required_parameter");
}

ApiError OutOfRange(std::string_view param, const std::string& low, const std::string& high) {
  return InvalidRequestError(
      "Invalid value for " + Quoted(param) + ": expected a value from " + low + " to " + high + ".",
      std::string(param), "invalid_value");
}

// Reads optional members of a JSON object; the first thing wrong is kept in error().
class Fields {
 public:
  explicit Fields(dom::object object) : object_(object) {}

  // The member, unless it is absent or null.
  std::optional<dom::element> Find(std::string_view name) const {
    dom::element value;
    if (object_[name].get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
    return value;
  }

  void Bool(std::string_view name, bool* out) {
    std::optional<dom::element> value = Find(name);
    if (value && value->get(*out) != simdjson::SUCCESS) Fail(WrongType(name, "a boolean"));
  }

  std::optional<std::int64_t> Integer(std::string_view name, std::int64_t low, std::int64_t high) {
    std::optional<dom::element> value = Find(name);
    if (!value) return std::nullopt;
    std::int64_t number = 0;
    if (value->get(number) != simdjson::SUCCESS) {
      Fail(WrongType(name, "an integer"));
    } else if (number < low || number > high) {
      Fail(OutOfRange(name, ToText(low), ToText(high)));
    }
    return number;
  }

  std::optional<double> Number(std::string_view name, double low, double high) {
    std::optional<dom::element> value = Find(name);
    if (!value) return std::nullopt;
    double number = 0;
    if (value->get(number) != simdjson::SUCCESS) {
      Fail(WrongType(name, "a number"));
    } else if (number < low || number > high) {
      Fail(OutOfRange(name, ToText(low), ToText(high)));
    }
    return number;
  }

  void Fail(ApiError error) {
    if (!error_) error_ = std::move(error);
  }

  const std::optional<ApiError>& error() const { return error_; }

 private:
  dom::object object_;
  std::optional<ApiError> error_;
};

// The text of a message's content: a string, null, or an array of parts.
std::optional<std::string> ContentText(dom::element content) {
  std::string_view text;
  if (content.is_null()) return "";
  if (content.get(text) == simdjson::SUCCESS) return std::string(text);
  dom::array parts;
  if (content.get(parts) != simdjson::SUCCESS) return std::nullopt;
  std::string joined;
  for (dom::element part : parts) {
    if (part["text"].get(text) != simdjson::SUCCESS) continue;  // an image or the like
    if (!joined.empty()) joined += "\n";
    joined += text;
  }
  return joined;
}

void ReadMessages(Fields& fields, ChatRequest* request) {
  std::optional<dom::element> value = fields.Find("messages");
  if (!value) return fields.Fail(Missing("messages"));
  dom::array messages;
  if (value->get(messages) != simdjson::SUCCESS) {
    return fields.Fail(WrongType("messages", "an array of objects"));
  }
  for (dom::element item : messages) {
    std::string_view role;
    dom::element content;
    if (item["role"].get(role) != simdjson::SUCCESS) {
      return fields.Fail(Missing("messages[" + ToText(request->messages.size()) + "].role"));
    }
    std::optional<std::string> text = "";
    if (item["content"].get(content) == simdjson::SUCCESS) text = ContentText(content);
    if (!text) return fields.Fail(WrongType("messages.content", "a string or an array"));
    request->messages.push_back({std::string(role), *std::move(text)});
  }
  if (request->messages.empty()) {
    fields.Fail(
        InvalidRequestError("Invalid 'messages': empty array. Expected an array with "
                            "minimum length 1, but got an empty array instead.",
                            "messages", "empty_array"));
  }
}

void ReadStop(Fields& fields, ChatRequest* request) {
  std::optional<dom::element> value = fields.Find("stop");
  if (!value) return;
  std::string_view text;
  if (value->get(text) == simdjson::SUCCESS) {
    request->stop.emplace_back(text);
    return;
  }
  dom::array stops;
  if (value->get(stops) != simdjson::SUCCESS || stops.size() > kMaxStops) {
    return fields.Fail(WrongType("stop", "a string or an array of up to 4 strings"));
  }
  for (dom::element stop : stops) {
    if (stop.get(text) != simdjson::SUCCESS) return fields.Fail(WrongType("stop", "strings"));
    request->stop.emplace_back(text);
  }
}

void ReadModel(Fields& fields, ChatRequest* request) {
  std::optional<dom::element> value = fields.Find("model");
  std::string_view model;
  if (!value) {
    return fields.Fail(
        InvalidRequestError("you must provide a model parameter", std::nullopt, std::nullopt));
  }
  if (value->get(model) != simdjson::SUCCESS) return fields.Fail(WrongType("model", "a string"));
  // It is repeated in every chunk and kept in the ledger.
  if (model.size() > kMaxModelBytes) {
    return fields.Fail(InvalidRequestError("Invalid 'model': string too long.", "model",
                                           "string_above_max_length"));
  }
  request->model = model;
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

bool IsReasoningModel(std::string_view model) {
  // A vendor's prefix, as in "openai/o3-mini", does not matter.
  model = model.substr(model.rfind('/') == std::string_view::npos ? 0 : model.rfind('/') + 1);
  for (std::string_view family : {"o1", "o3", "o4", "gpt-5"}) {
    if (!StartsWith(model, family)) continue;
    std::string_view rest = model.substr(family.size());
    if (rest.empty() || rest[0] == '-' || rest[0] == '.') return true;
  }
  return false;
}

std::variant<ChatRequest, ApiError> ParseChatRequest(std::string_view body) {
  dom::parser parser;
  dom::object object;
  if (parser.parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
    return InvalidRequestError(
        "We could not parse the JSON body of your request. The API expects a JSON object, encoded "
        "in UTF-8.",
        std::nullopt, std::nullopt);
  }
  ChatRequest request;
  Fields fields(object);
  ReadModel(fields, &request);
  ReadMessages(fields, &request);
  ReadStop(fields, &request);
  fields.Bool("stream", &request.stream);
  request.max_tokens = fields.Integer("max_tokens", 1, kMaxTokenLimit);
  request.max_completion_tokens = fields.Integer("max_completion_tokens", 1, kMaxTokenLimit);
  request.temperature = fields.Number("temperature", 0, 2);
  constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();
  request.seed = fields.Integer("seed", -kMaxInt - 1, kMaxInt);
  request.n = fields.Integer("n", 1, kMaxChoices).value_or(1);

  if (std::optional<dom::element> options = fields.Find("stream_options")) {
    dom::object members;
    if (options->get(members) != simdjson::SUCCESS) {
      fields.Fail(WrongType("stream_options", "an object"));
    } else if (!request.stream) {
      fields.Fail(InvalidRequestError(
          "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
          "stream_options", std::nullopt));
    } else if (members["include_usage"].error() == simdjson::SUCCESS &&
               members["include_usage"].get(request.include_usage) != simdjson::SUCCESS) {
      fields.Fail(WrongType("stream_options.include_usage", "a boolean"));
    }
  }
  if (std::optional<dom::element> format = fields.Find("response_format")) {
    std::string_view type;
    if ((*format)["type"].get(type) != simdjson::SUCCESS) {
      fields.Fail(Missing("response_format.type"));
    }
    request.wants_json = type == "json_object" || type == "json_schema";
  }
  if (request.max_tokens && request.max_completion_tokens) {
    fields.Fail(InvalidRequestError(
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        "max_tokens", "invalid_parameter_combination"));
  }
  if (fields.error()) return *fields.error();
  return request;
}

std::optional<ApiError> CheckSupported(const ChatRequest& request, const Settings& settings) {
  if (settings.unknown_models.count(request.model) > 0) return ModelNotFoundError(request.model);
  if (settings.only_max_tokens && request.max_completion_tokens) {
    return InvalidRequestError("Unrecognized request argument supplied: max_completion_tokens",
                               std::nullopt, std::nullopt);
  }
  if (!IsReasoningModel(request.model)) return std::nullopt;
  if (request.max_tokens) return UnsupportedParameterError("max_tokens", "max_completion_tokens");
  if (request.temperature && *request.temperature != 1) {
    return UnsupportedValueError("temperature", ToText(*request.temperature));
  }
  return std::nullopt;
}

std::int64_t CountPromptTokens(const ChatRequest& request) {
  std::int64_t tokens = kTokensPerPrompt;
  for (const ChatMessage& message : request.messages) {
    tokens += kTokensPerMessage + static_cast<std::int64_t>(CountTokens(message.text));
  }
  return tokens;
}

}  // namespace emulator
