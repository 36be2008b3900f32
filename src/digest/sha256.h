// SHA-256 and HMAC-SHA-256. Thread-safe. The only failure libcrypto has here is to run out of
// memory, which is std::bad_alloc as everywhere.
#ifndef POSTGEN_SRC_DIGEST_SHA256_H_
#define POSTGEN_SRC_DIGEST_SHA256_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace postgen {

using Digest = std::array<std::uint8_t, 32>;

Digest Sha256(std::string_view bytes);
Digest HmacSha256(std::string_view key, std::string_view bytes);
std::string HexDigest(const Digest& digest);  // 64 lower-case digits

}  // namespace postgen

#endif  // POSTGEN_SRC_DIGEST_SHA256_H_
