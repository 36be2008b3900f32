#include "json_writer.h"

#include <charconv>

#include "utf8.h"

namespace emulator {
namespace {

void AppendUnicodeEscape(std::string& out, char32_t unit) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(kHex[(unit >> shift) & 0xF]);
}

void AppendAsciiEscape(std::string& out, char32_t code_point) {
  if (code_point < 0x10000) return AppendUnicodeEscape(out, code_point);
  AppendUnicodeEscape(out, 0xD800 + ((code_point - 0x10000) >> 10));
  AppendUnicodeEscape(out, 0xDC00 + ((code_point - 0x10000) & 0x3FF));
}

void AppendEscapedAscii(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default:
      if (static_cast<unsigned char>(c) < 0x20) {
        AppendUnicodeEscape(out, static_cast<unsigned char>(c));
      } else {
        out.push_back(c);
      }
  }
}

}  // namespace

void AppendJsonEscaped(std::string& out, std::string_view text, JsonEscapes escapes) {
  for (std::size_t pos = 0; pos < text.size();) {
    char c = text[pos];
    if (static_cast<unsigned char>(c) < 0x80) {
      AppendEscapedAscii(out, c);
      ++pos;
    } else if (escapes == JsonEscapes::kAscii) {
      AppendAsciiEscape(out, NextCodePoint(text, &pos));
    } else {
      out.push_back(c);
      ++pos;
    }
  }
}

JsonWriter& JsonWriter::Open(char bracket) {
  Separate();
  out_.push_back(bracket);
  comma_due_ = false;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  out_.push_back(bracket);
  comma_due_ = true;
  return *this;
}

void JsonWriter::Separate() {
  if (comma_due_) out_.push_back(',');
  comma_due_ = true;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  out_.push_back(':');
  comma_due_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  out_.push_back('"');
  AppendJsonEscaped(out_, text);
  out_.push_back('"');
  return *this;
}

JsonWriter& JsonWriter::OptionalString(const std::optional<std::string>& text) {
  return text ? String(*text) : Null();
}

JsonWriter& JsonWriter::Int(std::int64_t number) {
  Separate();
  char digits[24];
  out_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  return *this;
}

JsonWriter& JsonWriter::Double(double number) {
  Separate();
  char digits[40];
  out_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  return *this;
}

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_ += json;
  return *this;
}

}  // namespace emulator
