// Hosts whose names do not resolve, or not in time. This program's getaddrinfo takes the C
// library's place, for libpq too.
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "integration/postgres_test_database.h"
#include "postgen/generator.h"
#include "support/raw_server.h"

namespace postgen::testing {
namespace {

Gate* NewGate() { return new Gate; }  // resolver threads may outlive everything else

Gate* const resolver_answers = NewGate();
std::atomic<int> hanging = 0;
std::atomic<int> looked_up = 0;

using Resolve = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

}  // namespace
}  // namespace postgen::testing

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** result) {
  using namespace postgen::testing;
  static const auto libc = reinterpret_cast<Resolve>(dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string_view name = node == nullptr ? "" : node;
  if (name == "hangs.test") {
    ++hanging;
    pollfd answers{resolver_answers->fd(), POLLIN, 0};
    while (poll(&answers, 1, -1) < 0) {
    }
    return EAI_NONAME;
  }
  if (name == "nowhere.test") return EAI_NONAME;
  if (name == "pg.test") {
    ++looked_up;
    return libc("127.0.0.1", service, hints, result);
  }
  if (name == "two.test") {  // its first address is dead
    const int first = libc("127.0.0.2", service, hints, result);
    if (first != 0) return first;
    addrinfo* last = *result;
    while (last->ai_next != nullptr) last = last->ai_next;
    return libc("127.0.0.1", service, hints, &last->ai_next);
  }
  return libc(node, service, hints, result);
}

namespace postgen::testing {
namespace {

using std::chrono::milliseconds;

TimePoint In(milliseconds patience) { return std::chrono::steady_clock::now() + patience; }

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void WaitUntilHanging(int calls) {
  while (hanging < calls) std::this_thread::yield();
}

// The database, by another name of its host.
std::string UrlAt(const TestDatabase& database, const std::string& host) {
  TestServer server = database.server();
  server.host = host;
  return server.Url(database.name()) + "?sslmode=prefer";
}

TEST_CASE("a name is looked up for us, not by libpq, and serves every statement") {
  const TestDatabase database;
  TestStores stores(UrlAt(database, "pg.test"));
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  const int before = looked_up;
  CHECK(before == 1);
  CHECK(PutAndWait(stores.posts(), TestRow("one")).ok());
  CHECK(looked_up == before);  // on the connection that was there
}

TEST_CASE("of several addresses, and of several hosts, one that answers is enough") {
  const TestDatabase database;
  std::string host;
  SUBCASE("addresses") { host = "two.test"; }
  SUBCASE("hosts") { host = "nowhere.test,127.0.0.2,pg.test"; }
  TestStores stores(UrlAt(database, host));
  const auto migrated = MigrateAndWait(stores.posts());
  CHECK_MESSAGE(migrated.ok(), (migrated.ok() ? "" : migrated.error().message));
}

TEST_CASE("encryption is checked against the name, not the address") {
  const TestDatabase database;
  // The server has no certificate: it is enough that verify-full is still what is asked for.
  TestStores stores("postgresql://u:canary-password@pg.test:" + database.server().port +
                    "/d?sslmode=verify-full&sslrootcert=/dev/null");
  const Status usable = CheckAndWait(stores.posts());
  REQUIRE(!usable.ok());
  CHECK_MESSAGE(Contains(usable.error().message, "SSL"), usable.error().message);
  CHECK(!Contains(usable.error().message, "canary"));
}

TEST_CASE("a name that does not exist is an error that names it, without the password") {
  const TestDatabase database;
  TestServer server = database.server();
  server.host = "nowhere.test";
  server.password = "canary-password";
  TestStores stores(server.Url("d"));
  const Status usable = CheckAndWait(stores.posts());
  REQUIRE(!usable.ok());
  CHECK(usable.error().code == Code::kStore);
  CHECK(usable.error().details.transient);
  CHECK(Contains(usable.error().message, "nowhere.test"));
  CHECK(Contains(usable.error().message, "did not resolve"));
  CHECK(!Contains(usable.error().message, "canary"));
}

TEST_CASE("a resolver that hangs holds up its own store alone, and no deadline") {
  const TestDatabase database;
  StoreOptions here;
  here.url = database.Url();
  StoreOptions there;
  there.url = UrlAt(database, "hangs.test");
  EventLoop loop("test-store");  // one thread for both
  auto patient = OpenStores(there, {}, &loop);
  auto other = OpenStores(here, {}, &loop);
  REQUIRE(patient.ok());
  REQUIRE(other.ok());

  const int before = hanging;
  Answers<void> waits;
  patient->posts->Check(Soon(), waits.Callback());
  WaitUntilHanging(before + 1);
  CHECK(MigrateAndWait(other->posts.get()).ok());
  CHECK(PutAndWait(other->posts.get(), TestRow("one")).ok());
  const Status late = PutAndWait(patient->posts.get(), TestRow("two"), In(milliseconds(50)));
  REQUIRE(!late.ok());
  CHECK(late.error().details.transient);
  CHECK(FindAndWait(patient->profiles.get(), 208, In(milliseconds(50))).error().code ==
        Code::kStore);
  CHECK(waits.SoFar().empty());
  CHECK(hanging == before + 1);  // one resolver, however many wait for it
  patient = Stores();            // ends, though the resolver has not
  CHECK(waits.Wait(1).front().error().code == Code::kClosed);
}

TEST_CASE("a resolver that hangs does not hold up the end of a generator") {
  const TestDatabase database;
  const int before = hanging;
  Options options;
  options.llm.provider = "template";
  options.store.url = UrlAt(database, "hangs.test");
  options.store.spool = "none:";
  auto generator = PostGenerator::Create(options);
  REQUIRE(generator.ok());
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  const auto call = (*generator)->Start(request);
  WaitUntilHanging(before + 1);
  generator->reset();
  CHECK(!call->Wait()->ok());
}

}  // namespace
}  // namespace postgen::testing
