#include "support/toxic_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/raw_server.h"

namespace postgen::testing {
namespace {

using std::chrono::milliseconds;

constexpr int kBacklog = 1024;

int Require(int result) {
  if (result < 0) throw std::runtime_error("the test proxy could not be set up");
  return result;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// True: `fd` is ready. False: `stop` opened, or the time is over (negative: there is no time).
bool WaitFor(int fd, short events, const Gate& stop, int timeout_ms = -1) {
  std::array<pollfd, 2> fds{{{stop.fd(), POLLIN, 0}, {fd, events, 0}}};
  int ready = 0;
  while ((ready = poll(fds.data(), fds.size(), timeout_ms)) < 0 && errno == EINTR) {
  }
  return ready > 0 && fds[0].revents == 0;
}

// False: `stop` opened meanwhile.
bool Pause(milliseconds time, const Gate& stop) {
  if (time <= milliseconds(0)) return true;
  pollfd fd{stop.fd(), POLLIN, 0};
  return poll(&fd, 1, static_cast<int>(time.count())) == 0;
}

// One client's connection and ours to the server; closed with the last user.
struct Link {
  Link(int client_fd, int server_fd) : client(client_fd), server(server_fd) {}
  ~Link() {
    for (const int fd : {client, server}) {
      const linger rst{1, 0};
      if (reset) setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
      close(fd);
    }
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void Reset() {
    reset = true;
    stop.Open();
  }

  const int client;
  const int server;
  Gate stop;
  std::atomic<bool> reset = false;
  std::atomic<bool> losing = false;
};

}  // namespace

class ToxicProxy::Impl {
 public:
  Impl(int server_port, std::string server_socket)
      : server_port_(server_port), server_socket_(std::move(server_socket)) {
    Restart();
  }

  ~Impl() { Stop(); }

  int port() const { return port_; }
  int accepted() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }
  int open() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::count_if(links_.begin(), links_.end(),
                                          [](const auto& link) { return !link.expired(); }));
  }

  void Set(bool upstream, Toxics toxics) {
    const std::lock_guard lock(mutex_);
    toxics_.at(upstream ? 1 : 0) = toxics;
  }

