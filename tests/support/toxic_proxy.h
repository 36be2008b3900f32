// A TCP proxy on loopback that misbehaves when told to: the toxics of toxiproxy, and a few of our
// own.
//
//   ToxicProxy proxy(server.port());
//   proxy.SetDownstream({.limit_bytes = 1000});   // the reply is cut after 1,000 bytes
//   ... client of 127.0.0.1:proxy.port() ...
//   proxy.Stop();                                 // as a server that was stopped
//   CHECK(proxy.accepted() == 1);
//
// Thread-safe.
#ifndef POSTGEN_TESTS_SUPPORT_TOXIC_PROXY_H_
#define POSTGEN_TESTS_SUPPORT_TOXIC_PROXY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace postgen::testing {

// What happens to the bytes of one direction; nothing by default.
struct Toxics {
  using Milliseconds = std::chrono::milliseconds;

  Milliseconds latency{0};            // before each piece, give or take the jitter
  Milliseconds jitter{0};             // drawn from a fixed seed
  std::int64_t bytes_per_second = 0;  // bandwidth; 0: no bound
  std::size_t slice_bytes = 0;        // slicer: passed on in pieces of so many bytes; 0: as is
  Milliseconds slow_close{0};         // before a close is passed on
  std::optional<Milliseconds> timeout = {};  // nothing is passed on; closed after so long, 0: never
  std::optional<std::size_t> limit_bytes = {};  // limit_data: closed after so many bytes
  bool reset_peer = false;      // reset (RST, both sides) instead of passing anything on
  bool reset_at_limit = false;  // limit_bytes ends with a reset
};

class ToxicProxy {
 public:
  // Listens on a free port of 127.0.0.1 and forwards to `server_port` there, or to a Unix socket.
  explicit ToxicProxy(int server_port);
  explicit ToxicProxy(const std::string& server_socket);
  ~ToxicProxy();

  int port() const;
  int accepted() const;  // connections so far
  int open() const;      // connections that stand

  // For what is passed on from now on: from the server to the client, and the other way.
  void SetDownstream(Toxics toxics);
  void SetUpstream(Toxics toxics);

  // Closes every connection and refuses others (toxiproxy's "down"), until Restart() on the same
  // port.
  void Stop();
  void Restart();
  // Resets every connection that stands now.
  void ResetAll();

  // The next time a client sends `text`, forwards it, waits for the server's answer, and closes the
  // connection instead of passing the answer on.
  void LoseAnswerTo(const std::string& text);
  // Waits until an answer was lost.
  void WaitUntilLost();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_TOXIC_PROXY_H_
