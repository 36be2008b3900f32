// Times as SQLite keeps them: "2026-11-23 15:04:05.678901", UTC.
#ifndef POSTGEN_SRC_STORE_TIME_TEXT_H_
#define POSTGEN_SRC_STORE_TIME_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "postgen/types.h"

namespace postgen {

// Fractions of a microsecond are dropped.
std::string FormatTime(WallTime time);

// std::nullopt: not such a text. The fraction may be shorter or missing, as in SQLite's own
// CURRENT_TIMESTAMP.
std::optional<WallTime> ParseTime(std::string_view text);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_TIME_TEXT_H_
