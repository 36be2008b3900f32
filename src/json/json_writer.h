// Writes one JSON document into a string, left to right, without building a tree.
//
//   std::string out;
//   JsonWriter json(&out);
//   json.BeginObject();
//   json.Key("title").String(title);
//   json.Key("words").Int(words);
//   json.EndObject();
//
// Non-ASCII text stays as it is; control characters, quotes and backslashes are escaped. Not
// thread-safe.
#ifndef POSTGEN_SRC_JSON_JSON_WRITER_H_
#define POSTGEN_SRC_JSON_JSON_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postgen {

class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}

  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view key);

  // Bytes that are not UTF-8 are written as U+FFFD, so that the document is always valid.
  JsonWriter& String(std::string_view value);
  JsonWriter& Int(std::int64_t value);
  // Shortest form that reads back equal; not-a-number and infinity become null.
  JsonWriter& Double(double value);
  // With at most `decimals` digits after the point.
  JsonWriter& Fixed(double value, int decimals);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  JsonWriter& Raw(std::string_view json);  // REQUIRES: one valid JSON value
  JsonWriter& OptionalString(const std::optional<std::string>& value) {
    return value ? String(*value) : Null();
  }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Separate();

  std::string* out_;
  bool need_comma_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_JSON_JSON_WRITER_H_
