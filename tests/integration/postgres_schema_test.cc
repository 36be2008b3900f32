// Databases as they are found: fresh, of the app's several ages, closed to us.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "integration/postgres_test_database.h"

namespace postgen {
namespace {

using Strings = std::vector<std::string>;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The message of a check that must fail.
std::string CheckFailure(PostStore* store) {
  const Status usable = CheckAndWait(store);
  REQUIRE(!usable.ok());
  CHECK(usable.error().code == Code::kStore);
  return usable.error().message;
}

TEST_CASE("a fresh database is refused before anything is paid for, and migrated") {
  const TestDatabase database;
  TestStores stores(database.Url());
  CHECK(Contains(CheckFailure(stores.posts()), "run: postgen migrate"));
  CHECK(Contains(PutAndWait(stores.posts(), TestRow("one")).error().message, "postgen migrate"));
  const auto profile = FindAndWait(stores.profiles(), 208);
  REQUIRE(!profile.ok());
  CHECK(profile.error().code == Code::kStore);
  CHECK(Contains(profile.error().message, "there is no table kol_profiles"));

  CHECK(*MigrateAndWait(stores.posts()) ==
        Strings{"created table post_records", "created table kol_profiles",
                "created table postgen_requests", "created table postgen_spending"});
  CHECK(MigrateAndWait(stores.posts())->empty());
  CHECK(CheckAndWait(stores.posts()).ok());
  CHECK(PutAndWait(stores.posts(), TestRow("one")).ok());
  const auto absent = FindAndWait(stores.profiles(), 208);
  REQUIRE(absent.ok());
  CHECK(!absent->profile.has_value());
}

TEST_CASE("tables as the app creates them lack trigger_type until they are migrated") {
  const TestDatabase database;
  database.CreateAppTables();
  TestStores stores(database.Url());
  CHECK(Contains(CheckFailure(stores.posts()), "trigger_type; run: postgen migrate"));

  CHECK(*MigrateAndWait(stores.posts()) == Strings{"added column post_records.trigger_type",
                                                   "added column post_records.generation_mode",
                                                   "added column post_records.has_trending_topic",
                                                   "added column post_records.topic_content",
                                                   "created table postgen_requests",
                                                   "created table postgen_spending"});
  CHECK(MigrateAndWait(stores.posts())->empty());
  REQUIRE(PutAndWait(stores.posts(), TestRow("one")).ok());
  CHECK(**GetAndWait(stores.posts(), "one") == TestRow("one"));
}

TEST_CASE("17 columns are written until all 22 exist") {
  const TestDatabase database;
  database.CreateAppTables();
  database.Query("ALTER TABLE post_records ADD COLUMN trigger_type varchar(100)");
  TestStores stores(database.Url());
  REQUIRE(CheckAndWait(stores.posts()).ok());
  REQUIRE(PutAndWait(stores.posts(), TestRow("old")).ok());
  CHECK(PutAndWait(stores.posts(), TestRow("old")).ok());
  CHECK(database.Query("SELECT topic_id IS NULL FROM post_records") == "t");
  CHECK(GetAndWait(stores.posts(), "old")->value().trigger_type == "custom_stocks");

  REQUIRE(MigrateAndWait(stores.posts()).ok());
  REQUIRE(PutAndWait(stores.posts(), TestRow("new")).ok());
  CHECK(database.Query("SELECT topic_id FROM post_records WHERE post_id = 'new'") == "t-1");
}

TEST_CASE("whatever column of ours is missing, a migration adds it or says why it cannot") {
  const TestDatabase database;
  {
    const TestStores stores(database.Url());
    REQUIRE(MigrateAndWait(stores.posts()).ok());
    REQUIRE(PutAndWait(stores.posts(), TestRow("old")).ok());
  }
  for (const SqlColumn& column : ColumnsOf(PostColumns::kAll22)) {
    const std::string name(column.name);
    CAPTURE(name);
    const bool needed = database.Query(
                            "SELECT attnotnull FROM pg_attribute WHERE attrelid = "
                            "'post_records'::regclass AND attname = '" +
                            name + "'") == "t";
    const TestStores stores(database.Url());
    database.Query("ALTER TABLE post_records DROP COLUMN " + name);
    const auto lines = MigrateAndWait(stores.posts());
    REQUIRE(lines.ok() == !needed);
    if (lines.ok()) {
      CHECK(*lines == Strings{"added column post_records." + name});
    } else {
      CHECK_MESSAGE(Contains(lines.error().message,
                             "column post_records." + name + " is missing and cannot be added"),
                    lines.error().message);
      database.Query("TRUNCATE post_records");
      CHECK(*MigrateAndWait(stores.posts()) == Strings{"added column post_records." + name});
    }
    CHECK(MigrateAndWait(stores.posts())->empty());
    CHECK(PutAndWait(stores.posts(), TestRow("new " + name)).ok());
    CHECK(**GetAndWait(stores.posts(), "new " + name) == TestRow("new " + name));
  }
}

TEST_CASE("a migration does not call complete what the check refuses") {
  const TestDatabase database;
  const TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  database.Query("ALTER TABLE post_records DROP CONSTRAINT post_records_pkey");
  const auto lines = MigrateAndWait(stores.posts());
  REQUIRE(!lines.ok());
  CHECK(Contains(lines.error().message, "no primary key on post_id"));
  database.Query(
      "ALTER TABLE post_records DROP COLUMN post_id, ADD COLUMN other serial PRIMARY KEY");
  const auto taken = MigrateAndWait(stores.posts());
  REQUIRE(!taken.ok());
  CHECK(Contains(taken.error().message, "post_records.post_id is missing and cannot be added"));
}

TEST_CASE("times are UTC, whatever the type of the column and the time zone of the database") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  database.Query("ALTER DATABASE " + database.name() + " SET timezone = 'Asia/Taipei'");
  database.Query("CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN our_moment AS moment");
  for (const std::string type : {"timestamp", "timestamptz", "our_moment", "text"}) {
    CAPTURE(type);
    database.Query(
        "ALTER TABLE post_records ALTER created_at DROP DEFAULT, ALTER created_at TYPE " + type +
        ", ALTER updated_at DROP DEFAULT, ALTER updated_at TYPE " + type);
    const TestStores later(database.Url());
    const std::string id = "in " + type;
    REQUIRE(PutAndWait(later.posts(), TestRow(id)).ok());
    const std::string utc = type == "timestamp" || type == "text" ? "" : " AT TIME ZONE 'UTC'";
    CHECK(database.Query("SELECT concat(created_at" + utc + ", ' ', updated_at" + utc +
                         ") FROM post_records WHERE post_id = '" + id + "'") ==
          "2026-11-23 15:00:00.678901 2026-11-23 15:00:00.678901");
    CHECK(**GetAndWait(later.posts(), id) == TestRow(id));
    CHECK(PutAndWait(later.posts(), TestRow(id)).ok());  // the same post
  }
}

TEST_CASE("profiles are read from the app's table, without its login columns") {
  const TestDatabase database;
  database.CreateAppTables();
  // Whoever reads the login columns fails.
  database.Query(
      "CREATE ROLE reader_" + database.name() +
      " LOGIN PASSWORD 'r'; GRANT SELECT (serial, nickname, persona, tone_style, prompt_persona, "
      "signature, model_id, model_temp, max_tokens) ON kol_profiles TO reader_" +
      database.name());
  TestServer server = database.server();
  server.user = "reader_" + database.name();
  server.password = "r";
  {
    TestStores stores(server.Url(database.name()));
    const auto found = FindAndWait(stores.profiles(), 208);
    REQUIRE_MESSAGE(found.ok(), found.error().message);
    REQUIRE(found->profile.has_value());
    CHECK(found->profile->nickname == "韭割哥");
    CHECK(found->profile->model_temp == 0.5);
    CHECK(found->profile->max_tokens == 700);
    CHECK(!found->profile->prompt_persona.has_value());
    CHECK(!found->profile->common_terms.has_value());  // the table has no such column
  }
  database.Query("DROP OWNED BY " + server.user + "; DROP ROLE " + server.user);
}

TEST_CASE("JSON and UUIDs are written into columns of their own types") {
  const TestDatabase database;
  database.Query("CREATE DOMAIN tags AS jsonb CHECK (jsonb_typeof(value) = 'array')");
  const TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  const std::string id = "0e6b7bd4-2f3c-4f0a-9c1e-7f8a3f1f9d10";
  PostRow row = TestRow(id);
  row.generation_params = R"({"z": 1, "a": "\u53f0 \"積電\""})";
  row.commodity_tags = R"([{"type": "Stock", "key": "2330"}])";
  row.alternative_versions = R"([{"title": "標題"}])";
  const std::string numbers =
      "SELECT concat(generation_params ->> 'z', commodity_tags -> 0 ->> "
      "'key', alternative_versions -> 0 ->> 'title') FROM post_records";
  const auto change = [&](const std::string& key, const std::string& tags,
                          const std::string& json) {
    database.Query("TRUNCATE post_records; ALTER TABLE post_records ALTER post_id TYPE " + key +
                   " USING post_id::text::" + key + ", ALTER commodity_tags TYPE " + tags +
                   " USING NULL, ALTER generation_params TYPE " + json +
                   " USING NULL, ALTER alternative_versions TYPE " + json + " USING NULL");
  };
  SUBCASE("jsonb, which has its own words") { change("uuid", "tags", "jsonb"); }
  SUBCASE("json, which keeps the text") { change("uuid", "json", "json"); }
  SUBCASE("a mixture") { change("text", "tags", "json"); }
  REQUIRE_MESSAGE(CheckAndWait(stores.posts()).ok(), CheckAndWait(stores.posts()).error().message);
  const Status put = PutAndWait(stores.posts(), row);
  REQUIRE_MESSAGE(put.ok(), put.error().message);
  CHECK(database.Query(numbers) == "12330標題");
  CHECK(PutAndWait(stores.posts(), row).ok());  // the same post
  const auto stored = GetAndWait(stores.posts(), id);
  REQUIRE_MESSAGE(stored.ok(), stored.error().message);
  CHECK((*stored)->content == row.content);
  CHECK(Contains((*stored)->generation_params, "積電"));
  CHECK(!GetAndWait(stores.posts(), "no-such-post")->has_value());

  PostRow other = row;
  other.content = "another";
  CHECK(PutAndWait(stores.posts(), other).error().code == Code::kConflict);
  // What is no JSON is refused as a row, not as a table.
  PostRow broken = row;
  broken.post_id = "0e6b7bd4-2f3c-4f0a-9c1e-7f8a3f1f9d11";
  broken.commodity_tags = "{";
  const Status refused = PutAndWait(stores.posts(), broken);
  REQUIRE(!refused.ok());
  CHECK(!refused.error().details.transient);
  CHECK(Contains(refused.error().message, "a value does not fit the type of its column"));
  // Without tags, versions and session.
  broken.commodity_tags.clear();
  broken.alternative_versions.reset();
  broken.session_id.reset();
  CHECK(PutAndWait(stores.posts(), broken).ok());
  CHECK(PutAndWait(stores.posts(), broken).ok());
}

