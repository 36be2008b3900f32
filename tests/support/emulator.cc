#include "support/emulator.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <thread>

namespace postgen::testing {
namespace {

// The whole reply to a request that ends its connection.
std::string Ask(int port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  std::string reply;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    std::array<char, 4096> bytes{};
    for (ssize_t size = 0; (size = recv(fd, bytes.data(), bytes.size(), 0)) > 0;) {
      reply.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }
  close(fd);
  return reply;
}

}  // namespace

Emulator::Emulator(const std::vector<std::string>& command) : process_(command) {
  const std::string line = process_.WaitForLine("listening on http://127.0.0.1:");
  if (line.empty()) throw std::runtime_error("the emulator does not start");
  port_ = std::stoi(line.substr(line.rfind(':') + 1));
}

std::int64_t Emulator::Count(const std::string& name) const {
  const std::string ledger = Ask(port_, "GET /ledger HTTP/1.0\r\n\r\n");
  const std::size_t at = ledger.find('"' + name + "\":");
  if (at == std::string::npos) throw std::runtime_error("the emulator's books have no " + name);
  return std::stoll(ledger.substr(at + name.size() + 3));
}

void Emulator::Configure(const std::string& settings) const {
  const std::string reply =
      Ask(port_, "POST /config HTTP/1.0\r\nContent-Length: " + std::to_string(settings.size()) +
                     "\r\n\r\n" + settings);
  if (reply.find(" 200 ") == std::string::npos) {
    throw std::runtime_error("the emulator does not take the settings " + settings);
  }
}

void Emulator::WaitForCount(const std::string& name, std::int64_t at_least) const {
  while (Count(name) < at_least) std::this_thread::yield();
}

}  // namespace postgen::testing
