// Posts that PostgreSQL does not keep wait in the spool: none is paid for and lost.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "contract/post_store_contract.h"
#include "integration/postgres_test_database.h"
#include "postgen/generator.h"
#include "support/scoped.h"

namespace postgen {
namespace {

constexpr auto kLong = std::chrono::seconds(30);

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Fixture {
  TestDatabase database;
  testing::TempFolder spool;

  Fixture() {
    const TestStores stores(database.Url());
    REQUIRE(MigrateAndWait(stores.posts()).ok());
  }

  std::unique_ptr<PostGenerator> NewGenerator() const {
    Options options;
    options.llm.provider = "template";
    options.store.url = database.Url();
    options.store.spool = spool.path();
    auto generator = PostGenerator::Create(options);
    REQUIRE_MESSAGE(generator.ok(), generator.error().message);
    return *std::move(generator);
  }

  static std::shared_ptr<const PostResult> Generate(PostGenerator* generator) {
    PostRequest request;
    request.stock_code = "2330";
    request.kol_serial = 208;
    return generator->Start(request)->Wait();
  }
};

TEST_CASE("a post that a trigger drops is refused, and stays in the spool") {
  const Fixture f;
  f.database.Query(
      "CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
      "CREATE TRIGGER drop_row BEFORE INSERT ON post_records FOR EACH ROW "
      "EXECUTE FUNCTION drop_row()");
  {
    const TestStores stores(f.database.Url());
    const Status put = PutAndWait(stores.posts(), TestRow("one"));
    REQUIRE(!put.ok());
    CHECK(put.error().code == Code::kStore);
    CHECK(!put.error().details.transient);
    CHECK(Contains(put.error().message, "look for a trigger or rule on post_records"));
  }
  const auto generator = f.NewGenerator();
  const auto result = Fixture::Generate(generator.get());
  REQUIRE_MESSAGE(!result->error.has_value(), result->error->message);
  CHECK(result->stored == Stored::kSpooled);
  const Status flushed = generator->FlushSpool(kLong);
  REQUIRE_FALSE(flushed.ok());
  CHECK(Contains(flushed.error().message, "trigger"));
  const auto kept = generator->ListSpool(kLong);
  REQUIRE_MESSAGE(kept.ok(), kept.error().message);
  REQUIRE(kept->size() == 1);
  CHECK(kept->front().row.post_id == result->post_id);
  CHECK(Contains(kept->front().refusal, "trigger"));
}

// As during a failover: the name still leads to a standby.
TEST_CASE("a process that starts while the database is read-only spools, and moves on by itself") {
  const Fixture f;
  const std::string read_only =
      "ALTER DATABASE " + f.database.name() + " SET default_transaction_read_only = ";
  f.database.Query(read_only + "on");
  const auto generator = f.NewGenerator();
  const auto result = Fixture::Generate(generator.get());
  REQUIRE_MESSAGE(!result->error.has_value(), result->error->message);
  CHECK(result->stored == Stored::kSpooled);

  // Connections of before still are read-only, as those to a standby that stays one.
  f.database.Query("BEGIN READ WRITE; " + read_only + "off; COMMIT");
  Status flushed = generator->FlushSpool(kLong);
  while (!flushed.ok() && flushed.error().details.transient) flushed = generator->FlushSpool(kLong);
  REQUIRE_MESSAGE(flushed.ok(), flushed.error().message);
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
}

}  // namespace
}  // namespace postgen
