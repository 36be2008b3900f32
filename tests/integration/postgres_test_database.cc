#include "integration/postgres_test_database.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <utility>

#include <doctest/doctest.h>
#include <libpq-fe.h>

namespace postgen {
namespace {

using Connection = std::unique_ptr<PGconn, void (*)(PGconn*)>;

Connection ConnectTo(const std::string& url) {
  Connection connection(PQconnectdb(url.c_str()), PQfinish);
  PQsetNoticeReceiver(
      connection.get(), [](void* /*unused*/, const PGresult* /*notice*/) {}, nullptr);
  REQUIRE_MESSAGE(PQstatus(connection.get()) == CONNECTION_OK, PQerrorMessage(connection.get()));
  return connection;
}

std::string RunOn(PGconn* connection, const std::string& sql) {
  const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(connection, sql.c_str()),
                                                              PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  const bool succeeded = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  REQUIRE_MESSAGE(succeeded, PQresultErrorMessage(result.get()));
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

}  // namespace

TestServer::TestServer() {
  const char* const url = std::getenv("POSTGEN_TEST_POSTGRES_URL");
  REQUIRE_MESSAGE(url != nullptr, "run these tests under scripts/with-postgres");
  PQconninfoOption* const parsed = PQconninfoParse(url, nullptr);
  REQUIRE(parsed != nullptr);
  const auto value = [&](const std::string& name) {
    for (const PQconninfoOption* option = parsed; option->keyword != nullptr; ++option) {
      if (name == option->keyword && option->val != nullptr) return std::string(option->val);
    }
    return std::string();
  };
  user = value("user");
  password = value("password");
  host = value("host");
  port = value("port");
  PQconninfoFree(parsed);
  const std::string text = url;
  const std::size_t question = text.find('?');
  if (question != std::string::npos) options = text.substr(question + 1);
}

std::string TestServer::Url(const std::string& database) const {
  return "postgresql://" + user + ':' + password + '@' + host + ':' + port + '/' + database +
         (options.empty() ? "" : '?' + options);
}

TestDatabase::TestDatabase() {
  static std::atomic<int> count = 0;
  name_ = "test_" + std::to_string(getpid()) + '_' + std::to_string(++count);
  RunOn(ConnectTo(server_.Url("postgres")).get(), "CREATE DATABASE " + name_);
}

std::string TestDatabase::Query(const std::string& sql) const {
  return RunOn(ConnectTo(Url()).get(), sql);
}

void TestDatabase::WaitFor(const std::string& condition) const {
  const Connection connection = ConnectTo(Url());
  while (RunOn(connection.get(), condition) != "t") {
  }
}

void TestDatabase::CreateAppTables() const {
  Query(R"sql(
    CREATE TABLE post_records (
      post_id varchar PRIMARY KEY,
      created_at timestamp DEFAULT CURRENT_TIMESTAMP,
      updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
      session_id bigint,
      kol_serial integer NOT NULL,
      kol_nickname varchar NOT NULL,
      kol_persona varchar,
      stock_code varchar NOT NULL,
      stock_name varchar NOT NULL,
      title varchar NOT NULL,
      content text NOT NULL,
      content_md text,
      status varchar DEFAULT 'draft',
      reviewer_notes text, approved_by varchar, approved_at timestamp,
      scheduled_at timestamp, published_at timestamp,
      cmoney_post_id varchar, cmoney_post_url varchar, publish_error text,
      views bigint DEFAULT 0, likes bigint DEFAULT 0, comments bigint DEFAULT 0,
      shares bigint DEFAULT 0,
      topic_id varchar, topic_title varchar,
      technical_analysis text, serper_data text,
      quality_score double precision, ai_detection_score double precision, risk_level varchar,
      generation_params text, commodity_tags text, alternative_versions text);
    CREATE TABLE kol_profiles (
      id serial PRIMARY KEY,
      serial varchar(10) UNIQUE NOT NULL,
      nickname varchar(100) NOT NULL,
      member_id varchar(20) UNIQUE NOT NULL,
      persona varchar(50) NOT NULL,
      email varchar(200) UNIQUE NOT NULL,
      password varchar(200) NOT NULL,
      content_types text[],
      tone_style text,
      prompt_persona text,
      signature varchar(100),
      model_id varchar(50),
      model_temp double precision,
      max_tokens integer);
    INSERT INTO kol_profiles (serial, nickname, member_id, persona, email, password, content_types,
                              tone_style, model_id, model_temp, max_tokens)
    VALUES ('208', '韭割哥', 'm', '技術派', 'canary@mail', 'canary-password', '{a,b}',
            'direct', 'gpt-4o', 0.5, 700))sql");
}

TestStores::TestStores(const std::string& url, std::int64_t pool_max, std::int64_t profiles_ttl_s) {
  StoreOptions options;
  options.url = url;
  options.pool_max = pool_max;
  auto opened = OpenStores(options, ProfileOptions{.url = "", .ttl_s = profiles_ttl_s}, &loop);
  REQUIRE_MESSAGE(opened.ok(), opened.error().message);
  stores = *std::move(opened);
}

}  // namespace postgen
