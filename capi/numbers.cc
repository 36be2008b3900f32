// The C header repeats numbers of the C++ headers; here the compiler compares them.
#include "postgen/c.h"
#include "postgen/error.h"
#include "postgen/observer.h"

namespace postgen::capi {
namespace {

template <typename Enum>
constexpr bool Same(int in_c, Enum in_cpp) {
  return in_c == static_cast<int>(in_cpp);
}

static_assert(Same(POSTGEN_OK, Code::kOk));
static_assert(Same(POSTGEN_INVALID_REQUEST, Code::kInvalidRequest));
static_assert(Same(POSTGEN_INVALID_CONFIG, Code::kInvalidConfig));
static_assert(Same(POSTGEN_UNKNOWN_KOL, Code::kUnknownKol));
static_assert(Same(POSTGEN_CONFLICT, Code::kConflict));
static_assert(Same(POSTGEN_BUDGET, Code::kBudget));
static_assert(Same(POSTGEN_BUSY, Code::kBusy));
static_assert(Same(POSTGEN_STORE, Code::kStore));
static_assert(Same(POSTGEN_AUTH, Code::kAuth));
static_assert(Same(POSTGEN_QUOTA, Code::kQuota));
static_assert(Same(POSTGEN_RATE_LIMITED, Code::kRateLimited));
static_assert(Same(POSTGEN_REFUSED, Code::kRefused));
static_assert(Same(POSTGEN_UPSTREAM, Code::kUpstream));
static_assert(Same(POSTGEN_CONNECT, Code::kConnect));
static_assert(Same(POSTGEN_DNS, Code::kDns));
static_assert(Same(POSTGEN_TLS, Code::kTls));
static_assert(Same(POSTGEN_TIMEOUT_CONNECT, Code::kTimeoutConnect));
static_assert(Same(POSTGEN_TIMEOUT_FIRST_TOKEN, Code::kTimeoutFirstToken));
static_assert(Same(POSTGEN_TIMEOUT_IDLE, Code::kTimeoutIdle));
static_assert(Same(POSTGEN_TIMEOUT_ATTEMPT, Code::kTimeoutAttempt));
static_assert(Same(POSTGEN_TRUNCATED, Code::kTruncated));
static_assert(Same(POSTGEN_PROTOCOL, Code::kProtocol));
static_assert(Same(POSTGEN_ENCODING, Code::kEncoding));
static_assert(Same(POSTGEN_TOO_LARGE, Code::kTooLarge));
static_assert(Same(POSTGEN_REJECTED, Code::kRejected));
static_assert(Same(POSTGEN_DEADLINE, Code::kDeadline));
static_assert(Same(POSTGEN_CANCELLED, Code::kCancelled));
static_assert(Same(POSTGEN_CLOSED, Code::kClosed));
static_assert(Same(POSTGEN_FORKED, Code::kForked));
static_assert(Same(POSTGEN_REENTRANT, Code::kReentrant));
static_assert(Same(POSTGEN_NOMEM, Code::kNomem));
static_assert(Same(POSTGEN_INTERNAL, Code::kInternal));

static_assert(Same(POSTGEN_EVENT_VERSION_STARTED, Event::Type::kVersionStarted));
static_assert(Same(POSTGEN_EVENT_DELTA, Event::Type::kDelta));
static_assert(Same(POSTGEN_EVENT_VERSION_DONE, Event::Type::kVersionDone));
static_assert(Same(POSTGEN_EVENT_VERSION_RESET, Event::Type::kVersionReset));
static_assert(Same(POSTGEN_EVENT_POST, Event::Type::kPost));
static_assert(Same(POSTGEN_EVENT_ERROR, Event::Type::kError));
static_assert(Same(POSTGEN_PART_NONE, Event::Part::kNone));
static_assert(Same(POSTGEN_PART_TITLE, Event::Part::kTitle));
static_assert(Same(POSTGEN_PART_CONTENT, Event::Part::kContent));

}  // namespace
}  // namespace postgen::capi
