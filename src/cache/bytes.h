// Length-prefixed fields in one byte string: what the cache key hashes and what a cache entry is
// made of. Numbers are eight bytes, little-endian, so that entries can be shared between machines.
#ifndef POSTGEN_SRC_CACHE_BYTES_H_
#define POSTGEN_SRC_CACHE_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace postgen {

class ByteWriter {
 public:
  ByteWriter& Number(std::uint64_t value) {
    std::array<char, 8> bytes{};
    for (char& byte : bytes) {
      byte = static_cast<char>(static_cast<unsigned char>(value));
      value >>= 8U;
    }
    return Raw({bytes.data(), bytes.size()});
  }
  ByteWriter& Signed(std::int64_t value) { return Number(static_cast<std::uint64_t>(value)); }
  ByteWriter& Text(std::string_view text) { return Number(text.size()).Raw(text); }
  ByteWriter& Raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }

  const std::string& bytes() const { return bytes_; }
  std::string Take() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Reads what a ByteWriter wrote. A read past the end makes ok() false and gives nothing, then and
// afterwards.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t Number() {
    const std::string_view bytes = Raw(8);
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i > 0; --i) {
      value = (value << 8U) | static_cast<unsigned char>(bytes[i - 1]);
    }
    return value;
  }
  std::int64_t Signed() { return static_cast<std::int64_t>(Number()); }
  std::string_view Text() { return Raw(Number()); }
  std::string_view Raw(std::uint64_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_BYTES_H_
