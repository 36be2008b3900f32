// KOL profiles as a JSON document: what profiles.url = file:kols.json names.
#ifndef POSTGEN_SRC_REQUEST_PROFILE_JSON_H_
#define POSTGEN_SRC_REQUEST_PROFILE_JSON_H_

#include <string_view>
#include <vector>

#include "postgen/types.h"

namespace postgen {

// An array of rows of kol_profiles, or an object of them by their serial, or one row alone (an
// object with a `serial`). Read as tolerantly as the `profile` of a request, and with its bounds;
// columns without a place in KolProfile are ignored. Fails with kInvalidConfig naming the row and
// the column.
Result<std::vector<KolProfile>> ParseProfiles(std::string_view json);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_PROFILE_JSON_H_
