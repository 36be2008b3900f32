#include "store/store_url.h"

#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "store/stores.h"
#include "unit/store/temporary_folder.h"

namespace postgen {
namespace {

using Kind = StoreLocation::Kind;

constexpr const char* kSecret = "hunter2secret";

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string ConninfoOf(const std::string& url) {
  const auto location = ParseStoreUrl(url, "store.url");
  REQUIRE_MESSAGE(location.ok(), location.error().message);
  REQUIRE(location->kind == Kind::kPostgres);
  return location->postgres.conninfo;
}

TEST_CASE("every kind of store has its URL") {
  const TemporaryFolder folder;
  CHECK(ParseStoreUrl("none:", "store.url")->kind == Kind::kNone);
  CHECK(ParseStoreUrl("memory:", "store.url")->kind == Kind::kMemory);
  CHECK(ParseStoreUrl("postgres://u@h/d", "store.url")->kind == Kind::kPostgres);
  const auto sqlite = ParseStoreUrl("sqlite:" + folder.File("p.db"), "store.url");
  REQUIRE(sqlite.ok());
  CHECK(sqlite->kind == Kind::kSqlite);
  CHECK(sqlite->path == folder.File("p.db"));
  CHECK(ParseStoreUrl("file:" + folder.File("k.json"), "profiles.url")->kind == Kind::kFile);
}

TEST_CASE("a relative path is made absolute") {
  const auto location = ParseStoreUrl("sqlite:posts.db", "store.url");
  REQUIRE(location.ok());
  CHECK(location->path == (std::filesystem::current_path() / "posts.db").string());
}

TEST_CASE("bad URLs are refused by the option that holds them, without their secrets") {
  const TemporaryFolder folder;
  const std::string secret = std::string("u:") + kSecret;
  const std::string good = "postgresql://" + secret + "@db.example.com/d";
  struct Case {
    std::string url;
    const char* why;
  };
  const Case cases[] = {
      {"", "must be postgresql://"},
      {"mysql://" + secret + "@h/d", "must be postgresql://"},
      {"postgresql+psycopg2://" + secret + "@h/d", "must be postgresql://"},
      {"file:" + folder.File("k.json"), "must be postgresql://"},
      {"sqlite:", "names no file"},
      {"sqlite::memory:", "use memory:"},
      {"sqlite:file:p.db?mode=ro", "not a URI"},
      {"sqlite:" + folder.path(), "is a folder"},
      {"sqlite:" + folder.File("no/p.db"), "there is no folder"},
      {good + "?options=-c%20x", "option options is unknown or not allowed"},
      {good + "?service=s", "option service is unknown or not allowed"},
      {good + "?passfile=/etc/p", "option passfile is unknown or not allowed"},
      {good + "?nonsense=" + kSecret, "option nonsense is unknown or not allowed"},
      {good + "?" + kSecret + "=1", "(unreadable name)"},
      {good + "?sslmode", "has no value"},
      {good + "?sslmode=disable", "in the clear"},
      {good + "?sslmode=allow", "in the clear"},
      {good + "?sslmode=maybe", "sslmode must be"},
      {good + "?sslmode=verify-full", "needs sslrootcert"},
      {good + "?connect_timeout=soon", "option connect_timeout must be a number"},
      {"postgresql://" + secret + "@localhost,db.example.com/d?sslmode=disable", "in the clear"},
      {"postgresql://" + secret + "@localhost/d?hostaddr=192.0.2.1&sslmode=disable",
       "in the clear"},
      {"postgresql://" + secret + "@h:99999/d", "the port must be"},
      {"postgresql://" + secret + "@h:12ab/d", "the port must be"},
      {"postgresql://" + secret + "%zz@h/d", "hexadecimal"},
      {"postgresql://" + secret + "%00@h/d", "hexadecimal"},
      {"postgresql://" + secret + "@[::1/d", "not a PostgreSQL URL"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.url);
    const auto location = ParseStoreUrl(c.url, "store.url");
    REQUIRE(!location.ok());
    const Error& error = location.error();
    CHECK(error.code == Code::kInvalidConfig);
    CHECK(error.details.field == "store.url");
    CHECK_MESSAGE(Contains(error.message, c.why), error.message);
    CHECK_MESSAGE(!Contains(error.message, kSecret), error.message);
  }
}

TEST_CASE("beyond loopback a connection is encrypted unless the URL says how") {
  struct Case {
    const char* url;
    const char* mode;
  };
  const Case cases[] = {
      {"postgresql://u@db.example.com/d", "require"},
      {"postgresql://u@192.0.2.1/d", "require"},
      {"postgresql://u@127.0.0.1,192.0.2.1/d", "require"},
      {"postgresql://u@localhost/d?hostaddr=192.0.2.1", "require"},
      {"postgresql://u@db.example.com/d?sslmode=prefer", "prefer"},
      {"postgresql://u@db.example.com/d?sslmode=verify-full&sslrootcert=/ca.pem", "verify-full"},
      {"postgresql://u@localhost/d", "prefer"},
      {"postgresql://u@127.0.0.1/d", "prefer"},
      {"postgresql://u@127.1.2.3/d?sslmode=disable", "disable"},
      {"postgresql://u@[::1]/d", "prefer"},
      {"postgresql:///d?host=/run/postgresql", "prefer"},
      {"postgresql:///d", "prefer"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.url);
    CHECK(Contains(ConninfoOf(c.url), std::string("sslmode='") + c.mode + '\''));
  }
}

TEST_CASE("values are quoted for libpq, and messages show the place without the password") {
  const auto location = ParseStoreUrl("postgresql://u%27s:p%5Cw%27@h:5433/d%20b", "store.url");
  REQUIRE(location.ok());
  CHECK(Contains(location->postgres.conninfo, "user='u\\'s'"));
  CHECK(Contains(location->postgres.conninfo, "password='p\\\\w\\''"));
  CHECK(Contains(location->postgres.conninfo, "dbname='d b'"));
  CHECK(location->postgres.shown == "u's@h:5433/d b");
}

TEST_CASE("names are looked up, addresses and sockets are not") {
  struct Case {
    const char* url;
    bool needs_lookup;
  };
  const Case cases[] = {
      {"postgresql://u@db.example.com/d", true},
      {"postgresql://u@localhost/d", true},
      {"postgresql://u@127.0.0.1/d", false},
      {"postgresql://u@[::1]/d", false},
      {"postgresql:///d?host=/run/postgresql", false},
      {"postgresql:///d", false},
      {"postgresql://u@db.example.com/d?hostaddr=192.0.2.1", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.url);
    const auto location = ParseStoreUrl(c.url, "store.url");
    REQUIRE(location.ok());
    REQUIRE(location->postgres.hosts.size() == 1);
    CHECK(location->postgres.hosts.front().needs_lookup() == c.needs_lookup);
  }
}

TEST_CASE("hosts are paired with their ports, and addresses stand beside their names") {
  using Hosts = std::vector<PostgresHost>;
  const auto hosts = [](const std::string& url) {
    return ParseStoreUrl(url, "store.url")->postgres.hosts;
  };
  CHECK(hosts("postgresql://u@a:1,b:2/d") == Hosts{{"a", "", "1"}, {"b", "", "2"}});
  CHECK(hosts("postgresql://u@a,b/d?port=5") == Hosts{{"a", "", "5"}, {"b", "", "5"}});
  const std::string conninfo =
      ConninfoWithHosts("user='u' host='a'", {{"a", "192.0.2.1", "1"}, {"a", "::2", "1"}});
  CHECK(conninfo == "user='u' host='a' host='a,a' hostaddr='192.0.2.1,::2' port='1,1'");
}

TEST_CASE("a peer that is gone is noticed by TCP") {
  const std::string conninfo = ConninfoOf("postgresql://u@h/d");
  CHECK(Contains(conninfo, "tcp_user_timeout='10000'"));
  CHECK(Contains(conninfo, "keepalives='1'"));
  CHECK(Contains(conninfo, "keepalives_idle='30'"));
  CHECK(Contains(ConninfoOf("postgresql://u@h/d?tcp_user_timeout=99"), "tcp_user_timeout='99'"));
}

TEST_CASE("every option that libpq would take from the environment is given") {
  const std::string conninfo = ConninfoOf("postgresql://u@h/d");
  for (const char* const name :
       {"password", "passfile", "hostaddr", "port", "client_encoding", "options", "sslcert",
        "sslkey", "sslrootcert", "sslcrl", "gssencmode", "target_session_attrs", "requirepeer"}) {
    CAPTURE(name);
    CHECK(Contains(conninfo, std::string(name) + "='"));
  }
  // An empty service would be looked for in files.
  CHECK(!Contains(conninfo, "service="));
}

TEST_CASE(
    "stores are opened by their URLs, and profiles are where posts are unless said otherwise") {
  const TemporaryFolder folder;
  EventLoop loop("test");
  const auto open = [&](const std::string& store, const std::string& profiles) {
    return OpenStores(StoreOptions{.url = store}, ProfileOptions{.url = profiles}, &loop);
  };
  SUBCASE("none") {
    const auto stores = open("none:", "");
    REQUIRE(stores.ok());
    CHECK(stores->posts == nullptr);
    CHECK(stores->profiles == nullptr);
  }
  SUBCASE("one place") {
    const auto stores = open("memory:", "");
    REQUIRE(stores.ok());
    CHECK(stores->posts != nullptr);
    CHECK(stores->profiles != nullptr);
  }
  SUBCASE("two places") {
    folder.Write("k.json", "[]");
    const auto stores = open("none:", "file:" + folder.File("k.json"));
    REQUIRE(stores.ok());
    CHECK(stores->posts == nullptr);
    CHECK(stores->profiles != nullptr);
  }
  SUBCASE("nothing is connected to, and nothing created, by opening") {
    REQUIRE(open("postgresql://u@192.0.2.1/d", "").ok());
    REQUIRE(open("sqlite:" + folder.File("p.db"), "").ok());
    CHECK(!std::filesystem::exists(folder.File("p.db")));
  }
  SUBCASE("errors name the option") {
    CHECK(open("nonsense", "").error().details.field == "store.url");
    CHECK(open("none:", "nonsense").error().details.field == "profiles.url");
    CHECK(open("none:", "file:" + folder.File("no.json")).error().details.field == "profiles.url");
  }
}

}  // namespace
}  // namespace postgen
