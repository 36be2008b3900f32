#include "text/utf8.h"

namespace postgen {
namespace {

bool IsContinuation(unsigned char byte) { return (byte & 0xC0U) == 0x80U; }

// Length that a lead byte announces; 0: not a lead byte.
std::size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80U) return 1;
  if (lead >= 0xC2U && lead <= 0xDFU) return 2;
  if (lead >= 0xE0U && lead <= 0xEFU) return 3;
  if (lead >= 0xF0U && lead <= 0xF4U) return 4;
  return 0;
}

// The range of the second byte excludes overlong forms, surrogates and values above U+10FFFF
// (Unicode Standard, table 3-7).
bool IsSecondByte(unsigned char lead, unsigned char second) {
  if (lead == 0xE0U) return second >= 0xA0U && second <= 0xBFU;
  if (lead == 0xEDU) return second >= 0x80U && second <= 0x9FU;
  if (lead == 0xF0U) return second >= 0x90U && second <= 0xBFU;
  if (lead == 0xF4U) return second >= 0x80U && second <= 0x8FU;
  return IsContinuation(second);
}

unsigned char At(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

}  // namespace

std::optional<std::size_t> FindInvalidUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const unsigned char lead = At(text, i);
    const std::size_t length = SequenceLength(lead);
    if (length == 0 || i + length > text.size()) return i;
    if (length >= 2 && !IsSecondByte(lead, At(text, i + 1))) return i;
    for (std::size_t k = 2; k < length; ++k) {
      if (!IsContinuation(At(text, i + k))) return i;
    }
    i += length;
  }
  return std::nullopt;
}

std::size_t CountCodePoints(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) {
    if (!IsContinuation(static_cast<unsigned char>(c))) ++count;
  }
  return count;
}

std::string_view TakeCodePoints(std::string_view text, std::size_t count) {
  std::size_t i = 0;
  while (i < text.size() && count > 0) {
    ++i;
    while (i < text.size() && IsContinuation(At(text, i))) ++i;
    --count;
  }
  return text.substr(0, i);
}

char32_t NextCodePoint(std::string_view text, std::size_t* offset) {
  const unsigned char lead = At(text, *offset);
  const std::size_t length = SequenceLength(lead);
  if (length <= 1 || *offset + length > text.size()) {
    ++*offset;
    return lead;
  }
  static constexpr unsigned char kLeadMask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t value = lead & kLeadMask[length];
  for (std::size_t k = 1; k < length; ++k) value = (value << 6U) | (At(text, *offset + k) & 0x3FU);
  *offset += length;
  return value;
}

std::size_t CompletePrefix(std::string_view text) {
  // At most three trailing bytes can belong to an unfinished sequence.
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const unsigned char byte = At(text, text.size() - back);
    if (IsContinuation(byte)) continue;
    return SequenceLength(byte) > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace postgen
