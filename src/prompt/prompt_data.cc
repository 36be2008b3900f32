#include "prompt/prompt_data.h"

#include <cstddef>

#include "text/utf8.h"

namespace postgen {
namespace {

// Characters that show nothing but may hide something: controls, soft hyphens, zero-width and
// direction marks, variation tags, byte order marks.
bool IsInvisible(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xE0000 && c <= 0xE007F);
}

bool IsAngle(char32_t c) { return c == U'<' || c == U'>' || c == U'＜' || c == U'＞'; }

// Writes `text` without invisible characters and with angles one at a time, so that no fence can
// come out of it.
template <typename OnLineEnd>
std::string Clean(std::string_view text, OnLineEnd on_line_end) {
  std::string out;
  char32_t last = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = NextCodePoint(text, &at);
    if (IsLineEnd(c)) {
      on_line_end(&out, /*after_cr=*/last == U'\r' && c == U'\n');
      last = c;
    } else if (c == U'\t') {
      out += ' ';
      last = U' ';
    } else if (!IsInvisible(c) && !(IsAngle(c) && IsAngle(last))) {
      out += text.substr(begin, at - begin);
      last = c;
    }
  }
  return out;
}

std::string Trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \n") + 1 - begin);
}

}  // namespace

std::string OneLine(std::string_view text) {
  const std::string spaced = Clean(text, [](std::string* out, bool /*after_cr*/) { *out += ' '; });
  std::string line;
  for (const char c : Trimmed(spaced)) {
    if (c != ' ' || line.back() != ' ') line += c;
  }
  return line;
}

std::string Block(std::string_view text) {
  return Trimmed(Clean(text, [](std::string* out, bool after_cr) {
    if (!after_cr) *out += '\n';
  }));
}

std::string QuoteData(const std::vector<DataItem>& items) {
  std::string lines;
  for (const DataItem& item : items) {
    const std::string text = Block(item.text);
    if (!text.empty()) lines += "[" + item.label + "] " + text + '\n';
  }
  if (lines.empty()) return {};
  return std::string(kDataOpen) + '\n' + lines + std::string(kDataClose);
}

}  // namespace postgen
