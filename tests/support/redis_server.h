// A Redis of the test's own, with a proxy in front of it that can misbehave. Gone with the test.
#ifndef POSTGEN_TESTS_SUPPORT_REDIS_SERVER_H_
#define POSTGEN_TESTS_SUPPORT_REDIS_SERVER_H_

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "support/child_process.h"
#include "support/toxic_proxy.h"

namespace postgen::testing {

class RedisServer {
 public:
  // `options` are redis-server's, e.g. {"--requirepass", "secret"}. Throws std::runtime_error where
  // it does not start.
  explicit RedisServer(std::vector<std::string> options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // redis://127.0.0.1:PORT, of the proxy; `credentials` as ":secret@".
  std::string Url(const std::string& credentials = "") const;
  // The server itself, for tests of what a busy machine must not change: the proxy's threads may
  // have to wait for a processor too.
  std::string DirectUrl() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  ToxicProxy& proxy() { return *proxy_; }

  // Kills the server (SIGKILL) and its connections; another, empty one comes with Start().
  void Kill();
  void Start();
  // Stops it where it is (SIGSTOP), and lets it go on.
  void Freeze() { server_->Signal(SIGSTOP); }
  void Thaw() { server_->Signal(SIGCONT); }

 private:
  const std::vector<std::string> options_;
  std::string folder_;
  int port_ = 0;
  std::unique_ptr<ChildProcess> server_;
  std::unique_ptr<ToxicProxy> proxy_;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_REDIS_SERVER_H_
