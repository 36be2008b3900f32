// Certificates for tests: an authority made at start, and a server certificate signed by it for
// localhost, 127.0.0.1 and ::1.
#ifndef POSTGEN_EMULATOR_CERTIFICATE_H_
#define POSTGEN_EMULATOR_CERTIFICATE_H_

#include <memory>
#include <string>

#include "options.h"

namespace boost::asio::ssl {
class context;
}

namespace emulator {

// A TLS context as the options say, with the authority's certificate written to
// options.tls_ca_out. Null, with one line in *error, if a file cannot be read or written.
std::shared_ptr<boost::asio::ssl::context> NewTlsContext(const Options& options,
                                                         std::string* error);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_CERTIFICATE_H_
