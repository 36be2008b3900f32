#include "store/sqlite_database.h"

#include <filesystem>
#include <span>
#include <string_view>

namespace postgen {
namespace {

std::string InsertSql(PostColumns columns) {
  std::string marks;
  for (std::size_t i = 0; i < ColumnsOf(columns).size(); ++i) marks += i == 0 ? "?" : ", ?";
  return "INSERT INTO post_records (" + ColumnList(columns) + ") VALUES (" + marks +
         ") ON CONFLICT (post_id) DO NOTHING";
}

std::string SelectProfileSql(const std::vector<std::string_view>& columns) {
  std::string list;
  for (const std::string_view column : columns) {
    if (!list.empty()) list += ", ";
    list += column;
  }
  return "SELECT " + list + " FROM kol_profiles WHERE CAST(serial AS TEXT) = ?";
}

}  // namespace

std::string SqliteDatabase::folder() const {
  const std::string parent = std::filesystem::path(path_).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<PostColumns> SqliteDatabase::Check() {
  if (Status status = EnsureOpen(); !status.ok()) return std::move(status).error();
  const auto columns = file_->Columns(kPostTable);
  if (!columns.ok()) return columns.error();
  return ChoosePostColumns(*columns);
}

Result<std::vector<Status>> SqliteDatabase::Put(const std::vector<const PostRow*>& rows) {
  Result<std::vector<Status>> written = PutOnce(rows);
  // What a failed commit left is read anew, and written again.
  if (!written.ok() && file_ == nullptr) written = PutOnce(rows);
  return written;
}

Result<std::vector<Status>> SqliteDatabase::PutOnce(const std::vector<const PostRow*>& rows) {
  const auto columns = Check();
  if (!columns.ok()) return columns.error();
  const ForkHold hold;
  if (Status begun = file_->Execute("BEGIN IMMEDIATE"); !begun.ok()) {
    return std::move(begun).error();
  }
  std::vector<Status> statuses;
  if (auto insert = SqliteStatement::Prepare(file_.get(), InsertSql(*columns)); insert.ok()) {
    for (const PostRow* row : rows) {
      statuses.push_back(PutRow(*row, *columns, &*insert));
      // A full disk, among others, ends the transaction: what came before is gone, and what came
      // next would be written outside of it.
      if (!file_->InTransaction()) return std::move(statuses.back()).error();
    }
  } else {
    statuses.assign(rows.size(), insert.error());
  }
  if (Status committed = Commit(); !committed.ok()) return std::move(committed).error();
  return statuses;
}

Result<std::optional<PostRow>> SqliteDatabase::Get(const std::string& post_id) {
  const auto columns = Check();
  if (!columns.ok()) return columns.error();
  return Read(post_id, *columns);
}

Result<FoundProfile> SqliteDatabase::FindProfile(std::int64_t kol_serial) {
  if (Status status = EnsureOpen(); !status.ok()) return std::move(status).error();
  const auto existing = file_->Columns(kProfileTable);
  if (!existing.ok()) return existing.error();
  const auto columns = ChooseProfileColumns(*existing);
  if (!columns.ok()) return columns.error();
  auto select = SqliteStatement::Prepare(file_.get(), SelectProfileSql(*columns));
  if (!select.ok()) return select.error();
  const std::string serial = std::to_string(kol_serial);
  const SqlValue parameter = std::string_view(serial);
  if (Status bound = select->Bind({&parameter, 1}); !bound.ok()) return std::move(bound).error();
  const auto row = select->Step();
  if (!row.ok()) return row.error();
  if (!*row) return FoundProfile();
  KolProfile profile;
  for (std::size_t i = 0; i < columns->size(); ++i) {
    const SqlValue value = select->Column(static_cast<int>(i), SqlKind::kText);
    const auto* text = std::get_if<std::string_view>(&value);
    if (!text) continue;
    if (Status set = SetProfileField((*columns)[i], *text, &profile); !set.ok()) {
      return std::move(set).error();
    }
  }
  return FoundProfile{.profile = std::move(profile)};
}

Result<std::vector<std::string>> SqliteDatabase::Migrate() {
  const bool opening = file_ == nullptr;
  if (Status status = EnsureOpen(); !status.ok()) return std::move(status).error();
  std::vector<std::string> lines;
  if (opening) lines = file_->created();
  const auto posts = file_->Columns(kPostTable);
  if (!posts.ok()) return posts.error();
  const auto profiles = file_->Columns(kProfileTable);
  if (!profiles.ok()) return profiles.error();
  for (const SchemaChange& change : MissingSchema(SqlDialect::kSqlite, *posts, *profiles)) {
    if (Status status = file_->Execute(change.sql); !status.ok()) {
      Error error = std::move(status).error();
      if (!error.details.transient && !change.obstacle.empty()) {
        error.message = "the SQLite file " + path_ + ": " + change.obstacle;
      }
      return error;
    }
    lines.push_back(change.line);
  }
  return lines;
}

Status SqliteDatabase::EnsureOpen() {
  // What is written to a file that was removed is lost.
  if (file_ && !(use_ == SqliteUse::kStorePosts && file_->HasMoved())) return {};
  file_.reset();
  auto file = SqliteFile::Open(path_, use_);
  if (!file.ok()) return std::move(file).error();
  if (unsettled_) {
    // Whatever kept it from being settled: nothing is written to it until it is.
    if (Status settled = (*file)->Settle(); !settled.ok()) return settled;
    unsettled_ = false;
  }
  file_ = *std::move(file);
  return {};
}

Error SqliteDatabase::Distrust(Error error) {
  if (error.code == Code::kBusy || error.details.transient) return error;
  // After a failed write nobody knows what the file's pages in memory are worth: read them anew.
  file_.reset();
  unsettled_ = true;
  return error;
}

Status SqliteDatabase::EnsureTable(const std::string& create) {
  if (Status status = EnsureOpen(); !status.ok()) return status;
  return file_->Execute(create);
}

Result<ClaimAnswer> SqliteDatabase::Claim(const RequestClaim& claim) {
  if (Status status = EnsureTable(ledger_.create); !status.ok()) return std::move(status).error();
  auto take = SqliteStatement::Prepare(file_.get(), ledger_.claim);
  if (!take.ok()) return take.error();
  const SqlValue values[] = {std::string_view(claim.tenant), std::string_view(claim.key),
                             std::string_view(claim.request_hash), std::string_view(claim.post_id),
                             std::string_view(claim.owner)};
  if (Status bound = take->Bind(values); !bound.ok()) return std::move(bound).error();
  auto taken = take->Step();
  if (!taken.ok()) return Distrust(taken.error());
  if (*taken) {
    ClaimAnswer answer;
    answer.post_id = std::get<std::string_view>(take->Column(0, SqlKind::kText));
    // The row is committed with the last step.
    if (const auto ended = take->Step(); !ended.ok()) return Distrust(ended.error());
    return answer;
  }
  auto look = SqliteStatement::Prepare(file_.get(), ledger_.look);
  if (!look.ok()) return look.error();
  if (Status bound = look->Bind(std::span(values).first(2)); !bound.ok()) {
    return std::move(bound).error();
  }
  const auto found = look->Step();
  if (!found.ok()) return found.error();
  if (!*found) return ClaimAnswer{ClaimAnswer::State::kRunning, claim.post_id};
  const auto text = [&](int column) {
    return std::get<std::string_view>(look->Column(column, SqlKind::kText));
  };
  return JudgeClaim(claim, text(0), text(1), text(2));
}

Status SqliteDatabase::FinishClaim(const RequestClaim& claim) {
  if (Status finished = ChangeClaim(ledger_.finish, claim); !finished.ok()) return finished;
  return ChangeClaim(ledger_.clear, claim);
}

Status SqliteDatabase::ReleaseClaim(const RequestClaim& claim) {
  return ChangeClaim(ledger_.release, claim);
}

Status SqliteDatabase::ChangeClaim(const std::string& sql, const RequestClaim& claim) {
  if (Status status = EnsureTable(ledger_.create); !status.ok()) return status;
  auto change = SqliteStatement::Prepare(file_.get(), sql);
  if (!change.ok()) return change.error();
  const SqlValue values[] = {std::string_view(claim.tenant), std::string_view(claim.key),
                             std::string_view(claim.owner)};
  if (Status bound = change->Bind(values); !bound.ok()) return bound;
  const auto done = change->Step();
  return done.ok() ? Status() : Status(Distrust(done.error()));
}

Result<SpendingTotal> SqliteDatabase::Spend(const SpendingEntry& entry) {
  if (Status status = EnsureTable(spending_.create); !status.ok()) return std::move(status).error();
  const SqlValue values[] = {std::string_view(entry.scope), entry.day, entry.amount, entry.bound};
  SpendingTotal total;
  // First row of the statement, if there is one; a row is committed with the last step.
  const auto run = [&](const std::string& sql,
                       std::span<const SqlValue> parameters) -> Result<bool> {
    auto statement = SqliteStatement::Prepare(file_.get(), sql);
    if (!statement.ok()) return statement.error();
    if (Status bound = statement->Bind(parameters); !bound.ok()) return std::move(bound).error();
    const auto row = statement->Step();
    if (!row.ok() || !*row) return row;
    total.day = std::get<std::int64_t>(statement->Column(0, SqlKind::kInteger));
    total.spent = std::get<std::int64_t>(statement->Column(1, SqlKind::kInteger));
    const auto end = statement->Step();
    return end.ok() ? Result<bool>(true) : Result<bool>(end.error());
  };
  const auto added = run(spending_.add, values);
  if (!added.ok()) return Distrust(added.error());
  total.added = *added;
  if (total.added) return total;
  const auto looked = run(spending_.look, std::span(values).first(2));
  if (!looked.ok()) return looked.error();
  return total;
}

Status SqliteDatabase::PutRow(const PostRow& row, PostColumns columns, SqliteStatement* insert) {
  if (Status bound = insert->Bind(RowValues(row, columns)); !bound.ok()) return bound;
  if (const auto inserted = insert->Step(); !inserted.ok()) return inserted.error();
  if (file_->changes() == 1) return {};
  const auto stored = Read(row.post_id, columns);
  if (!stored.ok()) return stored.error();
  if (*stored && SameContent(**stored, row, columns)) return {};
  return Error(Code::kConflict, "another post is stored under this post_id", "post_id");
}

Status SqliteDatabase::Commit() {
  Status status = file_->Execute("COMMIT");
  if (status.ok() && !file_->HasMoved()) return status;
  if (status.ok()) {
    // kBusy: try again, in the file that is made anew.
    file_.reset();
    return Error(Code::kBusy, "the SQLite file " + path_ + " was removed while it was written",
                 "store.url");
  }
  (void)file_->Execute("ROLLBACK");
  return Distrust(status.error());
}

Result<std::optional<PostRow>> SqliteDatabase::Read(const std::string& post_id,
                                                    PostColumns columns) {
  auto select = SqliteStatement::Prepare(
      file_.get(), "SELECT " + ColumnList(columns) + " FROM post_records WHERE post_id = ?");
  if (!select.ok()) return select.error();
  const SqlValue parameter = std::string_view(post_id);
  if (Status bound = select->Bind({&parameter, 1}); !bound.ok()) return std::move(bound).error();
  const auto row = select->Step();
  if (!row.ok()) return row.error();
  if (!*row) return std::optional<PostRow>();
  std::vector<SqlValue> values;
  for (const SqlColumn& column : ColumnsOf(columns)) {
    values.push_back(select->Column(static_cast<int>(values.size()), column.kind));
  }
  return std::optional(RowFromValues(values, columns));
}

}  // namespace postgen
