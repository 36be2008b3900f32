#include "store/spool_file.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "digest/sha256.h"

namespace postgen {
namespace {

// In the header of every spool: "pgsp".
constexpr std::int64_t kSpoolApplicationId = 0x70677370;

constexpr PostColumns kColumns = PostColumns::kAll22;

std::string CreateSql() {
  std::string columns;
  for (const SqlColumn& column : ColumnsOf(kColumns)) columns += ", " + std::string(column.name);
  // Without types: a value comes back as it went in.
  return "CREATE TABLE spooled (sequence INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL, "
         "is_snapshot INTEGER NOT NULL, refusal TEXT NOT NULL, bytes INTEGER NOT NULL, "
         "content_hash TEXT NOT NULL" +
         columns + ", UNIQUE (post_id))";
}

std::string InsertSql() {
  std::string marks = "?, ?, ?, ?, ?";
  for (std::size_t i = 0; i < ColumnsOf(kColumns).size(); ++i) marks += ", ?";
  return "INSERT OR REPLACE INTO spooled (state, is_snapshot, refusal, bytes, content_hash, " +
         ColumnList(kColumns) + ") VALUES (" + marks + ")";
}

std::string_view TextOf(const SqlValue& value) {
  const auto* text = std::get_if<std::string_view>(&value);
  return text != nullptr ? *text : std::string_view();
}

std::int64_t BytesOf(const std::vector<SqlValue>& values) {
  std::size_t bytes = 0;
  for (const SqlValue& value : values) bytes += TextOf(value).size();
  return static_cast<std::int64_t>(bytes);
}

// Over all texts, each with its length.
std::string HashOf(const std::vector<SqlValue>& values) {
  std::string bytes;
  for (const SqlValue& value : values) {
    const bool is_text = std::holds_alternative<std::string_view>(value);
    bytes += is_text ? std::to_string(TextOf(value).size()) : "-";
    bytes += ':';
    bytes += TextOf(value);
  }
  return HexDigest(Sha256(bytes));
}

}  // namespace

Result<std::unique_ptr<SpoolFile>> SpoolFile::Open(const std::string& path) {
  auto file = SqliteFile::OpenOwn(path, kSpoolApplicationId, CreateSql());
  if (!file.ok()) return std::move(file).error();
  return std::unique_ptr<SpoolFile>(new SpoolFile(*std::move(file)));
}

Status SpoolFile::Apply(const std::vector<const SpooledPost*>& posts,
                        const std::vector<std::string>& removed) {
  auto insert = SqliteStatement::Prepare(file_.get(), InsertSql());
  if (!insert.ok()) return insert.error();
  auto remove = SqliteStatement::Prepare(file_.get(), "DELETE FROM spooled WHERE post_id = ?");
  if (!remove.ok()) return remove.error();
  Status status = file_->Execute("BEGIN IMMEDIATE");
  for (std::size_t i = 0; i < posts.size() && status.ok(); ++i) status = Write(*posts[i], &*insert);
  for (std::size_t i = 0; i < removed.size() && status.ok(); ++i) {
    const SqlValue id = std::string_view(removed[i]);
    status = remove->Bind({&id, 1});
    if (!status.ok()) break;
    if (const auto done = remove->Step(); !done.ok()) status = done.error();
  }
  if (status.ok()) status = file_->Execute("COMMIT");
  // Without a transaction this is a harmless error.
  if (!status.ok()) (void)file_->Execute("ROLLBACK");
  return status;
}

Status SpoolFile::Write(const SpooledPost& post, SqliteStatement* insert) {
  std::vector<SqlValue> values = RowValues(post.row, kColumns);
  const std::string hash = HashOf(values);
  const std::vector<SqlValue> own = {static_cast<std::int64_t>(post.state), post.is_snapshot,
                                     std::string_view(post.refusal), BytesOf(values),
                                     std::string_view(hash)};
  values.insert(values.begin(), own.begin(), own.end());
  if (Status bound = insert->Bind(values); !bound.ok()) return bound;
  const auto done = insert->Step();
  return done.ok() ? Status() : Status(done.error());
}

Result<std::vector<SpooledPost>> SpoolFile::Read(SpoolState state, std::size_t limit) {
  auto select = SqliteStatement::Prepare(
      file_.get(), "SELECT is_snapshot, refusal, content_hash, " + ColumnList(kColumns) +
                       " FROM spooled WHERE state = ? ORDER BY sequence LIMIT ?");
  if (!select.ok()) return select.error();
  const SqlValue parameters[] = {static_cast<std::int64_t>(state),
                                 static_cast<std::int64_t>(limit)};
  if (Status bound = select->Bind(parameters); !bound.ok()) return std::move(bound).error();
  std::vector<SpooledPost> posts;
  std::vector<SpooledPost> damaged;
  while (true) {
    const auto row = select->Step();
    if (!row.ok()) return row.error();
    if (!*row) break;
    std::vector<SqlValue> values;
    for (const SqlColumn& column : ColumnsOf(kColumns)) {
      values.push_back(select->Column(static_cast<int>(values.size()) + 3, column.kind));
    }
    SpooledPost post;
    post.row = RowFromValues(values, kColumns);
    post.state = state;
    post.is_snapshot = std::get<bool>(select->Column(0, SqlKind::kBool));
    post.refusal = TextOf(select->Column(1, SqlKind::kText));
    if (state != SpoolState::kRefused &&
        TextOf(select->Column(2, SqlKind::kText)) != HashOf(values)) {
      post.state = SpoolState::kRefused;
      post.refusal = "its bytes are not those that were written";
      damaged.push_back(std::move(post));
    } else {
      posts.push_back(std::move(post));
    }
  }
  if (damaged.empty()) return posts;
  std::vector<const SpooledPost*> refused;
  for (const SpooledPost& post : damaged) refused.push_back(&post);
  if (Status status = Apply(refused, {}); !status.ok()) return std::move(status).error();
  return posts;
}

Result<SpoolTotals> SpoolFile::Totals() {
  auto select = SqliteStatement::Prepare(
      file_.get(), "SELECT state, count(*), sum(bytes) FROM spooled GROUP BY state");
  if (!select.ok()) return select.error();
  SpoolTotals totals;
  while (true) {
    const auto row = select->Step();
    if (!row.ok()) return row.error();
    if (!*row) return totals;
    const auto state =
        static_cast<SpoolState>(std::get<std::int64_t>(select->Column(0, SqlKind::kInteger)));
    const auto count = std::get<std::int64_t>(select->Column(1, SqlKind::kInteger));
    if (state == SpoolState::kOpen) totals.open = count;
    if (state == SpoolState::kReady) totals.ready = count;
    if (state == SpoolState::kRefused) totals.refused = count;
    totals.bytes += std::get<std::int64_t>(select->Column(2, SqlKind::kInteger));
  }
}

}  // namespace postgen