TEST_CASE("a column that cannot hold what postgen writes is named before anything is paid for") {
  const TestDatabase database;
  const TestStores migrated(database.Url());
  REQUIRE(MigrateAndWait(migrated.posts()).ok());
  struct Case {
    std::string column;
    std::string type;
    std::string message;
  };
  const Case cases[] = {
      {"session_id", "uuid", "session_id is uuid, and postgen writes a number: make it bigint"},
      {"kol_serial", "jsonb", "kol_serial is jsonb, and postgen writes a number"},
      {"stock_code", "integer", "stock_code is integer, and postgen writes text: make it text"},
      {"stock_code", "numeric(8,2)", "stock_code is numeric(8,2), and postgen writes text"},
      {"content_md", "bytea", "content_md is bytea, and postgen writes text"},
      {"status", "mood", "status is mood, and postgen writes text"},
      {"title", "jsonb", "title is jsonb, and postgen writes text"},
      {"topic_id", "uuid", "topic_id is uuid, and postgen writes text"},
      {"commodity_tags", "text[]", "commodity_tags is text[], and postgen writes JSON"},
      {"generation_params", "uuid", "postgen writes JSON: make it text, json or jsonb"},
      {"created_at", "date", "created_at is date, and postgen writes a time"},
      {"updated_at", "bigint", "postgen writes a time: make it timestamp or timestamptz"},
      {"has_trending_topic", "integer", "postgen writes true or false: make it boolean"},
      {"post_id", "bigint", "post_id is bigint, and postgen writes a UUID: make it text"},
      {"post_id", "varchar(20)", "a text is longer than its column allows"},
  };
  database.Query("CREATE TYPE mood AS ENUM ('draft')");
  for (const Case& c : cases) {
    CAPTURE(c.column);
    CAPTURE(c.type);
    const std::string before = database.Query(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
        "'post_records'::regclass AND attname = '" +
        c.column + "'");
    const std::string alter = "ALTER TABLE post_records ALTER " + c.column;
    database.Query(alter + " DROP DEFAULT, ALTER " + c.column + " TYPE " + c.type + " USING NULL");
    const TestStores stores(database.Url());
    const std::string message = CheckFailure(stores.posts());
    CHECK_MESSAGE(Contains(message, c.message), message);
    CHECK_MESSAGE(Contains(message, database.server().host), message);
    database.Query(alter + " TYPE " + before + " USING NULL");
  }
  CHECK(CheckAndWait(TestStores(database.Url()).posts()).ok());
}

