// A chat completion request, parsed and checked as the API checks it.
#ifndef POSTGEN_EMULATOR_CHAT_REQUEST_H_
#define POSTGEN_EMULATOR_CHAT_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api_error.h"
#include "settings.h"

namespace emulator {

struct ChatMessage {
  std::string role;
  std::string text;  // text parts joined by line breaks
};

struct ChatRequest {
  std::string model;
  std::vector<ChatMessage> messages;
  bool stream = false;
  bool include_usage = false;
  bool wants_json = false;  // response_format json_object or json_schema
  std::optional<std::int64_t> max_tokens;
  std::optional<std::int64_t> max_completion_tokens;
  std::optional<double> temperature;
  std::optional<std::int64_t> seed;
  std::int64_t n = 1;
  std::vector<std::string> stop;

  // Under whichever name it was given.
  std::optional<std::int64_t> TokenLimit() const {
    return max_tokens ? max_tokens : max_completion_tokens;
  }
};

// The o1, o3, o4 and gpt-5 families: hidden reasoning, max_completion_tokens only, temperature 1.
bool IsReasoningModel(std::string_view model);

std::variant<ChatRequest, ApiError> ParseChatRequest(std::string_view body);

// What this server refuses although the request is well formed: unknown models, parameters that
// the model or the server does not know.
std::optional<ApiError> CheckSupported(const ChatRequest& request, const Settings& settings);

// Tokens of the whole prompt, with the overhead of each message.
std::int64_t CountPromptTokens(const ChatRequest& request);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_CHAT_REQUEST_H_
