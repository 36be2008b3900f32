#include "certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <boost/asio/ssl/context.hpp>
#include <cstdio>

namespace emulator {
namespace {

namespace ssl = boost::asio::ssl;

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;

constexpr long kLifetimeSeconds = 30L * 24 * 3600;
constexpr long kBackdatedSeconds = 3600;  // for clocks that differ a little

struct Extension {
  int id;
  const char* value;
};

void Add(X509* certificate, X509* issuer, const Extension& extension) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  ExtensionPtr made(X509V3_EXT_conf_nid(nullptr, &context, extension.id, extension.value));
  if (made) X509_add_ext(certificate, made.get(), -1);
}

void SetName(X509_NAME* name, const char* common_name) {
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name), -1, -1, 0);
}

// A certificate for `key`, signed by `issuer`, or by itself if there is none.
template <std::size_t kCount>
CertificatePtr MakeCertificate(const char* name, long serial, EVP_PKEY* key, X509* issuer,
                               EVP_PKEY* issuer_key, const Extension (&extensions)[kCount]) {
  CertificatePtr certificate(X509_new());
  X509* made = certificate.get();
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), serial);
  X509_gmtime_adj(X509_getm_notBefore(made), -kBackdatedSeconds);
  X509_gmtime_adj(X509_getm_notAfter(made), kLifetimeSeconds);
  X509_set_pubkey(made, key);
  SetName(X509_get_subject_name(made), name);
  X509* signer = issuer == nullptr ? made : issuer;
  X509_set_issuer_name(made, X509_get_subject_name(signer));
  for (const Extension& extension : extensions) Add(made, signer, extension);
  X509_sign(made, issuer == nullptr ? key : issuer_key, EVP_sha256());
  return certificate;
}

std::string Pem(const BioPtr& bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string CertificatePem(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return Pem(bio);
}

std::string KeyPem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Pem(bio);
}

bool WriteFile(const std::string& path, const std::string& content) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  return std::fclose(file) == 0 && written;
}

struct MadeCertificates {
  std::string authority;
  std::string server;
  std::string server_key;
};

MadeCertificates MakeCertificates() {
  KeyPtr authority_key(EVP_EC_gen("P-256"));
  KeyPtr server_key(EVP_EC_gen("P-256"));
  CertificatePtr authority =
      MakeCertificate("postgen-emulator authority", 1, authority_key.get(), nullptr, nullptr,
                      {{NID_basic_constraints, "critical,CA:TRUE"},
                       {NID_key_usage, "critical,keyCertSign,cRLSign"},
                       {NID_subject_key_identifier, "hash"}});
  CertificatePtr server =
      MakeCertificate("localhost", 2, server_key.get(), authority.get(), authority_key.get(),
                      {{NID_basic_constraints, "critical,CA:FALSE"},
                       {NID_key_usage, "critical,digitalSignature"},
                       {NID_ext_key_usage, "serverAuth"},
                       {NID_subject_key_identifier, "hash"},
                       {NID_authority_key_identifier, "keyid"},
                       {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"}});
  return {CertificatePem(authority.get()), CertificatePem(server.get()), KeyPem(server_key.get())};
}

}  // namespace

std::shared_ptr<ssl::context> NewTlsContext(const Options& options, std::string* error) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                       ssl::context::no_tlsv1_1);
  boost::system::error_code failed;
  if (!options.tls_cert.empty()) {
    context->use_certificate_chain_file(options.tls_cert, failed);
    if (!failed) context->use_private_key_file(options.tls_key, ssl::context::pem, failed);
    if (!failed) return context;
    *error = "cannot use --tls-cert " + options.tls_cert + " with --tls-key " + options.tls_key +
             ": " + failed.message();
    return nullptr;
  }
  MadeCertificates made = MakeCertificates();
  context->use_certificate_chain(boost::asio::buffer(made.server), failed);
  if (!failed)
    context->use_private_key(boost::asio::buffer(made.server_key), ssl::context::pem, failed);
  if (failed) {
    *error = "cannot make a certificate: " + failed.message();
    return nullptr;
  }
  if (!options.tls_ca_out.empty() && !WriteFile(options.tls_ca_out, made.authority)) {
    *error = "cannot write --tls-ca-out " + options.tls_ca_out;
    return nullptr;
  }
  return context;
}

}  // namespace emulator
