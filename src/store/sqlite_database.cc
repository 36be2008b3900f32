#include "store/sqlite_database.h"

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

Result<PostColumns> SqliteDatabase::Check() {
  if (Status status = EnsureOpen(); !status.ok()) return std::move(status).error();
  const auto columns = file_->Columns(kPostTable);
  if (!columns.ok()) return columns.error();
  return ChoosePostColumns(*columns);
}

Result<std::vector<Status>> SqliteDatabase::Put(const std::vector<const PostRow*>& rows) {
  const auto columns = Check();
  if (!columns.ok()) return columns.error();
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
    if (Status status = file_->Execute(change.sql); !status.ok()) return std::move(status).error();
    lines.push_back(change.line);
  }
  return lines;
}

Status SqliteDatabase::EnsureOpen() {
  if (file_) return {};
  auto file = SqliteFile::Open(path_, use_);
  if (!file.ok()) return std::move(file).error();
  file_ = *std::move(file);
  return {};
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
  if (status.ok()) return status;
  (void)file_->Execute("ROLLBACK");
  // After a failed write nobody knows what the file's pages in memory are worth: read them anew.
  if (status.error().code != Code::kBusy) file_.reset();
  return status;
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
