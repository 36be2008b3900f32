// Alone in its program: libcurl opens the file that SSLKEYLOGFILE names when it is initialised,
// once in a process.
#include <string>

#include <curl/curl.h>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

TEST_CASE("the secrets of a TLS session are not written to the key log") {
  const TempFile key_log;
  const ScopedEnv env("SSLKEYLOGFILE", key_log.path());
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  RawServer server(Always(Reply(200, "", "ok")), identity);
  Client client(TlsEndpoint(server, ca.path()));
  CHECK(client.Fetch()->code() == Code::kOk);
  CHECK(key_log.Read().empty());

  // A plain libcurl handle in the same process writes them: there was something to prevent.
  CURL* plain = curl_easy_init();
  curl_easy_setopt(plain, CURLOPT_URL, server.Url("/").c_str());
  curl_easy_setopt(plain, CURLOPT_CAINFO, ca.path().c_str());
  curl_easy_setopt(plain, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(plain, CURLOPT_PROXY, "");
  CHECK(curl_easy_perform(plain) == CURLE_OK);
  curl_easy_cleanup(plain);
  CHECK(key_log.Read().find("TRAFFIC_SECRET") != std::string::npos);
}

}  // namespace
}  // namespace postgen::testing
