#include "store/spool_file.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "digest/sha256.h"

namespace postgen {
namespace {

constexpr std::string_view kDamagedRefusal = "its bytes are not those that were written";

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
         columns +
         ", UNIQUE (post_id)); CREATE INDEX spooled_in_order ON spooled (state, sequence)";
}

std::string InsertSql() {
  std::string marks = "?, ?, ?, ?, ?";
  for (std::size_t i = 0; i < ColumnsOf(kColumns).size(); ++i) marks += ", ?";
  return "INSERT INTO spooled (state, is_snapshot, refusal, bytes, content_hash, " +
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

std::int64_t IntegerOf(const SqliteStatement& row, int column) {
  return std::get<std::int64_t>(row.Column(column, SqlKind::kInteger));
}

SpoolState StateOf(const SqliteStatement& row, int column) {
  return static_cast<SpoolState>(IntegerOf(row, column));
}

}  // namespace

void SpoolTotals::Add(SpoolState state, std::int64_t posts, std::int64_t more_bytes) {
  if (state == SpoolState::kOpen) open += posts;
  if (state == SpoolState::kReady) ready += posts;
  if (state == SpoolState::kRefused) refused += posts;
  bytes += more_bytes;
}

Result<std::unique_ptr<SpoolFile>> SpoolFile::Open(const std::string& path) {
  auto sqlite = SqliteFile::OpenOwn(path, kSpoolApplicationId, CreateSql());
  if (!sqlite.ok()) return std::move(sqlite).error();
  std::unique_ptr<SpoolFile> file(new SpoolFile(*std::move(sqlite)));
  if (Status counted = file->Count(); !counted.ok()) return std::move(counted).error();
  return file;
}

Status SpoolFile::Apply(const std::vector<const SpooledPost*>& posts,
                        const std::vector<std::string>& removed) {
  auto insert = SqliteStatement::Prepare(file_.get(), InsertSql());
  if (!insert.ok()) return insert.error();
  auto remove = SqliteStatement::Prepare(
      file_.get(), "DELETE FROM spooled WHERE post_id = ? RETURNING state, bytes");
  if (!remove.ok()) return remove.error();
  SpoolTotals totals = totals_;
  const ForkHold hold;
  Status status = file_->Execute("BEGIN IMMEDIATE");
  for (std::size_t i = 0; i < posts.size() && status.ok(); ++i) {
    status = Remove(posts[i]->row.post_id, &*remove, &totals);
    if (status.ok()) status = Write(*posts[i], &*insert);
    if (status.ok()) totals.Add(posts[i]->state, 1, BytesOf(RowValues(posts[i]->row, kColumns)));
  }
  for (std::size_t i = 0; i < removed.size() && status.ok(); ++i) {
    status = Remove(removed[i], &*remove, &totals);
  }
  if (status.ok()) status = file_->Execute("COMMIT");
  if (status.ok()) {
    totals_ = totals;
  } else {
    // Without a transaction this is a harmless error.
    (void)file_->Execute("ROLLBACK");
  }
  return status;
}

Status SpoolFile::Remove(const std::string& post_id, SqliteStatement* remove, SpoolTotals* totals) {
  const SqlValue id = std::string_view(post_id);
  if (Status bound = remove->Bind({&id, 1}); !bound.ok()) return bound;
  const auto found = remove->Step();
  if (!found.ok()) return found.error();
  if (!*found) return {};
  totals->Add(StateOf(*remove, 0), -1, -IntegerOf(*remove, 1));
  const auto done = remove->Step();
  return done.ok() ? Status() : Status(done.error());
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

Status SpoolFile::Release(const std::string& post_id) {
  auto release = SqliteStatement::Prepare(
      file_.get(),
      "UPDATE spooled SET state = ?, is_snapshot = 1 WHERE state = ? AND (post_id = "
      "?3 OR ?3 = '')");
  if (!release.ok()) return release.error();
  const SqlValue values[] = {static_cast<std::int64_t>(SpoolState::kReady),
                             static_cast<std::int64_t>(SpoolState::kOpen),
                             std::string_view(post_id)};
  if (Status bound = release->Bind(values); !bound.ok()) return bound;
  if (const auto done = release->Step(); !done.ok()) return done.error();
  const std::int64_t released = file_->changes();
  totals_.Add(SpoolState::kOpen, -released, 0);
  totals_.Add(SpoolState::kReady, released, 0);
  return {};
}

Status SpoolFile::RetryRefused() {
  auto retry = SqliteStatement::Prepare(
      file_.get(), "UPDATE spooled SET state = ?, refusal = '' WHERE state = ? AND refusal <> ?");
  if (!retry.ok()) return retry.error();
  const SqlValue values[] = {static_cast<std::int64_t>(SpoolState::kReady),
                             static_cast<std::int64_t>(SpoolState::kRefused), kDamagedRefusal};
  if (Status bound = retry->Bind(values); !bound.ok()) return bound;
  if (const auto done = retry->Step(); !done.ok()) return done.error();
  const std::int64_t retried = file_->changes();
  totals_.Add(SpoolState::kRefused, -retried, 0);
  totals_.Add(SpoolState::kReady, retried, 0);
  return {};
}

bool SpoolFile::Has(const std::string& post_id) {
  auto select = SqliteStatement::Prepare(file_.get(), "SELECT 1 FROM spooled WHERE post_id = ?");
  const SqlValue id = std::string_view(post_id);
  if (!select.ok() || !select->Bind({&id, 1}).ok()) return false;
  const auto row = select->Step();
  return row.ok() && *row;
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
      post.refusal = kDamagedRefusal;
      damaged.push_back(std::move(post));
    } else {
      posts.push_back(std::move(post));
    }
  }
  if (posts.empty() && damaged.empty()) {
    // Somebody else may have changed the file.
    if (Status counted = Count(); !counted.ok()) return std::move(counted).error();
  }
  if (damaged.empty()) return posts;
  std::vector<const SpooledPost*> refused;
  for (const SpooledPost& post : damaged) refused.push_back(&post);
  if (Status status = Apply(refused, {}); !status.ok()) return std::move(status).error();
  return posts;
}

Status SpoolFile::Count() {
  auto select = SqliteStatement::Prepare(
      file_.get(), "SELECT state, count(*), sum(bytes) FROM spooled GROUP BY state");
  if (!select.ok()) return select.error();
  totals_ = {};
  while (true) {
    const auto row = select->Step();
    if (!row.ok()) return row.error();
    if (!*row) return {};
    totals_.Add(StateOf(*select, 0), IntegerOf(*select, 1), IntegerOf(*select, 2));
  }
}

}  // namespace postgen
