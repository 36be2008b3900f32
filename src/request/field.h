// One field of a document. Tables of fields (request_fields.h, option_fields.h) drive parsing,
// checking and the schema, so that a field is written down once.
#ifndef POSTGEN_SRC_REQUEST_FIELD_H_
#define POSTGEN_SRC_REQUEST_FIELD_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "postgen/options.h"
#include "postgen/types.h"
#include "request/json_value.h"
#include "request/text_check.h"

namespace postgen {

// What a field must satisfy, whatever its type. The default of a field is the one of its member.
struct Rule {
  std::string_view name;
  std::string_view doc = {};
  // Of a number; of a text, the number of its code points.
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  bool clamp_max = false;             // larger numbers become `max` instead of being refused
  TextCheck check = nullptr;          // of a text, or of each value of a map
  TextCheck check_name = nullptr;     // of each name of a map
  std::string_view prefix = {};       // tolerated in front of a decimal string read as an integer
  std::string_view later_value = {};  // of an enumeration: known, and refused in this version
  bool array = false;                 // of passed-through JSON: an array, not an object
};

// In place of a member: the field is known, and using it is an error in this version.
struct NotYet {};

// In place of a member: reads an object that does not become one member.
template <typename Document>
using ReadObject = Status (*)(const JsonValue& value, Document* out);

template <typename Document>
using MemberOf = std::variant<
    NotYet, ReadObject<Document>, bool Document::*, int Document::*, std::int64_t Document::*,
    double Document::*, std::string Document::*, std::optional<std::int64_t> Document::*,
    std::optional<double> Document::*, std::optional<std::string> Document::*,
    std::optional<JsonText> Document::*, std::vector<std::string> Document::*,
    std::map<std::string, std::string> Document::*, std::map<std::string, ModelPrice> Document::*,
    CacheMode Document::*, AuthScheme Document::*, HttpVersion Document::*, TokenParam Document::*,
    StreamMode Document::*, HedgeMode Document::*, OnFailure Document::*, Choice Document::*,
    Journal Document::*>;

template <typename Document>
struct Field {
  MemberOf<Document> member;
  Rule rule;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_FIELD_H_
