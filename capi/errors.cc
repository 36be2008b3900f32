#include "errors.h"

#include <utility>

#include "objects.h"
#include "postgen/json.h"

namespace postgen::capi {
namespace {

// For failures without an Error, where memory or sense had run out.
Error Describe(Code code) {
  return code == Code::kNomem ? Error(code, "out of memory, threads or descriptors")
                              : Error(code, "an unexpected exception; please report it");
}

}  // namespace

Failure::Failure(const Error& error) : code(error.code), json(ErrorToJson(error)) {}

Failure::Failure(const PostResult& failed_post)
    : code(failed_post.error->code), json(ResultToJson(failed_post)) {}

void Report(const Failure& failure, postgen_error** err) noexcept {
  if (err == nullptr) return;
  try {
    TakeHandleAndClear<ErrorObject>(err);
    std::string json = failure.json.empty() ? ErrorToJson(Describe(failure.code)) : failure.json;
    *err = AddHandle(std::make_shared<ErrorObject>(ErrorObject{failure.code, std::move(json)}));
  } catch (...) {
    *err = nullptr;  // the returned code says enough
  }
}

}  // namespace postgen::capi
