// Error replies in the shape of the OpenAI API: {"error":{message,type,param,code}}.
#ifndef POSTGEN_EMULATOR_API_ERROR_H_
#define POSTGEN_EMULATOR_API_ERROR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http_message.h"

namespace emulator {

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::optional<std::string> param;
  std::optional<std::string> code;
  HeaderList headers;
  // A reply that is not JSON, as a gateway would send it.
  std::optional<std::string> html;
};

std::string ErrorBody(const ApiError& error);

ApiError BadHttpError(int status);
ApiError NotFoundError(std::string_view method, std::string_view path);
ApiError MethodError(std::string_view method);
ApiError MissingKeyError();
ApiError WrongKeyError(std::string_view key);
ApiError ModelNotFoundError(std::string_view model);
ApiError InvalidRequestError(std::string message, std::optional<std::string> param,
                             std::optional<std::string> code);
ApiError UnsupportedParameterError(std::string_view param, std::string_view instead);
ApiError UnsupportedValueError(std::string_view param, std::string_view value);
ApiError QuotaError(std::string_view code);
ApiError SlowDownError();
// 429 with a retry-after header; "20ms" sends retry-after-ms: 20 instead.
ApiError RetryAfterError(std::string_view value);
ApiError OverCapacityError(int status);

// What the API, or the gateway before it, sends with `status`.
ApiError StatusError(int status);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_API_ERROR_H_
