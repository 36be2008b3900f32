#include "support/raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

namespace postgen::testing {
namespace {

constexpr int kBacklog = 1024;
constexpr std::size_t kReadSize = 65536;

int Require(int result) {
  if (result < 0) throw std::runtime_error("the test server could not be set up");
  return result;
}

int BoundSocket() {
  const int fd = Require(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Require(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return fd;
}

int PortOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  Require(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size));
  return ntohs(address.sin_port);
}

// Waits until `fd` is readable (true) or `stop` is (false).
bool WaitReadable(int fd, int stop) {
  std::array<pollfd, 2> fds{{{stop, POLLIN, 0}, {fd, POLLIN, 0}}};
  while (poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
  }
  return fds[0].revents == 0;
}

// Of a request's head; 0 if it has none.
std::size_t ContentLength(std::string head) {
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::string_view kName = "\r\ncontent-length:";
  const std::size_t at = head.find(kName);
  return at == std::string::npos ? 0 : std::strtoul(&head[at + kName.size()], nullptr, 10);
}

using SslContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SslSession = std::unique_ptr<SSL, decltype(&SSL_free)>;

SslContext NewServerContext(const TlsIdentity& identity) {
  SslContext context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  const auto read = [](const std::string& pem, auto reader, auto* object_free) {
    BIO* memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    std::unique_ptr<std::remove_pointer_t<decltype(reader(memory, nullptr, nullptr, nullptr))>,
                    decltype(object_free)>
        object(reader(memory, nullptr, nullptr, nullptr), object_free);
    BIO_free(memory);
    return object;
  };
  const auto certificate = read(identity.certificate_pem, &PEM_read_bio_X509, &X509_free);
  const auto key = read(identity.key_pem, &PEM_read_bio_PrivateKey, &EVP_PKEY_free);
  if (SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    throw std::runtime_error("OpenSSL refused the test certificate");
  }
  return context;
}

// The protocol of the identity, if the client offers it.
int SelectProtocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int offered_size, void* protocol) {
  const auto* wanted = static_cast<const std::string*>(protocol);
  const std::string list = static_cast<char>(wanted->size()) + *wanted;
  unsigned char* selected = nullptr;
  const int result = SSL_select_next_proto(
      &selected, out_size, reinterpret_cast<const unsigned char*>(list.data()),
      static_cast<unsigned int>(list.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = reinterpret_cast<const unsigned char*>(wanted->data());  // `selected` is of `list`
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Gate::Gate() : fd_(Require(eventfd(0, EFD_CLOEXEC))) {}
Gate::~Gate() { close(fd_); }
void Gate::Open() { Require(eventfd_write(fd_, 1)); }

RefusingPort::RefusingPort() : fd_(BoundSocket()), port_(PortOf(fd_)) {}
RefusingPort::~RefusingPort() { close(fd_); }

class RawServer::Impl {
 public:
  Impl(Script script, const std::optional<TlsIdentity>& tls)
      : script_(std::move(script)),
        protocol_(tls ? tls->alpn : ""),
        tls_(tls ? NewServerContext(*tls) : SslContext(nullptr, &SSL_CTX_free)) {
    if (!protocol_.empty()) SSL_CTX_set_alpn_select_cb(tls_.get(), &SelectProtocol, &protocol_);
    Require(listen(listener_, kBacklog));
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~Impl() {
    stop_.Open();
    acceptor_.join();
    {
      // Ends calls that block in the middle of a send or of a handshake.
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }

  int port() const { return port_; }
  bool tls() const { return tls_ != nullptr; }
  int connections() const {
    const std::lock_guard lock(mutex_);
    return connections_;
  }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  class Connection;

  void Accept() {
    sigset_t broken_pipe;  // which OpenSSL's writes would raise
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    while (WaitReadable(listener_, stop_.fd())) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      int index = 0;
      {
        const std::lock_guard lock(mutex_);
        index = connections_++;
        open_.insert(fd);
      }
      threads_.emplace_back([this, fd, index] { Serve(fd, index); });
    }
  }

  void Serve(int fd, int index);

  void Close(int fd) {
    const std::lock_guard lock(mutex_);
    open_.erase(fd);
    close(fd);
  }

  void Record(std::string request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }

  const Script script_;
  std::string protocol_;
  const SslContext tls_;
  const int listener_ = BoundSocket();
  const int port_ = PortOf(listener_);
  Gate stop_;
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // of the acceptor, until it is joined

  mutable std::mutex mutex_;
  int connections_ = 0;
  std::vector<std::string> requests_;
  std::set<int> open_;
};

class RawServer::Impl::Connection final : public RawConnection {
 public:
  Connection(Impl* server, int fd, int index) : server_(server), fd_(fd), index_(index) {}

  ~Connection() override {
    if (ssl_ != nullptr && !reset_ && !cut_) SSL_shutdown(ssl_.get());
    const linger rst{1, 0};
    if (reset_) setsockopt(fd_, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    server_->Close(fd_);
  }

  bool Handshake() {
    if (server_->tls_ == nullptr) return true;
    ssl_.reset(SSL_new(server_->tls_.get()));
    SSL_set_fd(ssl_.get(), fd_);
    return WaitReadable(fd_, server_->stop_.fd()) && SSL_accept(ssl_.get()) == 1;
  }

  int index() const override { return index_; }

  std::optional<std::string> ReadRequest() override {
    std::size_t head_end = std::string::npos;
    while ((head_end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Receive()) return std::nullopt;
    }
    head_end += 4;
    const std::size_t size = head_end + ContentLength(buffer_.substr(0, head_end));
    while (buffer_.size() < size) {
      if (!Receive()) return std::nullopt;
    }
    std::string request = buffer_.substr(0, size);
    buffer_.erase(0, size);
    server_->Record(request);
    return request;
  }

  std::optional<std::string> ReadSome(Gate* unless) override {
    if (buffer_.empty() && unless != nullptr && !HasInput(unless)) return std::string();
    if (buffer_.empty() && !Receive()) return std::nullopt;
    return std::exchange(buffer_, {});
  }

  bool Send(std::string_view bytes) override {
    while (!bytes.empty()) {
      const int sent = ssl_ != nullptr
                           ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                           : static_cast<int>(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  bool Wait(Gate* gate) override { return WaitReadable(gate->fd(), server_->stop_.fd()); }

  bool WaitForClose() override {
    while (Receive()) buffer_.clear();
    return closed_;
  }

  void ResetOnClose() override { reset_ = true; }
  void CutOnClose() override { cut_ = true; }

 private:
  // Waits for input or the end of the server (true), or for the gate (false).
  bool HasInput(Gate* unless) {
    if (ssl_ != nullptr && SSL_pending(ssl_.get()) > 0) return true;
    std::array<pollfd, 3> fds{
        {{fd_, POLLIN, 0}, {server_->stop_.fd(), POLLIN, 0}, {unless->fd(), POLLIN, 0}}};
    while (poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
    }
    return fds[0].revents != 0 || fds[1].revents != 0;
  }

  // Appends what comes next to buffer_. False: the client closed or the server is ending.
  bool Receive() {
    const bool pending = ssl_ != nullptr && SSL_pending(ssl_.get()) > 0;
    if (!pending && !WaitReadable(fd_, server_->stop_.fd())) return false;
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kReadSize);
    const int got = ssl_ != nullptr
                        ? SSL_read(ssl_.get(), &buffer_[before], static_cast<int>(kReadSize))
                        : static_cast<int>(recv(fd_, &buffer_[before], kReadSize, 0));
    buffer_.resize(before + static_cast<std::size_t>(std::max(got, 0)));
    closed_ = got <= 0;
    return !closed_;
  }

  Impl* const server_;
  const int fd_;
  const int index_;
  SslSession ssl_{nullptr, &SSL_free};
  std::string buffer_;
  bool closed_ = false;
  bool reset_ = false;
  bool cut_ = false;
};

void RawServer::Impl::Serve(int fd, int index) {
  Connection connection(this, fd, index);
  if (connection.Handshake()) script_(connection);
}

RawServer::RawServer(Script script, const std::optional<TlsIdentity>& tls)
    : impl_(std::make_unique<Impl>(std::move(script), tls)) {}
RawServer::~RawServer() = default;
int RawServer::port() const { return impl_->port(); }
std::string RawServer::Url(std::string_view path) const {
  return (impl_->tls() ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port()) +
         std::string(path);
}
int RawServer::connections() const { return impl_->connections(); }
std::vector<std::string> RawServer::requests() const { return impl_->requests(); }

std::string Reply(int status, std::string_view headers, std::string_view body) {
  std::string reply = "HTTP/1.1 " + std::to_string(status) + " X\r\n";
  reply += headers;
  reply += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return reply.append(body);
}

std::string Chunk(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string size;
  for (std::size_t n = bytes.size(); n > 0; n /= 16) size.insert(size.begin(), kHex[n % 16]);
  return (size.empty() ? "0" : size) + "\r\n" + std::string(bytes) + "\r\n";
}

}  // namespace postgen::testing
