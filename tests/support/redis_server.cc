#include "support/redis_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace postgen::testing {
namespace {

// Somebody else may take it before we do.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound = bind(fd, generic, size) == 0 && getsockname(fd, generic, &size) == 0;
  close(fd);
  if (!bound) throw std::runtime_error("no free port for Redis");
  return ntohs(address.sin_port);
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> options) : options_(std::move(options)) {
  std::string folder = "/tmp/postgen-redis.XXXXXX";  // a socket's name is short
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no folder for Redis");
  folder_ = folder;
  Start();
  proxy_ = std::make_unique<ToxicProxy>(folder_ + "/socket");
}

RedisServer::~RedisServer() {
  proxy_.reset();
  if (server_ != nullptr) server_->Signal(SIGKILL);
  server_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string RedisServer::Url(const std::string& credentials) const {
  return "redis://" + credentials + "127.0.0.1:" + std::to_string(proxy_->port());
}

// Redis cannot be told to take a free port itself.
void RedisServer::Start() {
  for (int attempt = 0; attempt < 10; ++attempt) {
    port_ = FreePort();
    std::vector<std::string> command = {"redis-server",
                                        "--port",
                                        std::to_string(port_),
                                        "--bind",
                                        "127.0.0.1",
                                        "--unixsocket",
                                        folder_ + "/socket",
                                        "--dir",
                                        folder_,
                                        "--save",
                                        ""};
    command.insert(command.end(), options_.begin(), options_.end());
    server_ = std::make_unique<ChildProcess>(command);
    if (!server_->WaitForLine("ready to accept connections").empty()) return;
  }
  throw std::runtime_error("redis-server does not start (Debian: apt install redis-server)");
}

void RedisServer::Kill() {
  server_->Signal(SIGKILL);
  server_.reset();
  proxy_->ResetAll();
}

}  // namespace postgen::testing
