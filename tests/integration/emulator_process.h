// The emulator in a process of its own, and what it says of itself.
#ifndef POSTGEN_TESTS_INTEGRATION_EMULATOR_PROCESS_H_
#define POSTGEN_TESTS_INTEGRATION_EMULATOR_PROCESS_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/child_process.h"

namespace postgen::testing {

class Emulator {
 public:
  explicit Emulator(std::vector<std::string> flags)
      : process_([&flags] {
          flags.insert(flags.begin(), POSTGEN_EMULATOR);
          return flags;
        }()) {
    const std::string line = process_.WaitForLine("listening on http://127.0.0.1:");
    REQUIRE(!line.empty());
    port_ = std::stoi(line.substr(line.rfind(':') + 1));
  }

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

  // A number of its books.
  std::int64_t Count(const std::string& name) const {
    const std::string ledger = Ask("GET /ledger HTTP/1.0\r\n\r\n");
    const std::size_t at = ledger.find('"' + name + "\":");
    REQUIRE(at != std::string::npos);
    return std::stoll(ledger.substr(at + name.size() + 3));
  }
  // Until the books say so; what is waited for ends by itself only after minutes.
  void WaitFor(const std::string& name, std::int64_t count) const {
    while (Count(name) != count) {
    }
  }
  void Configure(const std::string& json) const {
    const std::string reply =
        Ask("POST /config HTTP/1.0\r\nContent-Length: " + std::to_string(json.size()) + "\r\n\r\n" +
            json);
    REQUIRE(reply.find(" 200 ") != std::string::npos);
  }

 private:
  // The whole reply to a request that ends its connection.
  std::string Ask(const std::string& request) const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(request.size()));
    std::string reply;
    std::array<char, 4096> bytes{};
    for (ssize_t size = 0; (size = recv(fd, bytes.data(), bytes.size(), 0)) > 0;) {
      reply.append(bytes.data(), static_cast<std::size_t>(size));
    }
    close(fd);
    return reply;
  }

  ChildProcess process_;
  int port_ = 0;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_INTEGRATION_EMULATOR_PROCESS_H_
