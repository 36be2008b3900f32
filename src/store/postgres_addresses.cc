#include "store/postgres_addresses.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

namespace postgen {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

// The host once for each of its addresses. Blocks. The message of an error is the resolver's.
Result<std::vector<PostgresHost>> LookUp(const PostgresHost& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  int status = getaddrinfo(host.name.c_str(), nullptr, &hints, &list);
  if (status != 0) return Error(Code::kStore, gai_strerror(status));
  const std::unique_ptr<addrinfo, FreeAddresses> owner(list);
  std::vector<PostgresHost> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    status = getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0,
                         NI_NUMERICHOST);
    if (status != 0) return Error(Code::kStore, gai_strerror(status));
    found.push_back({host.name, text.data(), host.port});
  }
  return found;
}

// Of several hosts those that are found.
Result<std::vector<PostgresHost>> LookUpAll(const std::vector<PostgresHost>& hosts) {
  std::vector<PostgresHost> found;
  Status last;
  for (const PostgresHost& host : hosts) {
    if (!host.needs_lookup()) {
      found.push_back(host);
      continue;
    }
    auto addresses = LookUp(host);
    if (addresses.ok()) {
      found.insert(found.end(), addresses->begin(), addresses->end());
    } else {
      last = std::move(addresses).error();
    }
  }
  if (found.empty()) return std::move(last).error();
  return found;
}

}  // namespace

PostgresAddresses::PostgresAddresses(const PostgresTarget* target, Executor* executor)
    : target_(target),
      needs_lookup_(std::any_of(target->hosts.begin(), target->hosts.end(),
                                [](const PostgresHost& host) { return host.needs_lookup(); })),
      calls_(std::make_shared<CallRegistry>(executor)),
      lookups_(executor, /*max_calls=*/1) {}

void PostgresAddresses::Find(TimePoint deadline, Callback done) {
  if (!needs_lookup_) {
    done(target_->conninfo);
    return;
  }
  auto finish = calls_->Begin<std::string>(
      deadline,
      [late = Failure("did not resolve in time")]() -> Result<std::string> { return late; },
      std::move(done));
  if (!finish) return;
  waiting_.push_back(std::move(finish));
  if (!looking_) Look();
}

void PostgresAddresses::Look() {
  // Until a resolver that hangs comes back no other one is set on it. If there is no thread for it,
  // the next who asks tries again.
  looking_ = lookups_.Run([this, hosts = target_->hosts]() -> Task {
    return [this, found = LookUpAll(hosts)] { OnFound(found); };
  });
}

void PostgresAddresses::OnFound(const Result<std::vector<PostgresHost>>& hosts) {
  looking_ = false;
  for (const Callback& done : std::exchange(waiting_, {})) {
    if (hosts.ok()) {
      done(ConninfoWithHosts(target_->conninfo, *hosts));
    } else {
      done(Failure("did not resolve: " + hosts.error().message));
    }
  }
}

Error PostgresAddresses::Failure(const std::string& what) const {
  Error error(Code::kStore, "PostgreSQL " + target_->shown + ": the host's name " + what,
              target_->shown);
  error.details.transient = true;
  return error;
}

}  // namespace postgen
