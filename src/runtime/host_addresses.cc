#include "runtime/host_addresses.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <memory>

namespace postgen {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

}  // namespace

bool IsAddress(const std::string& host) {
  in6_addr address{};  // large enough for either
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

Result<std::vector<std::string>> LookUpAddresses(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  int status = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (status != 0) return Error(Code::kInternal, gai_strerror(status));
  const std::unique_ptr<addrinfo, FreeAddresses> owner(list);
  std::vector<std::string> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    status = getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0,
                         NI_NUMERICHOST);
    if (status != 0) return Error(Code::kInternal, gai_strerror(status));
    found.emplace_back(text.data());
  }
  return found;
}

}  // namespace postgen
