#include "json/json_writer.h"

#include <charconv>
#include <cmath>
#include <cstddef>

#include "text/utf8.h"

namespace postgen {
namespace {

void AppendEscaped(std::string* out, char c) {
  switch (c) {
    case '"': *out += "\\\""; return;
    case '\\': *out += "\\\\"; return;
    case '\b': *out += "\\b"; return;
    case '\f': *out += "\\f"; return;
    case '\n': *out += "\\n"; return;
    case '\r': *out += "\\r"; return;
    case '\t': *out += "\\t"; return;
    default: {
      static constexpr char kHex[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      *out += "\\u00";
      *out += kHex[byte >> 4U];
      *out += kHex[byte & 0x0FU];
    }
  }
}

bool NeedsEscape(char c) { return static_cast<unsigned char>(c) < 0x20U || c == '"' || c == '\\'; }

void AppendValid(std::string* out, std::string_view text) {
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!NeedsEscape(text[i])) continue;
    out->append(text, run, i - run);
    AppendEscaped(out, text[i]);
    run = i + 1;
  }
  out->append(text, run, text.size() - run);
}

}  // namespace

JsonWriter& JsonWriter::Open(char bracket) {
  Separate();
  *out_ += bracket;
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  *out_ += bracket;
  need_comma_ = true;
  return *this;
}

void JsonWriter::Separate() {
  if (need_comma_) *out_ += ',';
  need_comma_ = true;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  *out_ += ':';
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view value) {
  Separate();
  *out_ += '"';
  for (std::optional<std::size_t> bad = FindInvalidUtf8(value); bad; bad = FindInvalidUtf8(value)) {
    AppendValid(out_, value.substr(0, *bad));
    *out_ += "\xEF\xBF\xBD";
    value.remove_prefix(*bad + 1);
  }
  AppendValid(out_, value);
  *out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::Int(std::int64_t value) {
  Separate();
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  out_->append(buffer, end.ptr);
  return *this;
}

JsonWriter& JsonWriter::Double(double value) {
  if (!std::isfinite(value)) return Null();
  Separate();
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  out_->append(buffer, end.ptr);
  return *this;
}

JsonWriter& JsonWriter::Fixed(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  const double scaled = value * scale;
  // Beyond the range of a double there are no digits to round away.
  return Double(std::isfinite(scaled) ? std::round(scaled) / scale : value);
}

JsonWriter& JsonWriter::Bool(bool value) { return Raw(value ? "true" : "false"); }

JsonWriter& JsonWriter::Null() { return Raw("null"); }

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  *out_ += json;
  return *this;
}

}  // namespace postgen
