// A scripted TCP server on loopback: what no well-behaved HTTP server would send, byte for byte.
//
//   Gate hold;
//   RawServer server([&](RawConnection& peer) {        // once a connection, on its own thread
//     while (peer.ReadRequest()) {                     // until the client closes
//       peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
//       if (!peer.Wait(&hold)) return;                 // until the test opens the gate
//       peer.Send("llo");
//     }
//   });                                                // returning closes the connection
//   ... client.Post(server.Url("/v1/chat/completions")) ...
//   hold.Open();
//   CHECK(server.connections() == 1);
//   CHECK(server.requests().at(0).find("POST") == 0);
//
// Nothing here waits for a time: scripts wait for bytes, for a close or for a Gate, and the
// server's destructor ends every wait, so that a failed test ends too.
#ifndef POSTGEN_TESTS_SUPPORT_RAW_SERVER_H_
#define POSTGEN_TESTS_SUPPORT_RAW_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/tls_identity.h"

namespace postgen::testing {

// Shut until opened, then open for good. Thread-safe. Must outlive the servers whose scripts wait
// for it.
class Gate {
 public:
  Gate();
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void Open();
  int fd() const { return fd_; }  // readable once open

 private:
  const int fd_;
};

// One accepted connection, for the script that serves it.
class RawConnection {
 public:
  virtual ~RawConnection() = default;

  virtual int index() const = 0;  // 0 for the server's first connection

  // The next request, head and Content-Length body; recorded in RawServer::requests().
  // std::nullopt: the client closed (or the server is ending) before one was complete.
  virtual std::optional<std::string> ReadRequest() = 0;

  // Whatever has arrived, at least a byte, for protocols other than HTTP/1.1. std::nullopt: the
  // client closed, or the server is ending. Empty: `unless` has opened, and nothing has arrived.
  virtual std::optional<std::string> ReadSome(Gate* unless = nullptr) = 0;

  // False: the client is gone.
  virtual bool Send(std::string_view bytes) = 0;

  // Waits until `gate` opens. False: the server is ending.
  virtual bool Wait(Gate* gate) = 0;

  // Waits until the client closes or resets, dropping what it sends. False: the server is ending.
  virtual bool WaitForClose() = 0;

  // Closes with RST instead of FIN when the script returns.
  virtual void ResetOnClose() = 0;

  // TLS: closes with a plain FIN, without the closing alert, when the script returns.
  virtual void CutOnClose() = 0;
};

class RawServer {
 public:
  using Script = std::function<void(RawConnection&)>;

  // Listens on a free port of 127.0.0.1; speaks TLS if given an identity.
  explicit RawServer(Script script, const std::optional<TlsIdentity>& tls = std::nullopt);
  // Ends every script's wait, closes all connections and joins their threads.
  ~RawServer();

  int port() const;
  std::string Url(std::string_view path) const;  // "http://127.0.0.1:<port><path>", or https
  int connections() const;                       // accepted so far; a handshake may have failed
  std::vector<std::string> requests() const;     // in the order they were completed

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A port of 127.0.0.1 that refuses connections for as long as this lives.
class RefusingPort {
 public:
  RefusingPort();
  ~RefusingPort();
  RefusingPort(const RefusingPort&) = delete;
  RefusingPort& operator=(const RefusingPort&) = delete;
  int port() const { return port_; }

 private:
  const int fd_;
  const int port_;
};

// "HTTP/1.1 <status> X\r\n<headers>Content-Length: ...\r\n\r\n<body>"; each header ends in \r\n.
std::string Reply(int status, std::string_view headers, std::string_view body);

// One chunk of a chunked body; the empty one ends it.
std::string Chunk(std::string_view bytes);

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_RAW_SERVER_H_
