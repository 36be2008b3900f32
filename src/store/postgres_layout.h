// How PostgreSQL's post_records takes a row and gives it back, by the types that its columns have.
#ifndef POSTGEN_SRC_STORE_POSTGRES_LAYOUT_H_
#define POSTGEN_SRC_STORE_POSTGRES_LAYOUT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/postgres_table.h"
#include "store/postgres_values.h"
#include "store/schema.h"

namespace postgen {

struct PostLayout {
  PostColumns columns = PostColumns::kFirst17;
  std::string insert;
  std::string select;
  std::vector<std::size_t> reworded;  // columns whose text the server gives back in its own words
};

// Fails with kStore, naming the column, if one has a type that cannot hold what we write. REQUIRES:
// `table` has these columns.
Result<PostLayout> MakePostLayout(const PostgresTable& table, PostColumns columns);

// Writes the row unless there is one under its post id; returns a row if it did.
PostgresStatement InsertStatement(const PostRow& row, const PostLayout& layout);

PostgresStatement SelectStatement(std::string_view post_id, const PostLayout& layout);

// The reply to it; absent: there is no such row.
std::optional<PostRow> ReadRow(const PGresult* result, const PostLayout& layout);

// As SameContent of the columns, without those that are reworded: the id found the row, and no
// other post has this one's texts and time.
bool SameContent(const PostRow& stored, const PostRow& row, const PostLayout& layout);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_LAYOUT_H_
