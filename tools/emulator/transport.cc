#include "transport.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <string>
#include <utility>

namespace emulator {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

// Holds any usual request, and keeps thousands of connections small.
constexpr std::size_t kReadBytes = 8192;
// Longest piece handed to OpenSSL at once, so that a large body does not hold up other streams.
constexpr std::size_t kTlsPieceBytes = 65536;

Tcp::socket Adopt(asio::io_context& context, int descriptor) {
  Tcp::socket socket(context);
  // Only the descriptor matters to Asio; the protocol would be used for opening a new one.
  socket.assign(Tcp::v4(), descriptor);
  return socket;
}

void CloseSocket(Tcp::socket& socket, bool reset) {
  error_code ignored;
  if (reset) socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

void PassOn(const std::weak_ptr<Transport::Client>& receiver, const error_code& error,
            std::string_view bytes) {
  auto client = receiver.lock();
  if (!client) return;
  error ? client->OnEnd() : client->OnBytes(bytes);
}

class PlainTransport final : public Transport, public std::enable_shared_from_this<PlainTransport> {
 public:
  PlainTransport(asio::io_context& context, int descriptor) : socket_(Adopt(context, descriptor)) {
    socket_.native_non_blocking(true);
  }

  void Start(std::weak_ptr<Client> client) override {
    client_ = std::move(client);
    if (auto opened = client_.lock()) opened->OnOpen();
  }

  void ReadMore() override {
    socket_.async_read_some(asio::buffer(inbox_),
                            [self = shared_from_this()](const error_code& error, std::size_t n) {
                              PassOn(self->client_, error, {self->inbox_.data(), n});
                            });
  }

  // Straight to the kernel: a paced delta is one system call and nothing else.
  std::size_t Write(std::string_view bytes) override {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t n = ::send(socket_.native_handle(), bytes.data() + sent, bytes.size() - sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        AwaitWritable();
        return sent;
      }
      // A broken connection swallows the rest; the pending read reports it.
      if (n < 0) return bytes.size();
      sent += static_cast<std::size_t>(n);
    }
    return sent;
  }

  void FinishWriting(bool /*polite*/) override {
    error_code ignored;
    socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  }

  void Close() override { End(/*reset=*/false); }
  void Reset() override { End(/*reset=*/true); }

 private:
  void AwaitWritable() {
    socket_.async_wait(Tcp::socket::wait_write,
                       [self = shared_from_this()](const error_code& error) {
                         auto client = self->client_.lock();
                         if (!error && client) client->OnWritable();
                       });
  }

  void End(bool reset) {
    client_.reset();
    CloseSocket(socket_, reset);
  }

  Tcp::socket socket_;
  std::weak_ptr<Client> client_;
  std::array<char, kReadBytes> inbox_;
};

class TlsTransport final : public Transport, public std::enable_shared_from_this<TlsTransport> {
 public:
  TlsTransport(asio::io_context& context, int descriptor, asio::ssl::context& tls)
      : stream_(Adopt(context, descriptor), tls) {}

  void Start(std::weak_ptr<Client> client) override {
    client_ = std::move(client);
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [self = shared_from_this()](const error_code& error) {
                              auto opened = self->client_.lock();
                              if (!opened) return;
                              error ? opened->OnEnd() : opened->OnOpen();
                            });
  }

  void ReadMore() override {
    stream_.async_read_some(asio::buffer(inbox_),
                            [self = shared_from_this()](const error_code& error, std::size_t n) {
                              PassOn(self->client_, error, {self->inbox_.data(), n});
                            });
  }

  // One piece at a time, copied, because the caller's bytes may go before OpenSSL is done.
  std::size_t Write(std::string_view bytes) override {
    if (writing_) return 0;
    outbox_ = bytes.substr(0, kTlsPieceBytes);
    writing_ = true;
    asio::async_write(stream_, asio::buffer(outbox_),
                      [self = shared_from_this()](const error_code&, std::size_t) {
                        self->writing_ = false;
                        if (self->finish_due_) self->FinishWriting(self->polite_);
                        if (auto client = self->client_.lock()) client->OnWritable();
                      });
    return outbox_.size();
  }

  void FinishWriting(bool polite) override {
    if (writing_) {
      finish_due_ = true;
      polite_ = polite;
      return;
    }
    if (!polite) return ShutDown();
    stream_.async_shutdown([self = shared_from_this()](const error_code&) { self->ShutDown(); });
  }

  void Close() override { End(/*reset=*/false); }
  void Reset() override { End(/*reset=*/true); }

 private:
  void ShutDown() {
    error_code ignored;
    stream_.next_layer().shutdown(Tcp::socket::shutdown_send, ignored);
  }

  void End(bool reset) {
    client_.reset();
    CloseSocket(stream_.next_layer(), reset);
  }

  asio::ssl::stream<Tcp::socket> stream_;
  std::weak_ptr<Client> client_;
  std::string outbox_;
  bool writing_ = false;
  bool finish_due_ = false;
  bool polite_ = true;
  std::array<char, kReadBytes> inbox_;
};

}  // namespace

std::shared_ptr<Transport> NewPlainTransport(asio::io_context& context, int socket) {
  return std::make_shared<PlainTransport>(context, socket);
}

std::shared_ptr<Transport> NewTlsTransport(asio::io_context& context, int socket,
                                           asio::ssl::context& tls) {
  return std::make_shared<TlsTransport>(context, socket, tls);
}

}  // namespace emulator
