#include "store/postgres_addresses.h"

#include <algorithm>
#include <utility>

#include "runtime/host_addresses.h"

namespace postgen {
namespace {

// Each host once for each of its addresses; of several hosts those that are found.
Result<std::vector<PostgresHost>> LookUpAll(const std::vector<PostgresHost>& hosts) {
  std::vector<PostgresHost> found;
  Status last;
  for (const PostgresHost& host : hosts) {
    if (!host.needs_lookup()) {
      found.push_back(host);
      continue;
    }
    const auto addresses = LookUpAddresses(host.name);
    if (!addresses.ok()) {
      last = addresses.error();
      continue;
    }
    for (const std::string& address : *addresses) found.push_back({host.name, address, host.port});
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
