// The firewall at the C boundary: no exception passes it, in either direction, except the unwinding
// of a thread that is being cancelled, which must go on.
#ifndef POSTGEN_CAPI_GUARD_H_
#define POSTGEN_CAPI_GUARD_H_

#include <cxxabi.h>

#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "errors.h"
#include "postgen/c.h"
#include "postgen/error.h"

namespace postgen::capi {

// Runs `body`; what it throws becomes a Failure. Not checked for null references: a thread that is
// being cancelled unwinds without an exception object, which UBSan takes for one. Not inlined,
// since GCC checks what it has inlined by the caller's rules.
template <typename Body>
__attribute__((no_sanitize("null"), noinline)) Outcome Contain(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const std::bad_alloc&) {
    return Failure(Code::kNomem);
  } catch (const std::system_error&) {
    return Failure(Code::kNomem);  // from std::thread and std::mutex: no thread to be had
  } catch (...) {
    return Failure(Code::kInternal);
  }
}

// The body of a function that returns a code: reports a failure in *err, unless err is NULL.
template <typename Body>
postgen_code Guard(postgen_error** err, Body&& body) {
  const Outcome outcome = Contain(std::forward<Body>(body));
  if (!outcome.has_value()) return POSTGEN_OK;
  Report(*outcome, err);
  return static_cast<postgen_code>(outcome->code);
}

// The body of a function that cannot report: `otherwise` if it throws.
template <typename T, typename Body>
__attribute__((no_sanitize("null"), noinline)) T GuardValue(T otherwise, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return otherwise;
  }
}

template <typename Body>
void GuardVoid(Body&& body) {
  GuardValue(0, [&body] {
    body();
    return 0;
  });
}

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_GUARD_H_
