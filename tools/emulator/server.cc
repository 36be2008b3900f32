#include "server.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <memory>

#include "certificate.h"
#include "connection.h"
#include "numbers.h"
#include "pacer.h"
#include "service.h"
#include "transport.h"

namespace emulator {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr int kBacklog = 4096;

// As many descriptors as we may have: a connection is one.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Accepts connections for ever.
class Listener {
 public:
  Listener(asio::io_context& context, asio::ssl::context* tls, Connections& connections)
      : context_(context),
        tls_(tls),
        connections_(connections),
        acceptor_(context),
        retry_(context) {}

  error_code Open(const Options& options) {
    error_code error;
    Tcp::endpoint endpoint(asio::ip::make_address(options.host, error), options.port);
    if (!error) acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kBacklog, error);
    return error;
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void Accept() {
    acceptor_.async_accept([this](const error_code& error, Tcp::socket socket) {
      if (!error) Serve(std::move(socket));
      if (error != asio::error::operation_aborted) error ? AcceptLater() : Accept();
    });
  }

 private:
  void Serve(Tcp::socket socket) {
    error_code error;
    socket.set_option(Tcp::no_delay(true), error);
    int descriptor = socket.release(error);
    if (error) return;
    auto transport = tls_ != nullptr ? NewTlsTransport(context_, descriptor, *tls_)
                                     : NewPlainTransport(context_, descriptor);
    connections_.Serve(std::move(transport), tls_ != nullptr);
  }

  // Out of descriptors, most likely: some come back when connections close.
  void AcceptLater() {
    retry_.expires_after(std::chrono::milliseconds(50));
    retry_.async_wait([this](const error_code& error) {
      if (!error) Accept();
    });
  }

  asio::io_context& context_;
  asio::ssl::context* const tls_;
  Connections& connections_;
  Tcp::acceptor acceptor_;
  asio::steady_timer retry_;
};

// Stops the context when the parent process ends or closes our stdin. The parent is looked up now
// and then, because a death signal would come already when the thread that started us ends.
class ParentWatch {
 public:
  explicit ParentWatch(asio::io_context& context)
      : context_(context), parent_(getppid()), timer_(context), stdin_(context) {
    CheckParent();
    // A terminal, a file or /dev/null says nothing about the parent.
    struct stat info {};
    bool tells =
        fstat(STDIN_FILENO, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
    if (!tells) return;
    error_code error;
    stdin_.assign(dup(STDIN_FILENO), error);
    if (!error) ReadStdin();
  }

 private:
  void CheckParent() {
    if (getppid() != parent_) return context_.stop();
    timer_.expires_after(std::chrono::milliseconds(200));
    timer_.async_wait([this](const error_code& error) {
      if (!error) CheckParent();
    });
  }

  void ReadStdin() {
    stdin_.async_read_some(asio::buffer(ignored_), [this](const error_code& error, std::size_t) {
      error ? context_.stop() : ReadStdin();
    });
  }

  asio::io_context& context_;
  const pid_t parent_;
  asio::steady_timer timer_;
  asio::posix::stream_descriptor stdin_;
  std::array<char, 256> ignored_{};
};

std::string Url(const Options& options, std::uint16_t port) {
  bool v6 = options.host.find(':') != std::string::npos;
  return std::string(options.tls ? "https://" : "http://") + (v6 ? "[" : "") + options.host +
         (v6 ? "]" : "") + ":" + ToText(port) + "/v1";
}

}  // namespace

int RunServer(const Options& options, std::string* error) {
  RaiseDescriptorLimit();
  std::signal(SIGPIPE, SIG_IGN);
  std::shared_ptr<asio::ssl::context> tls;
  if (options.tls) {
    tls = NewTlsContext(options, error);
    if (!tls) return 1;
  }

  Service service(options.settings);
  asio::io_context context(1);
  Pacer pacer(context, FromMs(options.tick_ms));
  Connections connections(service, pacer);
  Listener listener(context, tls.get(), connections);
  if (error_code failed = listener.Open(options)) {
    *error =
        "cannot listen on " + options.host + ":" + ToText(options.port) + ": " + failed.message();
    return 1;
  }
  asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&context](const error_code&, int) { context.stop(); });
  std::unique_ptr<ParentWatch> watch;
  if (options.exit_with_parent) watch = std::make_unique<ParentWatch>(context);

  listener.Accept();
  std::printf("postgen-emulator listening on %s\n", Url(options, listener.port()).c_str());
  std::fflush(stdout);
  context.run();
  return 0;
}

}  // namespace emulator
