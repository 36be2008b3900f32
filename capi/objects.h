// The simple objects behind handles: constant once made.
#ifndef POSTGEN_CAPI_OBJECTS_H_
#define POSTGEN_CAPI_OBJECTS_H_

#include <string>
#include <string_view>

#include "handles.h"
#include "postgen/c.h"
#include "postgen/error.h"

namespace postgen::capi {

struct ResultObject {
  using Handle = postgen_result;
  static constexpr HandleKind kKind = HandleKind::kResult;
  std::string json;
};

struct ErrorObject {
  using Handle = postgen_error;
  static constexpr HandleKind kKind = HandleKind::kError;
  Code code;
  std::string json;
};

struct StringObject {
  using Handle = postgen_string;
  static constexpr HandleKind kKind = HandleKind::kString;
  std::string text;
};

inline postgen_str Borrow(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_OBJECTS_H_
