// HTTP on the reactor: the seam between the client's logic and libcurl. One implementation uses
// curl_multi on an EventLoop (NewCurlTransport); tests may bring a scripted one on a
// ManualExecutor.
//
// Everything here runs on the executor's thread unless said otherwise.
#ifndef POSTGEN_SRC_LLM_TRANSPORT_HTTP_TRANSPORT_H_
#define POSTGEN_SRC_LLM_TRANSPORT_HTTP_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgen/error.h"
#include "postgen/types.h"
#include "runtime/event_loop.h"

namespace postgen {

// How to reach one endpoint; fixed for the transport's life.
struct HttpEndpoint {
  std::string url;                   // of the POST, query included
  std::string probe_url;             // of the GET
  std::vector<std::string> headers;  // "name: value", without Content-Type
  std::string proxy;                 // empty: none, whatever the environment says
  std::string ca_file;               // empty: the system's
  bool allow_http2 = true;
  bool require_http2 = false;
  std::int64_t max_connections = 256;
  Duration connect_timeout = std::chrono::seconds(5);
  std::size_t max_reply_bytes = std::size_t{8} << 20U;
};

// The headers of a reply, in one buffer.
class HttpHeaders {
 public:
  void Add(std::string_view name, std::string_view value);
  // The value of the last one of that (lower-case) name; empty: not there. Borrowed until Add().
  std::string_view Find(std::string_view name) const;
  std::size_t size() const { return fields_.size(); }

 private:
  struct Field {
    std::size_t begin = 0;  // of the name, in lower case; the value follows it
    std::size_t name_size = 0;
    std::size_t value_size = 0;
  };
  std::string text_;
  std::vector<Field> fields_;
};

// The reply's head. Interim (1xx) replies are not reported.
struct HttpHead {
  int status = 0;
  HttpHeaders headers;

  std::string_view Find(std::string_view name) const { return headers.Find(name); }
};

// Facts about a transfer that ended.
struct HttpEnd {
  // Absent: the reply was complete as HTTP sees it. Else one of kConnect, kDns, kTls,
  // kTimeoutConnect, kTruncated, kProtocol, kTooLarge, kInternal, kNomem, with a message that names
  // the host and holds no secrets.
  std::optional<Error> error;
  // It ran on a connection that had served another transfer before and was idle meanwhile.
  bool reused_connection = false;
  bool request_sent =
      false;  // any byte of the request left us: the provider may have seen (and billed) it
  // The same for transfers that shared a connection; never used for another one. 0: it had none.
  std::uint64_t connection = 0;
};

// Listens to one transfer. OnEnd is the last call, exactly once, unless the transfer is cancelled.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // The request is about to be written. Once more if the connection was an old one that turned out
  // to be closed: then the request goes out again on a new one.
  virtual void OnConnected() {}
  virtual void OnHead(const HttpHead& head) = 0;
  virtual void OnBody(std::string_view bytes) = 0;  // borrowed for the call
  virtual void OnEnd(const HttpEnd& end) = 0;
};

// Never reused; 0 is no transfer.
using TransferId = std::uint64_t;

class HttpTransport {
 public:
  HttpTransport() = default;
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;
  // Open transfers end without OnEnd. On the executor's thread and not from inside a handler, or
  // after the executor has stopped.
  virtual ~HttpTransport() = default;

  // POSTs `body` as application/json. More transfers than HttpEndpoint::max_connections wait here,
  // in order, with no clock running. `handler` must stay alive until OnEnd or Cancel; it is never
  // called from within Post. Handlers may call Post and Cancel.
  virtual TransferId Post(std::string body, HttpHandler* handler) = 0;

  // GETs the probe_url, as a transfer like the others; without HttpEndpoint::headers, and so
  // without the key, unless `with_headers`.
  virtual TransferId Get(bool with_headers, HttpHandler* handler) = 0;

  // Ends a transfer at once: its connection is closed (HTTP/1.1) or its stream reset (HTTP/2), and
  // the handler hears nothing more. No-op for one that has ended.
  virtual void Cancel(TransferId transfer) = 0;

  // Stops reading the reply, so that the server has to wait, or goes on. Neither OnBody nor OnEnd
  // comes while a transfer is paused. No-op for one that has ended, and for HTTP/2: libcurl would
  // stop the other streams of the connection as well.
  virtual void SetPaused(TransferId transfer, bool paused) = 0;

  // The reply is complete for its reader (after `[DONE]`): the handler hears nothing more; what is
  // left of the body is read for a moment so that the connection can be reused. No-op for one that
  // has ended.
  virtual void Finish(TransferId transfer) = 0;

  // Does `text` repeat the value of one of HttpEndpoint::headers, such as the key? Words of a
  // provider are shown to people and logged: a server that echoes is not to get the key there.
  virtual bool HoldsSecret(std::string_view text) const = 0;

  // Opens connections ahead of need, until `connections` are open, busy ones included; all but one
  // of max_connections at the most. Costs the provider a HEAD request of its root page on each,
  // without key or prompt, and so no rate limit: HTTP has no lighter way to leave a connection
  // behind that later requests may use. Nothing without TLS, where it would save less than it
  // costs. Failures show only in that the connections are not there.
  virtual void Prewarm(int connections) = 0;
};

// REQUIRES: `loop` outlives the transport. Fails with kInvalidConfig where libcurl refuses the
// endpoint.
Result<std::unique_ptr<HttpTransport>> NewCurlTransport(HttpEndpoint endpoint, EventLoop* loop);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_TRANSPORT_HTTP_TRANSPORT_H_
