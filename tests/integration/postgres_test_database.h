// A database of its own for each test, in the server that scripts/with-postgres started.
#ifndef POSTGEN_TESTS_INTEGRATION_POSTGRES_TEST_DATABASE_H_
#define POSTGEN_TESTS_INTEGRATION_POSTGRES_TEST_DATABASE_H_

#include <memory>
#include <string>

#include "runtime/event_loop.h"
#include "store/stores.h"

namespace postgen {

// Where the test server is. Fails the test if there is none.
struct TestServer {
  TestServer();
  std::string user;
  std::string password;
  std::string host;
  std::string port;
  std::string options;  // of a URL, after its `?`

  // postgresql://user:password@host:port/database?options, with these parts replaced.
  std::string Url(const std::string& database) const;
};

class TestDatabase {
 public:
  // It goes when the server goes: dropping each would make the server flush everything each time.
  TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& name() const { return name_; }
  std::string Url() const { return server_.Url(name_); }
  const TestServer& server() const { return server_; }

  // Runs statements as the superuser; the first column of the last one's first row, or "".
  std::string Query(const std::string& sql) const;

  // Asks, on one connection, until the answer is true.
  void WaitFor(const std::string& condition) const;

  // Tables as the app creates them at its start, without what its migrations add.
  void CreateAppTables() const;

 private:
  TestServer server_;
  std::string name_;
};

// Stores of a URL with the loop they run on. Members go in the right order.
struct TestStores {
  explicit TestStores(const std::string& url, std::int64_t pool_max = 50,
                      std::int64_t profiles_ttl_s = 0);
  EventLoop loop{"test-store"};
  Stores stores;

  PostStore* posts() const { return stores.posts.get(); }
  ProfileStore* profiles() const { return stores.profiles.get(); }
};

}  // namespace postgen

#endif  // POSTGEN_TESTS_INTEGRATION_POSTGRES_TEST_DATABASE_H_
