#include "support/tls_identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>

namespace postgen::testing {
namespace {

constexpr long kValidSeconds = 3600;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Extension = std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)>;
using Memory = std::unique_ptr<BIO, decltype(&BIO_free)>;

void Require(bool ok) {
  if (!ok) throw std::runtime_error("OpenSSL could not make a test certificate");
}

template <typename WriteTo>
std::string Pem(WriteTo write_to) {
  const Memory memory(BIO_new(BIO_s_mem()), &BIO_free);
  Require(memory != nullptr && write_to(memory.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

// Valid for kValidSeconds, beginning `begin` seconds from now.
TlsIdentity NewIdentity(const std::string& subject_alt_name, long begin) {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Certificate certificate(X509_new(), &X509_free);
  Require(key != nullptr && certificate != nullptr);
  X509* x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), begin);
  X509_gmtime_adj(X509_getm_notAfter(x509), begin + kValidSeconds);
  X509_NAME* name = X509_get_subject_name(x509);
  static constexpr unsigned char kCommonName[] = "postgen test";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, kCommonName, -1, -1, 0);
  X509_set_issuer_name(x509, name);
  X509_set_pubkey(x509, key.get());
  const Extension names(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, subject_alt_name.c_str()),
      &X509_EXTENSION_free);
  Require(names != nullptr && X509_add_ext(x509, names.get(), -1) == 1);
  Require(X509_sign(x509, key.get(), EVP_sha256()) > 0);
  return {Pem([&](BIO* out) { return PEM_write_bio_X509(out, x509); }),
          Pem([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          }),
          {}};
}

}  // namespace

TlsIdentity NewTlsIdentity(const std::string& subject_alt_name) {
  return NewIdentity(subject_alt_name, 0);
}

TlsIdentity NewExpiredTlsIdentity(const std::string& subject_alt_name) {
  return NewIdentity(subject_alt_name, -2 * kValidSeconds);
}

}  // namespace postgen::testing
