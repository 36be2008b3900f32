// One accepted connection as bytes in and out, plain or TLS. Everything runs on the io_context's
// one thread.
#ifndef POSTGEN_EMULATOR_TRANSPORT_H_
#define POSTGEN_EMULATOR_TRANSPORT_H_

#include <cstddef>
#include <memory>
#include <string_view>

namespace boost::asio {
class io_context;
namespace ssl {
class context;
}
}  // namespace boost::asio

namespace emulator {

class Transport {
 public:
  // The other side of a transport, which does not keep it alive.
  class Client {
   public:
    virtual ~Client() = default;
    // The handshake is done (at once, without TLS).
    virtual void OnOpen() = 0;
    // Comes once for every ReadMore. `bytes` is valid during the call.
    virtual void OnBytes(std::string_view bytes) = 0;
    // The peer has ended or lost the connection; no more OnBytes.
    virtual void OnEnd() = 0;
    // A Write that took less than it was given can go on.
    virtual void OnWritable() = 0;
  };

  virtual ~Transport() = default;

  virtual void Start(std::weak_ptr<Client> client) = 0;

  virtual void ReadMore() = 0;

  // Takes what fits and returns how much that was. When it is less than bytes.size(), OnWritable
  // comes later (it may come at other times too).
  virtual std::size_t Write(std::string_view bytes) = 0;

  // Ends our direction after everything written. `polite`: with TLS, say so (close_notify).
  virtual void FinishWriting(bool polite) = 0;

  // Closes; a reset makes the peer see RST. No callbacks after these.
  virtual void Close() = 0;
  virtual void Reset() = 0;
};

// Both own `socket`, a connected descriptor.
std::shared_ptr<Transport> NewPlainTransport(boost::asio::io_context& context, int socket);
std::shared_ptr<Transport> NewTlsTransport(boost::asio::io_context& context, int socket,
                                           boost::asio::ssl::context& tls);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_TRANSPORT_H_
