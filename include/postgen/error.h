// Error values. postgen reports every failure as a value: a stable code, a one-line message and the
// facts that were known (HTTP status, provider code, request id, ...). Nothing in this library
// throws across its public surface.
//
//   postgen::Result<postgen::PostResult> post = generator->Generate(request);
//   if (!post.ok()) {
//     // The message never contains a key, a password or a prompt.
//     std::cerr << post.error().message << '\n';
//     if (post.error().code == postgen::Code::kRateLimited) {
//       RetryLater(post.error().details.retry_after_ms);
//     }
//   }
//
// Thread safety: plain values; distinct objects may be used from distinct threads.
#ifndef POSTGEN_ERROR_H_
#define POSTGEN_ERROR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "postgen/export.h"

namespace postgen {

// The closed list of outcomes. The numbers are part of the C ABI and never change their meaning.
enum class Code : std::int32_t {
  kOk = 0,
  kInvalidRequest = 1,      // the request was refused before anything was done
  kInvalidConfig = 2,       // the options were refused
  kUnknownKol = 3,          // `require_kol` is set and no such KOL exists
  kConflict = 4,            // idempotency key or post id with other content
  kBudget = 5,              // the spending budget would be exceeded
  kBusy = 6,                // too many posts pending; nothing was paid
  kStore = 7,               // store or schema unusable before anything was paid
  kAuth = 8,                // the provider refused the key
  kQuota = 9,               // the provider's money or quota is used up
  kRateLimited = 10,        // still rate limited after the last attempt
  kRefused = 11,            // other 4xx of the provider, content filter, refusal
  kUpstream = 12,           // 5xx of the provider
  kConnect = 13,            // no connection, or it broke before a reply
  kDns = 14,                // the host name did not resolve
  kTls = 15,                // certificate or handshake refused
  kTimeoutConnect = 16,     // llm.connect_timeout_ms passed
  kTimeoutFirstToken = 17,  // llm.first_token_timeout_ms passed
  kTimeoutIdle = 18,        // llm.idle_timeout_ms passed between two payload events
  kTimeoutAttempt = 19,     // llm.attempt_timeout_ms passed
  kTruncated = 20,          // the reply was cut
  kProtocol = 21,           // the reply does not follow the chat-completions protocol
  kEncoding = 22,           // the reply is not valid UTF-8
  kTooLarge = 23,           // the reply exceeds a bound
  kRejected = 24,           // a version failed its checks
  kDeadline = 25,           // nothing was ready when the post was due
  kCancelled = 26,          // the caller cancelled
  kClosed = 27,             // the generator is closed
  kForked = 28,             // the generator was made in another process
  kReentrant = 29,          // called from inside a callback where that is forbidden
  kNomem = 30,              // out of memory
  kInternal = 31,           // a defect in postgen; please report it
};

// "invalid_request" for kInvalidRequest, and so on: the `error_type` of replies. Static storage.
POSTGEN_EXPORT std::string_view CodeName(Code code);

// The HTTP status that goes with a code: 400 for kInvalidRequest, 200 for kOk.
POSTGEN_EXPORT int HttpStatus(Code code);

// Facts that travel with an error through every retry and every door. Absent means unknown.
struct ErrorDetails {
  std::optional<int> http_status;              // of the provider's last reply
  std::string provider_code;                   // `error.code` (or `type`) as the provider sent it
  std::string request_id;                      // the provider's x-request-id
  std::optional<std::int64_t> retry_after_ms;  // how long the provider asked us to wait
  int attempts = 0;                            // requests sent, the failed ones included
  std::string field;                           // request field, option key, host or column at fault
  bool transient = false;  // of a store: it is away now, and the same may succeed later

  friend bool operator==(const ErrorDetails&, const ErrorDetails&) = default;
};

struct Error {
  Code code = Code::kInternal;
  std::string message;  // one line: what happened, which field or host, what to do
  ErrorDetails details;

  Error() = default;
  Error(Code c, std::string m) : code(c), message(std::move(m)) {}
  Error(Code c, std::string m, std::string field) : code(c), message(std::move(m)) {
    details.field = std::move(field);
  }

  friend bool operator==(const Error&, const Error&) = default;
};

// Either a value or an Error. Reading the side that is not there is a programming error (std::get
// throws std::bad_variant_access, which postgen's own code never lets happen).
template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit, so that a function may return its value or its error as they are.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace postgen

#endif  // POSTGEN_ERROR_H_
