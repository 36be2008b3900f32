// How a C function fails: a code and the document that says why.
#ifndef POSTGEN_CAPI_ERRORS_H_
#define POSTGEN_CAPI_ERRORS_H_

#include <memory>
#include <optional>
#include <string>

#include "postgen/c.h"
#include "postgen/error.h"
#include "postgen/types.h"

namespace postgen::capi {

struct Failure {
  explicit Failure(Code c) : code(c) {}  // the document is made when it is reported
  explicit Failure(const Error& error);
  explicit Failure(const PostResult& failed_post);

  Code code;
  std::string json;
};

// Nothing: success.
using Outcome = std::optional<Failure>;

// Writes `failure` to *err, replacing a live error there. No-op if err is NULL.
void Report(const Failure& failure, postgen_error** err) noexcept;

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_ERRORS_H_
