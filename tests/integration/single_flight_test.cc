// The same post asked for many times at once, by processes that share a Redis: what it costs.
#include <signal.h>

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "redis/redis_client.h"
#include "support/child_process.h"
#include "support/emulator.h"
#include "support/redis_server.h"

namespace postgen::testing {
namespace {

constexpr int kProcesses = 4;
constexpr int kPosts = 25;  // of each
constexpr int kVersions = 5;

// Where processes meet: either will do.
struct Urls {
  std::string cache = "memory:";
  std::string shared;
};

class Worker {
 public:
  Worker(const Emulator& emulator, const Urls& urls, int posts)
      : posts_(posts),
        process_({POSTGEN_FLIGHT_WORKER, emulator.url(), urls.cache, urls.shared,
                  std::to_string(posts)}) {
    REQUIRE(!process_.WaitForLine("ready").empty());
  }
  void Go() { process_.Signal(SIGUSR1); }
  void Kill() { process_.Signal(SIGKILL); }

  struct Made {
    std::set<std::string> ids;
    std::set<std::string> texts;
    int failed = 0;
    int paid = 0;  // posts with a cost
    std::string metrics;
  };
  Made Wait() {
    Made made;
    for (int i = 0; i < posts_; ++i) {
      const std::string line = process_.WaitForLine(" ");
      if (line.rfind("post ", 0) != 0) {
        MESSAGE(line);
        ++made.failed;
        continue;
      }
      const std::size_t cost = line.find(' ', 5) + 1;
      const std::size_t text = line.find(' ', cost) + 1;
      made.ids.insert(line.substr(5, cost - 6));
      made.texts.insert(line.substr(text));
      if (line.substr(cost, text - cost - 1) != "0") ++made.paid;
    }
    made.metrics = process_.WaitForLine("metrics ");
    return made;
  }

 private:
  const int posts_;
  ChildProcess process_;
};

// 100 posts at once, over 4 processes.
Worker::Made MakeAll(const Emulator& emulator, const Urls& urls) {
  std::list<Worker> workers;
  for (int i = 0; i < kProcesses; ++i) workers.emplace_back(emulator, urls, kPosts);
  for (Worker& worker : workers) worker.Go();
  Worker::Made all;
  for (Worker& worker : workers) {
    Worker::Made made = worker.Wait();
    all.ids.merge(made.ids);
    all.texts.merge(made.texts);
    all.failed += made.failed;
    all.paid += made.paid;
    all.metrics += made.metrics + '\n';
  }
  CHECK(all.failed == 0);
  CHECK(all.ids.size() == kProcesses * kPosts);  // a post each
  return all;
}

const std::vector<std::string> kEmulator = {POSTGEN_EMULATOR, "--ttft-ms=300",
                                            "--tokens-per-s=400"};

TEST_CASE("100 identical requests over 4 processes that share Redis: five calls in all") {
  RedisServer redis;
  const Emulator emulator(kEmulator);
  Urls urls;
  SUBCASE("for their cache") { urls.cache = redis.DirectUrl(); }
  SUBCASE("for their limits") { urls.shared = redis.DirectUrl(); }
  const Worker::Made all = MakeAll(emulator, urls);
  CAPTURE(all.metrics);
  CHECK(emulator.Count("requests_total") == kVersions);
  CHECK(all.texts.size() <= kVersions);
  CHECK(all.paid >= 1);
  CHECK(all.paid <= kVersions);
}

TEST_CASE("the same with Redis stopped, or hanging: five calls a process") {
  RedisServer redis;
  SUBCASE("stopped") {
    redis.Kill();
    redis.proxy().Stop();
  }
  SUBCASE("hanging") { redis.Freeze(); }
  const Emulator emulator(kEmulator);
  const Worker::Made all = MakeAll(emulator, {.cache = redis.Url(), .shared = {}});
  CAPTURE(all.metrics);
  CHECK(emulator.Count("requests_total") == kProcesses * kVersions);
}

TEST_CASE("the process that writes the text is killed: another one takes over at its lease's end") {
  RedisServer redis;
  // The first five calls are never answered.
  const Emulator emulator({POSTGEN_EMULATOR, "--ttft-ms=50", "--tokens-per-s=0", "--fail=stall#5"});
  const Urls urls{.cache = redis.DirectUrl(), .shared = {}};
  auto first = std::make_unique<Worker>(emulator, urls, 1);
  first->Go();
  emulator.WaitForCount("requests_total", kVersions);
  Worker second(emulator, urls, kPosts);
  second.Go();
  first->Kill();
  first.reset();

  // Instead of waiting for it.
  RedisClient client(*ParseRedisUrl(redis.DirectUrl(), "cache.url"));
  while (!client.Look().connected) std::this_thread::yield();
  client.Run(
      {"EVAL",
       "for _, k in ipairs(redis.call('KEYS', 'postgen:lock:*')) do redis.call('DEL', k) end "
       "return 1",
       "0"},
      [](const RedisReply& /*reply*/) {});
  const Worker::Made made = second.Wait();
  CAPTURE(made.metrics);
  CHECK(made.failed == 0);
  CHECK(emulator.Count("requests_total") == 2 * kVersions);
}

}  // namespace
}  // namespace postgen::testing
