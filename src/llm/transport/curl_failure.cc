#include "llm/transport/curl_failure.h"

namespace postgen {
namespace {

Error NoTls(const std::string& host, const char* what) {
  return {Code::kTls, host + ": " + what, host};
}

// The connection broke, or HTTP/2 ended the stream.
Error Broken(TransferProgress progress, const std::string& host) {
  if (progress.has_head) {
    return {Code::kTruncated, host + " broke off its reply: try again", host};
  }
  return {Code::kConnect, host + " closed the connection before it replied: try again", host};
}

}  // namespace

Error CurlFailure(CURLcode result, TransferProgress progress, const std::string& host) {
  switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Code::kDns, host + " could not be resolved: check the host name and the resolver",
              host};
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {Code::kDns, "the proxy for " + host + " could not be resolved: check llm.proxy",
              "llm.proxy"};
    case CURLE_COULDNT_CONNECT:
      return {Code::kConnect, host + " refused the connection: check host and port", host};
    case CURLE_PROXY:
      return {Code::kConnect, "the proxy refused a connection to " + host + ": check llm.proxy",
              "llm.proxy"};
    case CURLE_OPERATION_TIMEDOUT:
      return {Code::kTimeoutConnect,
              "no connection to " + host + " within llm.connect_timeout_ms: check the network",
              host};

    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return NoTls(host,
                   "its certificate was refused (other name, unknown issuer or expired): check the "
                   "host name and llm.ca_file");
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
      return NoTls(host, "the CA file could not be read: check llm.ca_file");
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_USE_SSL_FAILED:
      return NoTls(host, "the TLS handshake failed: check that the port speaks TLS 1.2 or later");

    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return Broken(progress, host);

    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
      return {Code::kProtocol, host + " did not answer in HTTP/1.1 or HTTP/2: check base_url",
              host};
    case CURLE_OUT_OF_MEMORY:
      // Also what libcurl says of a header line that is longer than its buffer.
      if (!progress.connected) break;
      return {Code::kProtocol, host + " sent a reply head that is too large", host};

    default:
      return {Code::kInternal,
              "the transfer to " + host + " failed unexpectedly (libcurl code " +
                  std::to_string(static_cast<int>(result)) + "): please report it",
              host};
  }
  return {Code::kNomem, "out of memory in a transfer to " + host, host};
}

}  // namespace postgen
