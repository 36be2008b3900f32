// Nothing of the process's surroundings decides where a store connects, or with whose password.
#include <stdlib.h>

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include "contract/post_store_contract.h"
#include "integration/postgres_test_database.h"
#include "support/scoped.h"

namespace postgen {
namespace {

// Variables of the process for as long as this lives. No other thread may be reading them.
class Environment {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;

  explicit Environment(Variables variables) : variables_(std::move(variables)) {
    for (const auto& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const Variables variables_;
};

bool LibpqConnects(const std::string& conninfo) {
  PGconn* const connection = PQconnectdb(conninfo.c_str());
  const bool connected = PQstatus(connection) == CONNECTION_OK;
  PQfinish(connection);
  return connected;
}

Status Check(const std::string& url) {
  const TestStores stores(url);
  return CheckAndWait(stores.posts());
}

// Encrypted, as the server can, if nothing says otherwise.
std::string UrlWithoutOptions(const TestDatabase& database) {
  TestServer server = database.server();
  server.options = "";
  return server.Url(database.name());
}

std::string MigratedUrl(const TestDatabase& database) {
  std::string url = UrlWithoutOptions(database);
  TestStores stores(url);
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  return url;
}

TEST_CASE("hostile PG variables change nothing") {
  const TestDatabase database;
  const std::string url = MigratedUrl(database);
  const testing::TempFolder folder;
  folder.Write("service", "[evil]\nhost=192.0.2.1\nsslmode=verify-full\noptions=-c x=y\n");

  const Environment::Variables hostile[] = {
      {{"PGHOST", "192.0.2.1"}},
      {{"PGHOSTADDR", "192.0.2.1"}},
      {{"PGPORT", "1"}},
      {{"PGDATABASE", "nowhere"}},
      {{"PGUSER", "nobody"}},
      {{"PGPASSWORD", "wrong"}},
      {{"PGPASSFILE", "/dev/zero"}},
      {{"PGSSLMODE", "verify-full"}},
      {{"PGSSLROOTCERT", "/nonsense"}, {"PGSSLCERT", "/nonsense"}, {"PGSSLKEY", "/nonsense"}},
      {{"PGREQUIRESSL", "1"}},
      {{"PGSSLMAXPROTOCOLVERSION", "TLSv1"}},
      {{"PGREQUIREPEER", "nobody"}},
      {{"PGCHANNELBINDING", "require"}},
      {{"PGGSSENCMODE", "require"}},
      {{"PGOPTIONS", "-c nonsense=on"}},
      {{"PGCLIENTENCODING", "LATIN1"}},
      {{"PGTARGETSESSIONATTRS", "standby"}},
      {{"PGCONNECT_TIMEOUT", "nonsense"}},
      {{"PGAPPNAME", "evil"}},
      {{"PGSERVICE", "evil"}, {"PGSERVICEFILE", folder.File("service")}},
  };
  for (const Environment::Variables& variables : hostile) {
    CAPTURE(variables.front().first);
    const Environment environment(variables);
    const Status usable = Check(url);
    CHECK_MESSAGE(usable.ok(), (usable.ok() ? "" : usable.error().message));
  }
}

TEST_CASE("libpq alone would be misled by such variables") {
  const TestDatabase database;
  const std::string url = UrlWithoutOptions(database);
  REQUIRE(LibpqConnects(url));
  for (const auto& variable : Environment::Variables{{"PGOPTIONS", "-c nonsense=on"},
                                                     {"PGSSLMODE", "verify-full"},
                                                     {"PGSSLMAXPROTOCOLVERSION", "TLSv1"},
                                                     {"PGGSSENCMODE", "require"},
                                                     {"PGTARGETSESSIONATTRS", "standby"}}) {
    CAPTURE(variable.first);
    const Environment environment(Environment::Variables{variable});
    CHECK(!LibpqConnects(url));
  }
}

TEST_CASE("a password is taken from the URL and from nowhere else") {
  unsetenv("PGPASSWORD");  // comes before a file
  const TestDatabase database;
  MigratedUrl(database);
  const TestServer& server = database.server();
  const std::string url =
      "postgresql://" + server.user + '@' + server.host + ':' + server.port + '/' + database.name();
  const testing::TempFolder home;
  home.Write(".pgpass", "*:*:*:*:" + server.password + '\n');
  std::filesystem::permissions(home.File(".pgpass"), std::filesystem::perms::owner_read);

  const Environment::Variables sources[] = {
      {{"PGPASSWORD", server.password}},
      {{"PGPASSFILE", home.File(".pgpass")}},
      {{"HOME", home.path()}},
  };
  for (const Environment::Variables& variables : sources) {
    CAPTURE(variables.front().first);
    const Environment environment(variables);
    CHECK(LibpqConnects(url));
    CHECK(!Check(url).ok());
  }
}

// libpq passes these on to the server whatever it is given.
TEST_CASE("the session's time zone and date style change no value") {
  const TestDatabase database;
  const std::string url = MigratedUrl(database);
  {
    const Environment environment(
        Environment::Variables{{"PGTZ", "Asia/Taipei"}, {"PGDATESTYLE", "German"}});
    const TestStores stores(url);
    REQUIRE(PutAndWait(stores.posts(), TestRow("one")).ok());
    CHECK(**GetAndWait(stores.posts(), "one") == TestRow("one"));
  }
  CHECK(database.Query("SELECT created_at FROM post_records") == "2026-11-23 15:00:00.678901");
}

// libpq looks for a service that the environment names whatever it is given: where there is none of
// that name, it connects to nothing.
TEST_CASE("a service that does not exist is an error that says what to do") {
  const TestDatabase database;
  const std::string url = MigratedUrl(database);
  const Environment environment(Environment::Variables{{"PGSERVICE", "evil"}});
  const Status usable = Check(url);
  REQUIRE(!usable.ok());
  CHECK(usable.error().code == Code::kStore);
  CHECK(usable.error().message.find("remove PGSERVICE from the environment") != std::string::npos);
}

}  // namespace
}  // namespace postgen
