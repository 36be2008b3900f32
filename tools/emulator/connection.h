// One connection: parses requests, has the service answer them, and plays the replies.
#ifndef POSTGEN_EMULATOR_CONNECTION_H_
#define POSTGEN_EMULATOR_CONNECTION_H_

#include <cstdint>
#include <memory>

namespace emulator {

class Pacer;
class Service;
class Transport;

// Serves `transport` until either side closes it. `service` and `pacer` must outlive the
// connection; `id` names it in the ledger.
void ServeConnection(std::shared_ptr<Transport> transport, std::uint64_t id, bool tls,
                     Service& service, Pacer& pacer);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_CONNECTION_H_
