#include "integration/postgres_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

sockaddr_in Loopback(const std::string& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
  return address;
}

// False: the other side is gone.
bool Forward(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

PostgresProxy::PostgresProxy(const std::string& port) : server_port_(port), port_("0") {
  REQUIRE(pipe(wake_) == 0);
  Listen();
  sockaddr_in address{};
  socklen_t size = sizeof address;
  REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = std::to_string(ntohs(address.sin_port));
  thread_ = std::thread([this] { Run(); });
}

PostgresProxy::~PostgresProxy() {
  Stop();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  Wake();
  thread_.join();
  close(wake_[0]);
  close(wake_[1]);
}

void PostgresProxy::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(listener_ >= 0);
  const int yes = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = Loopback(port_);
  REQUIRE(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(listener_, 64) == 0);
}

void PostgresProxy::Stop() {
  {
    const std::lock_guard lock(mutex_);
    if (listener_ >= 0) close(listener_);
    listener_ = -1;
    for (Link& link : links_) Close(&link);
  }
  Wake();
}

void PostgresProxy::Restart() {
  {
    const std::lock_guard lock(mutex_);
    Listen();
  }
  Wake();
}

void PostgresProxy::Freeze() {
  {
    const std::lock_guard lock(mutex_);
    frozen_ = true;
  }
  Wake();
}

void PostgresProxy::LoseAnswerTo(const std::string& text) {
  const std::lock_guard lock(mutex_);
  lose_after_ = text;
}

void PostgresProxy::WaitUntilLost() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return lost_ > 0; });
}

int PostgresProxy::accepted() {
  const std::lock_guard lock(mutex_);
  return accepted_;
}

void PostgresProxy::Wake() {
  const char byte = 0;
  CHECK(write(wake_[1], &byte, 1) == 1);
}

void PostgresProxy::Run() {
  while (true) {
    std::vector<pollfd> ready = {{wake_[0], POLLIN, 0}};
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      links_.remove_if([](const Link& link) { return !link.open(); });
      if (!frozen_) {
        if (listener_ >= 0) ready.push_back({listener_, POLLIN, 0});
        for (const Link& link : links_) {
          ready.push_back({link.client, POLLIN, 0});
          ready.push_back({link.server, POLLIN, 0});
        }
      }
    }
    poll(ready.data(), static_cast<nfds_t>(ready.size()), -1);
    if (ready[0].revents != 0) {
      std::array<char, 64> bytes{};
      if (read(wake_[0], bytes.data(), bytes.size()) < 0) return;
      continue;  // what there is to watch may have changed
    }
    const std::lock_guard lock(mutex_);
    for (const pollfd& socket : ready) {
      if (socket.revents == 0) continue;
      if (socket.fd == listener_) Accept();
      for (Link& link : links_) {
        if (link.open() && socket.fd == link.client) FromClient(&link);
        if (link.open() && socket.fd == link.server) FromServer(&link);
      }
    }
  }
}

void PostgresProxy::Accept() {
  Link link;
  link.client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (link.client < 0) return;
  ++accepted_;
  link.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(server_port_);
  if (connect(link.server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Close(&link);
  }
  links_.push_back(link);
}

void PostgresProxy::FromClient(Link* link) {
  std::array<char, 65536> bytes{};
  const ssize_t size = recv(link->client, bytes.data(), bytes.size(), 0);
  if (size <= 0) return Close(link);
  const std::string_view received(bytes.data(), static_cast<std::size_t>(size));
  if (!lose_after_.empty() && received.find(lose_after_) != std::string_view::npos) {
    lose_after_.clear();
    link->losing = true;
  }
  if (!Forward(link->server, received)) Close(link);
}

void PostgresProxy::FromServer(Link* link) {
  std::array<char, 65536> bytes{};
  const ssize_t size = recv(link->server, bytes.data(), bytes.size(), 0);
  if (size <= 0) return Close(link);
  if (link->losing) {
    ++lost_;
    changed_.notify_all();
    return Close(link);
  }
  if (!Forward(link->client, {bytes.data(), static_cast<std::size_t>(size)})) Close(link);
}

void PostgresProxy::Close(Link* link) {
  if (link->client >= 0) close(link->client);
  if (link->server >= 0) close(link->server);
  link->client = link->server = -1;
}

}  // namespace postgen
