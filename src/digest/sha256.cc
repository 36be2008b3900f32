#include "digest/sha256.h"

#include <atomic>
#include <new>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "runtime/fork_hold.h"

namespace postgen {
namespace {

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Looked up once: EVP_sha256() is looked up anew by every digest.
const EVP_MD* FetchedSha256() {
  static std::atomic<const EVP_MD*> known = nullptr;
  if (const EVP_MD* const md = known.load(std::memory_order_acquire)) return md;
  // Under locks of OpenSSL and of this static.
  const ForkHold hold;
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  known.store(fetched, std::memory_order_release);
  return fetched;
}

}  // namespace

Digest Sha256(std::string_view bytes) {
  Digest digest;
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, FetchedSha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  return digest;
}

Digest HmacSha256(std::string_view key, std::string_view bytes) {
  Digest digest;
  unsigned int size = 0;
  const ForkHold hold;  // EVP_sha256() is looked up under locks of OpenSSL
  // A null key would mean "the key of the call before".
  const void* key_data = key.empty() ? "" : key.data();
  if (HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), Bytes(bytes), bytes.size(),
           digest.data(), &size) == nullptr) {
    throw std::bad_alloc();
  }
  return digest;
}

std::string HexDigest(const Digest& digest) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    hex += kHex[byte >> 4U];
    hex += kHex[byte & 0x0FU];
  }
  return hex;
}

}  // namespace postgen
