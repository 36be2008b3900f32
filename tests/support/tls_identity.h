// A throw-away certificate for tests.
#ifndef POSTGEN_TESTS_SUPPORT_TLS_IDENTITY_H_
#define POSTGEN_TESTS_SUPPORT_TLS_IDENTITY_H_

#include <string>

namespace postgen::testing {

struct TlsIdentity {
  std::string certificate_pem;  // self-signed: also the CA file that trusts it
  std::string key_pem;
  std::string alpn;  // what a server with this identity speaks, such as "h2"; empty: no ALPN
};

// `subject_alt_name` in OpenSSL's notation: "IP:127.0.0.1", "DNS:other.test". Valid from now for an
// hour.
TlsIdentity NewTlsIdentity(const std::string& subject_alt_name);

// One whose hour is over.
TlsIdentity NewExpiredTlsIdentity(const std::string& subject_alt_name);

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_TLS_IDENTITY_H_