  void Restart() {
    listener_ = Require(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address = Loopback(port_);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    Require(bind(listener_, generic, size));
    Require(listen(listener_, kBacklog));
    Require(getsockname(listener_, generic, &size));
    port_ = ntohs(address.sin_port);
    stop_accepting_ = std::make_unique<Gate>();
    acceptor_ = std::thread([this] { Accept(); });
  }

  void Stop() {
    if (acceptor_.joinable()) {
      stop_accepting_->Open();
      acceptor_.join();
      close(listener_);
    }
    ForEachLink([](Link* link) { link->stop.Open(); });
    for (std::thread& thread : pumps_) thread.join();
    pumps_.clear();
  }

  void ResetAll() {
    ForEachLink([](Link* link) { link->Reset(); });
  }

  void LoseAnswerTo(const std::string& text) {
    const std::lock_guard lock(mutex_);
    lose_after_ = text;
  }

  void WaitUntilLost() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return lost_ > 0; });
  }

 private:
  template <typename Do>
  void ForEachLink(Do work) {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : links_) {
      if (const auto link = weak.lock()) work(link.get());
    }
  }

  void Accept() {
    while (WaitFor(listener_, POLLIN, *stop_accepting_)) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      const int server = Connect();
      const int yes = 1;
      setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      auto link = std::make_shared<Link>(client, server);
      const std::lock_guard lock(mutex_);
      ++accepted_;
      links_.push_back(link);
      pumps_.emplace_back([this, link] { Pump(link.get(), /*upstream=*/true); });
      pumps_.emplace_back([this, link] { Pump(link.get(), /*upstream=*/false); });
    }
  }

  // A server that cannot be reached is one that closes at once.
  int Connect() const {
    if (!server_socket_.empty()) {
      const int fd = Require(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::strncpy(address.sun_path, server_socket_.c_str(), sizeof address.sun_path - 1);
      static_cast<void>(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
      return fd;
    }
    const int fd = Require(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = Loopback(server_port_);
    static_cast<void>(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    return fd;
  }

  Toxics Current(bool upstream) {
    const std::lock_guard lock(mutex_);
    return toxics_.at(upstream ? 1 : 0);
  }

  void Pump(Link* link, bool upstream) {
    const int from = upstream ? link->client : link->server;
    const int to = upstream ? link->server : link->client;
    std::vector<char> buffer(65536);
    std::mt19937 rng(1);
    std::size_t passed = 0;
    while (WaitFor(from, POLLIN, link->stop)) {
      const ssize_t size = recv(from, buffer.data(), buffer.size(), 0);
      if (size < 0) return link->Reset();
      const Toxics toxics = Current(upstream);
      if (size == 0) {
        if (Pause(toxics.slow_close, link->stop)) shutdown(to, SHUT_WR);
        return;
      }
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
      if (upstream) Watch(link, bytes);
      if (!upstream && link->losing) {
        Lost();
        return link->stop.Open();
      }
      if (!Pass(link, to, bytes, toxics, &passed, &rng)) return link->stop.Open();
    }
  }

  void Watch(Link* link, std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    if (lose_after_.empty() || bytes.find(lose_after_) == std::string_view::npos) return;
    lose_after_.clear();
    link->losing = true;
  }

  void Lost() {
    const std::lock_guard lock(mutex_);
    ++lost_;
    changed_.notify_all();
  }

  // False: the connection has come to its end.
  static bool Pass(Link* link, int to, std::string_view bytes, const Toxics& toxics,
                   std::size_t* passed, std::mt19937* rng) {
    if (toxics.reset_peer) {
      link->reset = true;
      return false;
    }
    if (toxics.timeout) {
      if (*toxics.timeout > milliseconds(0)) return Pause(*toxics.timeout, link->stop) && false;
      pollfd fd{link->stop.fd(), POLLIN, 0};
      poll(&fd, 1, -1);
      return false;
    }
    if (!Pause(Latency(toxics, rng), link->stop)) return false;
    const bool last = toxics.limit_bytes && *passed + bytes.size() >= *toxics.limit_bytes;
    if (last) bytes = bytes.substr(0, *toxics.limit_bytes - std::min(*passed, *toxics.limit_bytes));
    *passed += bytes.size();
    if (!Forward(link, to, bytes, toxics)) return false;
    if (last && toxics.reset_at_limit) link->reset = true;
    return !last;
  }

  static milliseconds Latency(const Toxics& toxics, std::mt19937* rng) {
    const auto jitter = toxics.jitter.count();
    return toxics.latency +
           milliseconds(std::uniform_int_distribution<std::int64_t>(-jitter, jitter)(*rng));
  }

  static bool Forward(Link* link, int to, std::string_view bytes, const Toxics& toxics) {
    const std::int64_t rate = toxics.bytes_per_second;
    std::size_t slice = toxics.slice_bytes > 0 ? toxics.slice_bytes : bytes.size();
    if (rate > 0) slice = static_cast<std::size_t>(std::max<std::int64_t>(rate / 20, 1));
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, slice);
      bytes.remove_prefix(piece.size());
      if (!Write(link, to, piece)) return false;
      const auto size = static_cast<std::int64_t>(piece.size());
      if (rate > 0 && !Pause(milliseconds(size * 1000 / rate), link->stop)) return false;
    }
    return true;
  }

  static bool Write(Link* link, int to, std::string_view bytes) {
    while (!bytes.empty()) {
      if (!WaitFor(to, POLLOUT, link->stop)) return false;
      const ssize_t sent = send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) continue;
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  const int server_port_;
  const std::string server_socket_;
  // Of the thread that owns the proxy.
  int port_ = 0;
  int listener_ = -1;
  std::unique_ptr<Gate> stop_accepting_;
  std::thread acceptor_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Toxics, 2> toxics_;
  std::vector<std::weak_ptr<Link>> links_;
  std::vector<std::thread> pumps_;  // the acceptor's, until it is joined
  std::string lose_after_;
  int accepted_ = 0;
  int lost_ = 0;
};

ToxicProxy::ToxicProxy(int server_port) : impl_(std::make_unique<Impl>(server_port, "")) {}
ToxicProxy::ToxicProxy(const std::string& server_socket)
    : impl_(std::make_unique<Impl>(0, server_socket)) {}
ToxicProxy::~ToxicProxy() = default;
int ToxicProxy::port() const { return impl_->port(); }
int ToxicProxy::accepted() const { return impl_->accepted(); }
int ToxicProxy::open() const { return impl_->open(); }
void ToxicProxy::SetDownstream(Toxics toxics) { impl_->Set(/*upstream=*/false, toxics); }
void ToxicProxy::SetUpstream(Toxics toxics) { impl_->Set(/*upstream=*/true, toxics); }
void ToxicProxy::Stop() { impl_->Stop(); }
void ToxicProxy::Restart() { impl_->Restart(); }
void ToxicProxy::ResetAll() { impl_->ResetAll(); }
void ToxicProxy::LoseAnswerTo(const std::string& text) { impl_->LoseAnswerTo(text); }
void ToxicProxy::WaitUntilLost() { impl_->WaitUntilLost(); }

}  // namespace postgen::testing
