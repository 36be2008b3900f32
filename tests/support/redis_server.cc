#include "support/redis_server.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace postgen::testing {

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

void RedisServer::Start() {
  std::vector<std::string> command = {
      "redis-server", "--port", "0", "--unixsocket", folder_ + "/socket", "--dir",
      folder_,        "--save", ""};
  command.insert(command.end(), options_.begin(), options_.end());
  server_ = std::make_unique<ChildProcess>(command);
  if (server_->WaitForLine("ready to accept connections").empty()) {
    throw std::runtime_error("redis-server does not start (Debian: apt install redis-server)");
  }
}

void RedisServer::Kill() {
  server_->Signal(SIGKILL);
  server_.reset();
  proxy_->ResetAll();
}

}  // namespace postgen::testing
