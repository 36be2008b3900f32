// A server that is restarted, or crashes, in the middle of everything.
#include <atomic>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "integration/postgres_test_database.h"
#include "support/child_process.h"
#include "support/raw_server.h"

namespace postgen {
namespace {

void Restart(const std::string& mode) {
  const char* const program = std::getenv("POSTGEN_TEST_POSTGRES_CTL");
  REQUIRE(program != nullptr);
  testing::ChildProcess restart({program, "restart", "-m", mode});
  restart.WaitForLine("there is no such line");  // until it has ended
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void CheckRestart(const std::string& mode) {
  const TestDatabase database;
  const TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());

  std::atomic<bool> restarted = false;
  std::thread restarting([&] {
    Restart(mode);
    restarted = true;
  });
  constexpr int kAtOnce = 32;
  std::map<std::string, Status> told;  // by post id
  int failed = 0;
  for (int round = 0; !restarted; ++round) {
    std::vector<Answers<void>> answers(kAtOnce);
    const auto id = [&](std::size_t i) { return std::to_string(round) + '/' + std::to_string(i); };
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      stores.posts()->Put(TestRow(id(i)), Soon(), answers[i].Callback());
    }
    for (std::size_t i = 0; i < kAtOnce; ++i) told[id(i)] = answers[i].Wait(1).front();
  }
  restarting.join();

  for (const auto& answer : told) {
    const std::string& id = answer.first;
    CAPTURE(id);
    if (answer.second.ok()) continue;
    ++failed;
    CHECK(answer.second.error().code == Code::kStore);
    CHECK(answer.second.error().details.transient);
    // Whoever keeps it, as the spool does, comes back with it.
    const Status again = PutAndWait(stores.posts(), TestRow(id));
    REQUIRE_MESSAGE(again.ok(), again.error().message);
  }
  MESSAGE(told.size(), " rows, ", failed, " of them to be put again");
  CHECK(database.Query("SELECT count(*) FROM post_records") == std::to_string(told.size()));
}

TEST_CASE("a restart: what was told stored is there, the rest is to be put again") {
  CheckRestart("fast");
}

TEST_CASE("a crash: what was told stored is there, the rest is to be put again") {
  CheckRestart("immediate");
}

TEST_CASE("a server that is still starting is a failure that passes") {
  // As 57P03 is said to whoever comes too early.
  testing::RawServer server([](testing::RawConnection& peer) {
    if (!peer.ReadSome()) return;
    const std::string fields = std::string("SFATAL\0", 7) + std::string("VFATAL\0", 7) +
                               std::string("C57P03\0", 7) + std::string("Mnot yet\0\0", 10);
    const auto size = static_cast<char>(fields.size() + 4);
    peer.Send("E" + std::string("\0\0\0", 3) + size + fields);
  });
  const TestStores stores("postgresql://u:canary-password@127.0.0.1:" +
                          std::to_string(server.port()) + "/d?sslmode=disable");
  const Status usable = CheckAndWait(stores.posts());
  REQUIRE(!usable.ok());
  CHECK(usable.error().code == Code::kStore);
  CHECK(usable.error().details.transient);
  CHECK_MESSAGE(Contains(usable.error().message, "57P03"), usable.error().message);
  CHECK(!Contains(usable.error().message, "canary"));
  CHECK(server.connections() > 1);  // it was tried again
}

}  // namespace
}  // namespace postgen
