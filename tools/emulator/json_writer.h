// Writes JSON text. Commas are placed by the writer; nesting is the caller's duty.
//
//   JsonWriter json;
//   json.BeginObject().Key("id").String("a").Key("n").Int(2).EndObject();
//   json.Take()  // {"id":"a","n":2}
#ifndef POSTGEN_EMULATOR_JSON_WRITER_H_
#define POSTGEN_EMULATOR_JSON_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace emulator {

enum class JsonEscapes {
  kMinimal,  // only what JSON demands; other characters stay UTF-8
  kAscii,    // every character above ASCII as \uXXXX, in surrogate pairs where needed
};

// Appends the inside of a JSON string, without the quotes.
void AppendJsonEscaped(std::string& out, std::string_view text,
                       JsonEscapes escapes = JsonEscapes::kMinimal);

class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view key);
  JsonWriter& String(std::string_view text);
  JsonWriter& OptionalString(const std::optional<std::string>& text);
  JsonWriter& Int(std::int64_t number);
  JsonWriter& Double(double number);
  JsonWriter& Bool(bool value) { return Raw(value ? "true" : "false"); }
  JsonWriter& Null() { return Raw("null"); }
  // `json` is a whole value already.
  JsonWriter& Raw(std::string_view json);

  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Separate();

  std::string out_;
  bool comma_due_ = false;
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_JSON_WRITER_H_
