#include "api_error.h"

#include "json_writer.h"
#include "numbers.h"

namespace emulator {
namespace {

ApiError Make(int status, std::string message, std::string type,
              std::optional<std::string> code = std::nullopt) {
  ApiError error;
  error.status = status;
  error.message = std::move(message);
  error.type = std::move(type);
  error.code = std::move(code);
  return error;
}

ApiError GatewayError(int status) {
  std::string title = ToText(status) + " " + std::string(StatusReason(status));
  ApiError error = Make(status, title, "gateway");
  error.html = "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" +
               title +
               "</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n";
  return error;
}

// First and last characters, as the API itself shows a key that it refuses.
std::string Masked(std::string_view key) {
  constexpr std::size_t kShown = 4;
  if (key.size() < 4 * kShown) return std::string(key.size(), '*');
  std::string masked(key.substr(0, kShown));
  masked.append(key.size() - 2 * kShown, '*').append(key.substr(key.size() - kShown));
  return masked;
}

}  // namespace

std::string ErrorBody(const ApiError& error) {
  if (error.html) return *error.html;
  JsonWriter json;
  json.BeginObject().Key("error").BeginObject();
  json.Key("message").String(error.message);
  json.Key("type").String(error.type);
  json.Key("param").OptionalString(error.param);
  json.Key("code").OptionalString(error.code);
  json.EndObject().EndObject();
  return json.Take();
}

ApiError BadHttpError(int status) {
  const char* message = status == 413   ? "The request body is larger than 4 MiB."
                        : status == 431 ? "The request headers are larger than 64 KiB."
                                        : "The request is not valid HTTP/1.1.";
  return Make(status, message, "invalid_request_error");
}

ApiError NotFoundError(std::string_view method, std::string_view path) {
  return Make(404, "Invalid URL (" + std::string(method) + " " + std::string(path) + ")",
              "invalid_request_error");
}

ApiError MethodError(std::string_view method) {
  return Make(405, "Not allowed to " + std::string(method) + " here.", "invalid_request_error",
              "method_not_supported");
}

ApiError MissingKeyError() {
  return Make(401,
              "You didn't provide an API key. You need to provide your API key in an Authorization "
              "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
              "invalid_request_error");
}

ApiError WrongKeyError(std::string_view key) {
  return Make(401, "Incorrect API key provided: " + Masked(key) + ".", "invalid_request_error",
              "invalid_api_key");
}

ApiError ModelNotFoundError(std::string_view model) {
  return Make(
      404, "The model `" + std::string(model) + "` does not exist or you do not have access to it.",
      "invalid_request_error", "model_not_found");
}

ApiError InvalidRequestError(std::string message, std::optional<std::string> param,
                             std::optional<std::string> code) {
  ApiError error = Make(400, std::move(message), "invalid_request_error", std::move(code));
  error.param = std::move(param);
  return error;
}

ApiError UnsupportedParameterError(std::string_view param, std::string_view instead) {
  return InvalidRequestError("Unsupported parameter: '" + std::string(param) +
                                 "' is not supported with this model. Use '" +
                                 std::string(instead) + "' instead.",
                             std::string(param), "unsupported_parameter");
}

ApiError UnsupportedValueError(std::string_view param, std::string_view value) {
  return InvalidRequestError("Unsupported value: '" + std::string(param) + "' does not support " +
                                 std::string(value) +
                                 " with this model. Only the default (1) value is supported.",
                             std::string(param), "unsupported_value");
}

ApiError QuotaError(std::string_view code) {
  return Make(429, "You exceeded your current quota, please check your plan and billing details.",
              "insufficient_quota", std::string(code.empty() ? "insufficient_quota" : code));
}

ApiError SlowDownError() {
  return Make(429, "Your request rate rises too fast. Please lower it and raise it slowly.",
              "rate_limit_error", "slow_down");
}

ApiError RetryAfterError(std::string_view value) {
  ApiError error = StatusError(429);
  bool in_ms = value.size() > 2 && value.substr(value.size() - 2) == "ms";
  if (in_ms) value.remove_suffix(2);
  error.headers = {{in_ms ? "retry-after-ms" : "retry-after", std::string(value)}};
  error.message = "Rate limit reached on requests per min (RPM).";
  return error;
}

ApiError OverCapacityError(int status) {
  if (status == 503) return StatusError(503);
  return Make(429, "Too many concurrent requests.", "requests", "rate_limit_exceeded");
}

ApiError StatusError(int status) {
  switch (status) {
    case 401: return WrongKeyError("sk-emulator-refused-key");
    case 402: return Make(402, "Insufficient credits.", "insufficient_credits");
    case 403:
      return Make(403, "Country, region, or territory not supported", "request_forbidden",
                  "unsupported_country_region_territory");
    case 404: return ModelNotFoundError("emulated");
    case 408: return Make(408, "Request timed out.", "timeout");
    case 409: return Make(409, "The resource was changed by another request.", "conflict_error");
    case 429: {
      ApiError error = Make(429,
                            "Rate limit reached on requests per min (RPM): Limit 3, Used 3, "
                            "Requested 1. Please try again in 20ms.",
                            "requests", "rate_limit_exceeded");
      error.headers = {{"retry-after", "1"}, {"retry-after-ms", "20"}};
      return error;
    }
    case 498: return Make(498, "Flex tier capacity exceeded.", "capacity_exceeded");
    case 500:
      return Make(500, "The server had an error while processing your request. Sorry about that!",
                  "server_error");
    case 502: return GatewayError(502);
    case 503:
      return Make(503, "The server is currently overloaded with other requests. Sorry about that!",
                  "service_unavailable_error", "server_is_overloaded");
    case 504: return GatewayError(504);
    case 529: return Make(529, "Overloaded", "overloaded_error");
    default:
      return Make(status, std::string(StatusReason(status)),
                  status < 500 ? "invalid_request_error" : "server_error");
  }
}

}  // namespace emulator
