#include "store/postgres_values.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace postgen {
namespace {

// pg_type.oid of the types that we send; they never change.
constexpr Oid kBool = 16;
constexpr Oid kBigint = 20;
constexpr Oid kText = 25;
constexpr Oid kTimestamp = 1114;

// Timestamps count microseconds from here.
constexpr std::chrono::sys_days kEpoch =
    std::chrono::year(2000) / std::chrono::January / std::chrono::day(1);

std::string BigEndian(std::int64_t value) {
  std::string bytes(sizeof value, '\0');
  auto rest = static_cast<std::uint64_t>(value);
  for (std::size_t i = bytes.size(); i-- > 0; rest >>= 8U) {
    bytes[i] = static_cast<char>(rest & 0xffU);
  }
  return bytes;
}

std::int64_t FromBigEndian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = (value << 8U) | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

// PostgreSQL's times reach further than a WallTime, to infinity: the nearest one then.
WallTime FromTimestamp(std::int64_t microseconds) {
  using Microseconds = std::chrono::microseconds;
  const auto since = [](WallTime time) {
    return std::chrono::floor<Microseconds>(time) -
           std::chrono::time_point_cast<Microseconds>(std::chrono::sys_time<Microseconds>(kEpoch));
  };
  const Microseconds given(microseconds);
  if (given <= since(WallTime::min()) + Microseconds(1)) return WallTime::min();
  if (given >= since(WallTime::max())) return WallTime::max();
  return kEpoch + given;
}

Oid TypeOf(SqlKind kind) {
  switch (kind) {
    case SqlKind::kText: return kText;
    case SqlKind::kInteger: return kBigint;
    case SqlKind::kBool: return kBool;
    case SqlKind::kTime: return kTimestamp;
  }
  return 0;
}

PostgresStatement::Parameter Encode(const SqlValue& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return {kText, std::string(*text)};
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return {kBigint, BigEndian(*integer)};
  }
  if (const auto* flag = std::get_if<bool>(&value)) return {kBool, std::string(1, *flag ? 1 : 0)};
  if (const auto* time = std::get_if<WallTime>(&value)) {
    const auto since = std::chrono::floor<std::chrono::microseconds>(*time) - kEpoch;
    return {kTimestamp, BigEndian(since.count())};
  }
  return {};  // the server infers the type of a NULL
}

}  // namespace

PostgresStatement MakeStatement(std::string sql, std::span<const SqlValue> values) {
  PostgresStatement statement;
  statement.sql = std::move(sql);
  statement.parameters.reserve(values.size());
  for (const SqlValue& value : values) statement.parameters.push_back(Encode(value));
  return statement;
}

PostgresStatement MakeStatement(std::string sql, std::span<const SqlValue> values,
                                std::span<const SqlColumn> columns) {
  PostgresStatement statement = MakeStatement(std::move(sql), values);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    statement.parameters[i].type = TypeOf(columns[i].kind);
  }
  return statement;
}

std::string ParameterList(std::size_t count) {
  std::string list;
  for (std::size_t i = 1; i <= count; ++i) {
    if (i > 1) list += ", ";
    list += '$' + std::to_string(i);
  }
  return list;
}

SqlValue ReadValue(const PGresult* result, int row, int column, SqlKind kind) {
  if (PQgetisnull(result, row, column) != 0) return std::monostate();
  const std::string_view bytes(PQgetvalue(result, row, column),
                               static_cast<std::size_t>(PQgetlength(result, row, column)));
  switch (kind) {
    case SqlKind::kText: return bytes;
    case SqlKind::kInteger: return FromBigEndian(bytes);
    case SqlKind::kBool: return FromBigEndian(bytes) != 0;
    case SqlKind::kTime: return FromTimestamp(FromBigEndian(bytes));
  }
  return std::monostate();
}

}  // namespace postgen
