#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/postgres_calls.h"
#include "store/postgres_stores.h"
#include "store/postgres_table.h"
#include "store/schema.h"

namespace postgen {
namespace {

using ProfileColumns = std::vector<std::string_view>;

// `serial` is text in the app's table; where it is a number, its text is meant.
std::string SelectSql(const ProfileColumns& columns) {
  std::string list;
  for (const std::string_view column : columns) {
    if (!list.empty()) list += ", ";
    list += std::string(column) + "::text";
  }
  return "SELECT " + list + " FROM kol_profiles WHERE serial::text = $1";
}

Result<FoundProfile> ReadProfile(const PGresult* result, const ProfileColumns& columns) {
  if (PQntuples(result) == 0) return FoundProfile();
  KolProfile profile;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const SqlValue value = ReadValue(result, 0, static_cast<int>(i), SqlKind::kText);
    const auto* text = std::get_if<std::string_view>(&value);
    if (!text) continue;
    if (Status set = SetProfileField(columns[i], *text, &profile); !set.ok()) {
      return std::move(set).error();
    }
  }
  return FoundProfile{.profile = std::move(profile)};
}

// The operations, on the loop's thread.
class ProfileCalls final : public PostgresCalls {
 public:
  using PostgresCalls::PostgresCalls;

  void Find(std::int64_t kol_serial, TimePoint deadline, ProfileStore::FindCallback done) {
    auto finish = Begin<FoundProfile>(deadline, std::move(done));
    if (!finish) return;
    if (columns_) {
      Select(kol_serial, deadline, finish);
    } else {
      Look(kol_serial, deadline, finish);
    }
  }

 private:
  void Look(std::int64_t kol_serial, TimePoint deadline, const ProfileStore::FindCallback& finish) {
    Run(DescribeTable(kProfileTable), deadline, finish,
        [this, kol_serial, deadline, finish](const PGresult* result) {
          auto columns = ChooseProfileColumns(ReadTable(result).columns);
          if (!columns.ok()) {
            Error error = std::move(columns).error();
            error.message = "PostgreSQL " + target().shown + ": " + error.message;
            return finish(std::move(error));
          }
          columns_ = *std::move(columns);
          Select(kol_serial, deadline, finish);
        });
  }

  void Select(std::int64_t kol_serial, TimePoint deadline,
              const ProfileStore::FindCallback& finish) {
    const std::string serial = std::to_string(kol_serial);
    const SqlValue parameter = std::string_view(serial);
    Run(MakeStatement(SelectSql(*columns_), {&parameter, 1}), deadline, finish,
        [columns = *columns_, finish](const PGresult* result) {
          finish(ReadProfile(result, columns));
        });
  }

  void OnFailure(const PostgresFailure& failure) override {
    // The table is not what it was when we looked.
    if (failure.sqlstate.starts_with("42")) columns_.reset();
  }

  std::optional<ProfileColumns> columns_;
};

class PostgresProfileStore final : public ProfileStore {
 public:
  PostgresProfileStore(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : calls_(std::move(pool), loop) {}

  void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) override {
    calls_.Post([kol_serial, deadline, done = std::move(done)](ProfileCalls* profiles) mutable {
      profiles->Find(kol_serial, deadline, std::move(done));
    });
  }

 private:
  PostedCalls<ProfileCalls> calls_;
};

}  // namespace

std::unique_ptr<ProfileStore> NewPostgresProfileStore(std::shared_ptr<PostgresPool> pool,
                                                      EventLoop* loop) {
  return std::make_unique<PostgresProfileStore>(std::move(pool), loop);
}

}  // namespace postgen