TEST_CASE("what would refuse every row is found before anything is paid for") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  SUBCASE("a column that must be filled") {
    database.Query("ALTER TABLE post_records ADD COLUMN tenant_id integer NOT NULL");
    CHECK(Contains(CheckFailure(stores.posts()), "post_records.tenant_id must be filled"));
  }
  SUBCASE("a column that its domain says must be filled") {
    database.Query(
        "CREATE DOMAIN tenant AS integer NOT NULL; CREATE DOMAIN our_tenant AS tenant; "
        "ALTER TABLE post_records ADD COLUMN tenant_id our_tenant");
    CHECK(Contains(CheckFailure(stores.posts()), "post_records.tenant_id must be filled"));
    database.Query("ALTER DOMAIN our_tenant SET DEFAULT 7");
    const TestStores later(database.Url());
    CHECK(CheckAndWait(later.posts()).ok());
    CHECK(PutAndWait(later.posts(), TestRow("one")).ok());
    CHECK(database.Query("SELECT tenant_id FROM post_records") == "7");
  }
  SUBCASE("no key on post_id") {
    database.Query("ALTER TABLE post_records DROP CONSTRAINT post_records_pkey");
    CHECK(Contains(CheckFailure(stores.posts()), "no primary key on post_id"));
  }
  SUBCASE("a read-only database") {
    database.Query("ALTER DATABASE " + database.name() + " SET default_transaction_read_only = on");
    TestStores later(database.Url());
    const Status usable = CheckAndWait(later.posts());
    REQUIRE(!usable.ok());
    CHECK(Contains(usable.error().message, "read-only"));
    CHECK(usable.error().details.transient);
  }
}

