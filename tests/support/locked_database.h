// Another program that has a SQLite file locked while this lives.
#ifndef POSTGEN_TESTS_SUPPORT_LOCKED_DATABASE_H_
#define POSTGEN_TESTS_SUPPORT_LOCKED_DATABASE_H_

#include <sqlite3.h>

#include <stdexcept>
#include <string>

namespace postgen::testing {

class LockedDatabase {
 public:
  explicit LockedDatabase(const std::string& file) {
    if (sqlite3_open(file.c_str(), &other_) == SQLITE_OK &&
        sqlite3_exec(other_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK) {
      return;
    }
    sqlite3_close(other_);
    throw std::runtime_error("cannot lock " + file);
  }
  ~LockedDatabase() { sqlite3_close(other_); }
  LockedDatabase(const LockedDatabase&) = delete;
  LockedDatabase& operator=(const LockedDatabase&) = delete;

 private:
  sqlite3* other_ = nullptr;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_LOCKED_DATABASE_H_
