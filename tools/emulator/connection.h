// One connection: parses requests, has the service answer them, and plays the replies.
#ifndef POSTGEN_EMULATOR_CONNECTION_H_
#define POSTGEN_EMULATOR_CONNECTION_H_

#include <cstdint>
#include <memory>

namespace emulator {

class Pacer;
class Service;
class Transport;

// The connections that are open. `service` and `pacer` must outlive it.
class Connections {
 public:
  Connections(Service& service, Pacer& pacer);
  // Drops those that are still open.
  ~Connections();

  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Serves `transport` until either side closes it.
  void Serve(std::shared_ptr<Transport> transport, bool tls);

 private:
  struct Open;
  Service& service_;
  Pacer& pacer_;
  std::unique_ptr<Open> open_;
  std::uint64_t last_id_ = 0;
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_CONNECTION_H_