TEST_CASE("a user without permissions is told so before anything is paid for") {
  const TestDatabase database;
  database.CreateAppTables();
  database.Query("ALTER TABLE post_records ADD COLUMN trigger_type varchar(100)");
  const std::string role = "weak_" + database.name();
  database.Query("CREATE ROLE " + role + " LOGIN PASSWORD 'w'; GRANT SELECT ON post_records TO " +
                 role);
  TestServer server = database.server();
  server.user = role;
  server.password = "w";
  {
    TestStores stores(server.Url(database.name()));
    CHECK(Contains(CheckFailure(stores.posts()), "lacks a permission"));
    const auto lines = MigrateAndWait(stores.posts());
    REQUIRE(!lines.ok());
    CHECK(Contains(lines.error().message, "lacks a permission"));
  }
  database.Query("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("a good check is remembered; when the table changes it is looked at again") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  REQUIRE(CheckAndWait(stores.posts()).ok());
  database.Query("DROP TABLE post_records");
  CHECK(CheckAndWait(stores.posts()).ok());
  CHECK(Contains(PutAndWait(stores.posts(), TestRow("one")).error().message, "postgen migrate"));
  CHECK(Contains(CheckFailure(stores.posts()), "there is no table post_records"));
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  CHECK(PutAndWait(stores.posts(), TestRow("one")).ok());
}

TEST_CASE("tables are found along the search path") {
  const TestDatabase database;
  database.Query("CREATE SCHEMA app; ALTER DATABASE " + database.name() +
                 " SET search_path = app, public");
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  REQUIRE(PutAndWait(stores.posts(), TestRow("one")).ok());
  CHECK(database.Query("SELECT post_id FROM app.post_records") == "one");
}

TEST_CASE("two migrations at once do not get into each other's way") {
  const TestDatabase database;
  TestStores a(database.Url());
  TestStores b(database.Url());
  Answers<Strings> answers;
  for (int i = 0; i < 4; ++i) {
    a.posts()->Migrate(Soon(), answers.Callback());
    b.posts()->Migrate(Soon(), answers.Callback());
  }
  for (const auto& lines : answers.Wait(8)) {
    CHECK_MESSAGE(lines.ok(), (lines.ok() ? "" : lines.error().message));
  }
  CHECK(PutAndWait(a.posts(), TestRow("one")).ok());
}

TEST_CASE("messages name no SQL and no data") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  database.Query("ALTER TABLE post_records ADD CONSTRAINT no_canary CHECK (title <> 'canary')");
  PostRow row = TestRow("one");
  row.title = "canary";
  const Status put = PutAndWait(stores.posts(), row);
  REQUIRE(!put.ok());
  CHECK(put.error().code == Code::kStore);
  CHECK(Contains(put.error().message, "23514"));
  CHECK(!Contains(put.error().message, "canary"));
  CHECK(!Contains(put.error().message, "INSERT"));
  row = TestRow("two");
  row.trigger_type = std::string(101, 'x');
  CHECK(Contains(PutAndWait(stores.posts(), row).error().message, "longer than its column"));
}

}  // namespace
}  // namespace postgen
