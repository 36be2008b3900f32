// Times as the app writes them.
#ifndef POSTGEN_SRC_REQUEST_TIMESTAMP_H_
#define POSTGEN_SRC_REQUEST_TIMESTAMP_H_

#include <string>

#include "postgen/types.h"

namespace postgen {

// ISO 8601 in Taipei's time, with microseconds: "2026-01-07T15:12:03.000042+08:00".
std::string TaipeiTimestamp(WallTime time);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_TIMESTAMP_H_
