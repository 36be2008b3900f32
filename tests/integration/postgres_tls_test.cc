// Encrypted connections: to the server that the URL names, or to none.
#include <chrono>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "contract/request_ledger_contract.h"
#include "integration/postgres_test_database.h"
#include "postgen/generator.h"
#include "support/fake_resolver.h"
#include "support/raw_server.h"
#include "support/scoped.h"
#include "support/tls_identity.h"
#include "support/toxic_proxy.h"

namespace postgen::testing {
namespace {

constexpr const char* kPassword = "canary-password";

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The file of the authority that signed the server's certificate, which is for `localhost`.
std::string Authority() {
  const char* const file = std::getenv("POSTGEN_TEST_POSTGRES_CA");
  REQUIRE_MESSAGE(file != nullptr, "run these tests under scripts/with-postgres");
  return file;
}

std::string Verify(const std::string& mode, const std::string& authority) {
  return "sslmode=" + mode + "&sslrootcert=" + authority;
}

std::string UrlOf(const TestDatabase& database, const std::string& host,
                  const std::string& options) {
  TestServer server = database.server();
  server.host = host;
  server.options = options;
  return server.Url(database.name());
}

// How the stores that are open are connected, as the server tells: "true" if all by TLS, "false" if
// none, "" if there are no connections.
std::string Encrypted(const TestDatabase& database) {
  return database.Query(
      "SELECT string_agg(DISTINCT ssl::text, ' and ') FROM pg_stat_ssl JOIN pg_stat_activity USING "
      "(pid) WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

// A refusal in one line that says why, at once, and without the password.
void CheckRefusal(const Status& status, const std::string& why) {
  REQUIRE(!status.ok());
  const Error& error = status.error();
  CHECK(error.code == Code::kStore);
  CHECK_MESSAGE(!error.details.transient, error.message);
  CHECK_MESSAGE(Contains(error.message, why), error.message);
  CHECK_MESSAGE(!Contains(error.message, "\n"), error.message);
  CHECK_MESSAGE(!Contains(error.message, kPassword), error.message);
}

TEST_CASE("a connection is encrypted if the URL or the server's place says so") {
  const TestDatabase database;
  struct Case {
    std::string host;
    std::string options;
    const char* encrypted;
  };
  const Case cases[] = {
      {"localhost", Verify("verify-full", Authority()), "true"},
      {"localhost", Verify("verify-full", Authority()) + "&hostaddr=127.0.0.1", "true"},
      {"localhost", Verify("verify-ca", Authority()), "true"},
      {"127.0.0.1", Verify("verify-ca", Authority()), "true"},
      {"here.test", Verify("verify-ca", Authority()), "true"},
      {"localhost", "sslmode=require", "true"},
      {"127.0.0.1", "sslmode=require", "true"},
      {"here.test", "", "true"},
      {"127.0.0.1", "", "true"},  // where the server can
      {"127.0.0.1", "sslmode=allow", "false"},
      {"127.0.0.1", "sslmode=disable", "false"},
      {"localhost", "sslmode=disable", "false"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.host);
    CAPTURE(c.options);
    database.Query("DROP TABLE IF EXISTS post_records");
    const TestStores stores(UrlOf(database, c.host, c.options));
    const auto migrated = MigrateAndWait(stores.posts());
    REQUIRE_MESSAGE(migrated.ok(), migrated.error().message);
    CHECK(CheckAndWait(stores.posts()).ok());
    CHECK(PutAndWait(stores.posts(), TestRow("one")).ok());
    CHECK(**GetAndWait(stores.posts(), "one") == TestRow("one"));
    CHECK(Encrypted(database) == c.encrypted);
  }
}

TEST_CASE("a server that is not the one asked for is refused at once, saying why") {
  const TestDatabase database;
  const TempFile stranger(NewTlsIdentity("DNS:localhost").certificate_pem);
  const TempFile nonsense("nonsense");
  const std::string away = "/nowhere/authority.pem";
  struct Case {
    std::string host;
    std::string options;
    std::string why;
  };
  const Case cases[] = {
      {"127.0.0.1", Verify("verify-full", Authority()), "does not match host name \"127.0.0.1\""},
      // Names that we have looked up ourselves; one of them has another address, which is down.
      {"here.test", Verify("verify-full", Authority()), "does not match host name \"here.test\""},
      {"two.test", Verify("verify-full", Authority()), "does not match host name \"two.test\""},
      {"here.test", Verify("verify-full", Authority()) + "&hostaddr=127.0.0.1",
       "does not match host name \"here.test\""},
      {"localhost", Verify("verify-full", stranger.path()), "certificate verify failed"},
      {"localhost", Verify("verify-ca", stranger.path()), "certificate verify failed"},
      {"localhost", Verify("require", stranger.path()), "certificate verify failed"},
      {"localhost", Verify("verify-full", away), away},
      {"localhost", Verify("verify-full", nonsense.path()), nonsense.path()},
      {"localhost",
       Verify("verify-full", Authority()) + "&sslcert=" + Authority() + "&sslkey=" + away, away},
      {"localhost",
       Verify("verify-full", Authority()) + "&sslcert=" + Authority() + "&sslkey=" + Authority(),
       "private key"},
      {"localhost", "sslmode=require&ssl_min_protocol_version=TLSv9", "ssl_min_protocol_version"},
      {"localhost", "sslmode=require&ssl_max_protocol_version=TLSv1", "SSL"},
      {"localhost", "sslmode=disable&channel_binding=require", "channel binding"},
      {"localhost", "channel_binding=perhaps", "channel_binding"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.host);
    CAPTURE(c.options);
    const ToxicProxy proxy(std::stoi(database.server().port));
    TestServer server = database.server();
    server.host = c.host;
    server.port = std::to_string(proxy.port());
    server.password = kPassword;
    server.options = c.options;
    const TestStores stores(server.Url(database.name()));
    CheckRefusal(CheckAndWait(stores.posts()), c.why);
    CHECK(proxy.accepted() <= 1);
    CheckRefusal(PutAndWait(stores.posts(), TestRow("one")), c.why);
  }
  CHECK(TimesLookedUp("two.test") > 0);
}

// Says 'N' to whoever asks for TLS: not here.
TEST_CASE("encryption that the server does not offer is not done without") {
  RawServer server([](RawConnection& peer) {
    if (peer.ReadSome()) peer.Send("N");
    peer.WaitForClose();
  });
  for (const std::string& options :
       {std::string("sslmode=require"), Verify("verify-ca", Authority()),
        Verify("verify-full", Authority())}) {
    CAPTURE(options);
    const int before = server.connections();
    const TestStores stores(std::string("postgresql://u:") + kPassword +
                            "@localhost:" + std::to_string(server.port()) + "/d?" + options);
    CheckRefusal(CheckAndWait(stores.posts()), "server does not support SSL");
    CheckRefusal(CheckAndWait(stores.posts()), "enable ssl on the server, or say sslmode=prefer");
    CHECK(server.connections() == before + 1);
  }
}

TEST_CASE("a post for a server that is not the one asked for costs nothing and waits for nothing") {
  const TestDatabase database;
  const TempFolder spool;
  Options options;
  options.llm.provider = "template";
  options.store.url = UrlOf(database, "127.0.0.1", Verify("verify-full", Authority()));
  options.store.spool = spool.path();
  auto generator = PostGenerator::Create(options);
  REQUIRE_MESSAGE(generator.ok(), generator.error().message);
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  const auto result = (*generator)->Start(request)->Wait();
  REQUIRE(result->error.has_value());
  CheckRefusal(*result->error, "does not match host name");
}

// libpq speaks the language of a process that asks for one.
TEST_CASE("what is refused is told in English, and as what it is, in every language") {
  const TestDatabase database;
  // A locale that no system has and every system can have: gettext takes its language from
  // LANGUAGE.
  const TempFolder locales;
  std::filesystem::create_directory_symlink("/usr/lib/locale/C.utf8", locales.File("xx_XX"));
  const ScopedEnv path("LOCPATH", locales.path());
  const ScopedEnv language("LANGUAGE", "de");
  REQUIRE(std::setlocale(LC_ALL, "xx_XX") != nullptr);
  const std::string url = UrlOf(database, "localhost", Verify("verify-full", "/nowhere"));
  const std::string english = "root certificate file \"/nowhere\" does not exist";
  {
    const TestStores stores(url);
    CheckRefusal(CheckAndWait(stores.posts()), english);
  }
  PGconn* const connection = PQconnectdb(url.c_str());
  if (Contains(PQerrorMessage(connection), english)) {
    MESSAGE("no translations of libpq are installed here: this has tested nothing");
  }
  PQfinish(connection);
  std::setlocale(LC_ALL, "C");
}

TEST_CASE("over TLS all stores keep their contracts") {
  const TestDatabase database;
  const std::string url = UrlOf(database, "localhost", Verify("verify-full", Authority()));
  TestStores stores(url);
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  SUBCASE("posts") {
    CheckPostStoreContract([&] { return std::move(stores.stores.posts); });
  }
  SUBCASE("profiles") {
    database.Query(TestProfilesSql());
    CheckProfileStoreContract([&] { return std::move(stores.stores.profiles); });
  }
  SUBCASE("requests") {
    const TestStores other(url);
    CheckRequestLedgerContract(stores.stores.ledger.get(), other.stores.ledger.get(),
                               [&](const std::string& sql) { return database.Query(sql); });
  }
}

TEST_CASE("rows larger than every record and buffer go over TLS, however they are cut on the way") {
  const TestDatabase database;
  ToxicProxy proxy(std::stoi(database.server().port));
  TestServer server = database.server();
  server.host = "localhost";
  server.port = std::to_string(proxy.port());
  server.options = Verify("verify-full", Authority());
  const TestStores stores(server.Url(database.name()));
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  proxy.SetUpstream({.slice_bytes = 1009});
  proxy.SetDownstream({.slice_bytes = 1013});
  std::vector<PostRow> rows;
  Answers<void> answers;
  for (const std::size_t size : {1U, 8191U, 8192U, 8193U, 16384U, 100'000U, 1'000'000U}) {
    rows.push_back(TestRow(std::to_string(size)));
    rows.back().content.assign(size, 'x');
    stores.posts()->Put(rows.back(), Soon(), answers.Callback());
  }
  for (const Status& answer : answers.Wait(rows.size())) {
    CHECK_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().message));
  }
  for (const PostRow& row : rows) {
    CAPTURE(row.post_id);
    const auto found = GetAndWait(stores.posts(), row.post_id);
    REQUIRE_MESSAGE(found.ok(), found.error().message);
    CHECK(*found == row);
  }
}

TEST_CASE(
    "connections over TLS that the server ended while they were idle are replaced unnoticed") {
  const TestDatabase database;
  const TestStores stores(UrlOf(database, "localhost", Verify("verify-full", Authority())));
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  for (const char* const id : {"one", "two", "three"}) {
    CHECK(PutAndWait(stores.posts(), TestRow(id)).ok());
    CHECK(Encrypted(database) == "true");
    database.Query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  }
  CHECK(database.Query("SELECT count(*) FROM post_records") == "3");
}

TEST_CASE("a statement over TLS that takes too long ends on the server as well") {
  const TestDatabase database;
  const TestStores stores(UrlOf(database, "localhost", Verify("verify-full", Authority())));
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  database.Query(
      "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN PERFORM pg_sleep(60); RETURN new; END $$;"
      "CREATE TRIGGER wait BEFORE INSERT ON post_records FOR EACH ROW EXECUTE FUNCTION wait()");
  const TimePoint soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  CHECK(!PutAndWait(stores.posts(), TestRow("slow"), soon).ok());
  database.WaitFor(
      "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
      "AND datname = current_database()");
}

}  // namespace
}  // namespace postgen::testing
