// The app's tables as postgen reads and writes them: column names, types and values, the same for
// PostgreSQL and SQLite.
#ifndef POSTGEN_SRC_STORE_SCHEMA_H_
#define POSTGEN_SRC_STORE_SCHEMA_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "postgen/types.h"

namespace postgen {

inline constexpr std::string_view kPostTable = "post_records";
inline constexpr std::string_view kProfileTable = "kol_profiles";

enum class SqlDialect { kPostgres, kSqlite };

// NULL, text, integer, boolean or a time in UTC. Texts are borrowed.
using SqlValue = std::variant<std::monostate, std::string_view, std::int64_t, bool, WallTime>;
enum class SqlKind { kText, kInteger, kBool, kTime };

struct SqlColumn {
  std::string_view name;
  SqlKind kind;
};

using ColumnNames = std::set<std::string, std::less<>>;

// --- post_records

// The app's insert grew from 17 columns to 22; a table may have been made in between.
enum class PostColumns : std::size_t { kFirst17 = 17, kAll22 = 22 };

// In the order of the insert.
std::span<const SqlColumn> ColumnsOf(PostColumns columns);

// "post_id, created_at, ..."
std::string ColumnList(PostColumns columns);

// What to insert into a table that has the columns `existing`: all 22 if the five newer ones are
// there. Fails with kStore, saying what to run, if there is no table (no columns) or one is
// missing.
Result<PostColumns> ChoosePostColumns(const ColumnNames& existing);

// The values of `row` in the order of ColumnsOf(columns), borrowed from it.
std::vector<SqlValue> RowValues(const PostRow& row, PostColumns columns);

// The row that has these values; NULL where a text is required reads as empty. REQUIRES: kinds as
// in ColumnsOf(columns).
PostRow RowFromValues(std::span<const SqlValue> values, PostColumns columns);

// Can every store keep this row, and give it back as it was? Fails with kStore naming the column.
Status CheckRow(const PostRow& row);

// Would writing `row` again change nothing? Compares what a table with `columns` keeps; `status`
// does not count, because the app moves a post on after it was written.
bool SameContent(const PostRow& stored, const PostRow& row, PostColumns columns);

// --- kol_profiles

// The columns that postgen reads, without those that `existing` lacks; always with `serial`. Fails
// with kStore if there is no table or it has no `serial`.
Result<std::vector<std::string_view>> ChooseProfileColumns(const ColumnNames& existing);

// Sets the field of `profile` that `column` goes into. Fails with kStore naming the column if the
// text is not what the column should hold.
Status SetProfileField(std::string_view column, std::string_view text, KolProfile* profile);

// --- Creating and completing

struct SchemaChange {
  std::string sql;
  std::string line;           // for people: "added column post_records.trigger_type"
  std::string obstacle = {};  // why a database refuses it that is in order; empty: none does
};

// The tables that a database lacks whose tables have these columns (none: there is no such table).
// The statements are harmless where they were run already.
std::vector<SchemaChange> MissingTables(SqlDialect dialect, const ColumnNames& post_columns,
                                        const ColumnNames& profile_columns);

// The same, and those of our columns that an existing post_records lacks.
std::vector<SchemaChange> MissingSchema(SqlDialect dialect, const ColumnNames& post_columns,
                                        const ColumnNames& profile_columns);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SCHEMA_H_
