// Hosts whose names do not resolve, or not in time.

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "integration/postgres_test_database.h"
#include "postgen/generator.h"
#include "support/fake_resolver.h"
#include "support/raw_server.h"

namespace postgen::testing {
namespace {

using std::chrono::milliseconds;

TimePoint In(milliseconds patience) { return std::chrono::steady_clock::now() + patience; }

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The database, by another name of its host.
std::string UrlAt(const TestDatabase& database, const std::string& host) {
  TestServer server = database.server();
  server.host = host;
  server.options = "sslmode=prefer";
  return server.Url(database.name());
}

TEST_CASE("a name is looked up for us, not by libpq, and serves every statement") {
  const TestDatabase database;
  TestStores stores(UrlAt(database, "here.test"));
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  CHECK(TimesLookedUp("here.test") == 1);
  CHECK(PutAndWait(stores.posts(), TestRow("one")).ok());
  CHECK(TimesLookedUp("here.test") == 1);  // on the connection that was there
}

TEST_CASE("of several addresses, and of several hosts, one that answers is enough") {
  const TestDatabase database;
  std::string host;
  SUBCASE("addresses") { host = "two.test"; }
  SUBCASE("hosts") { host = "nowhere.test,127.0.0.2,here.test"; }
  TestStores stores(UrlAt(database, host));
  const auto migrated = MigrateAndWait(stores.posts());
  CHECK_MESSAGE(migrated.ok(), (migrated.ok() ? "" : migrated.error().message));
}

TEST_CASE("a name that does not exist is an error that names it, without the password") {
  const TestDatabase database;
  TestServer server = database.server();
  server.host = "nowhere.test";
  server.password = "canary-password";
  server.options = "";
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

  const int before = TimesLookedUp("hangs.test");
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
  CHECK(TimesLookedUp("hangs.test") == before + 1);  // one resolver, however many wait for it
  patient = Stores();                                // ends, though the resolver has not
  CHECK(waits.Wait(1).front().error().code == Code::kClosed);
}

TEST_CASE("a resolver that hangs does not hold up the end of a generator") {
  const TestDatabase database;
  const int before = TimesLookedUp("hangs.test");
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
