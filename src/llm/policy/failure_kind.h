// Groups of codes that several policies tell apart.
#ifndef POSTGEN_SRC_LLM_POLICY_FAILURE_KIND_H_
#define POSTGEN_SRC_LLM_POLICY_FAILURE_KIND_H_

#include "postgen/error.h"

namespace postgen {

inline bool IsTimeout(Code code) {
  switch (code) {
    case Code::kTimeoutConnect:
    case Code::kTimeoutFirstToken:
    case Code::kTimeoutIdle:
    case Code::kTimeoutAttempt: return true;
    default: return false;
  }
}

// The server or the way to it is in trouble, whatever was asked and with whichever key.
inline bool IsServerTrouble(Code code) {
  switch (code) {
    case Code::kUpstream:
    case Code::kConnect:
    case Code::kDns:
    case Code::kTls:
    case Code::kTruncated: return true;
    default: return IsTimeout(code);
  }
}

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_FAILURE_KIND_H_
