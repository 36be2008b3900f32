#include "store/store_url.h"

#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace postgen {
namespace {

namespace fs = std::filesystem;

Error BadUrl(const std::string& field, const std::string& what) {
  return {Code::kInvalidConfig, field + ": " + what, field};
}

// A path that a file can be at, made absolute: the process may change its folder before the file is
// opened.
Result<std::string> CheckPath(std::string_view path, const std::string& field) {
  if (path.empty()) return BadUrl(field, "names no file");
  if (path.find('\0') != std::string_view::npos) return BadUrl(field, "holds a NUL character");
  std::error_code error;
  const fs::path absolute = fs::absolute(fs::path(path), error);
  if (error) return BadUrl(field, "the current folder cannot be read");
  if (fs::is_directory(absolute, error)) {
    return BadUrl(field, absolute.string() + " is a folder; name a file in it");
  }
  if (!fs::is_directory(absolute.parent_path(), error)) {
    return BadUrl(field, "there is no folder " + absolute.parent_path().string() + "; create it");
  }
  return absolute.string();
}

Result<std::string> CheckSqlitePath(std::string_view path, const std::string& field) {
  if (path.starts_with(":memory:")) {
    return BadUrl(field, "a SQLite database in memory keeps nothing; use memory: or name a file");
  }
  if (path.starts_with("file:") || path.starts_with("//")) {
    return BadUrl(field, "write sqlite:FILE with a plain path, not a URI");
  }
  return CheckPath(path, field);
}

Result<StoreLocation> WithPath(StoreLocation::Kind kind, Result<std::string> path) {
  if (!path.ok()) return std::move(path).error();
  StoreLocation parsed;
  parsed.kind = kind;
  parsed.path = *std::move(path);
  return parsed;
}

}  // namespace

Result<StoreLocation> ParseStoreUrl(const std::string& url, const std::string& field) {
  constexpr std::string_view kSqlite = "sqlite:";
  constexpr std::string_view kFile = "file:";
  const bool for_profiles = field == "profiles.url";
  StoreLocation parsed;
  if (url == "none:") return parsed;
  if (url == "memory:") {
    parsed.kind = StoreLocation::Kind::kMemory;
    return parsed;
  }
  if (url.starts_with(kSqlite)) {
    const auto path = std::string_view(url).substr(kSqlite.size());
    return WithPath(StoreLocation::Kind::kSqlite, CheckSqlitePath(path, field));
  }
  if (for_profiles && url.starts_with(kFile)) {
    const auto path = std::string_view(url).substr(kFile.size());
    return WithPath(StoreLocation::Kind::kFile, CheckPath(path, field));
  }
  if (url.starts_with("postgresql://") || url.starts_with("postgres://")) {
    auto target = ParsePostgresUrl(url, field);
    if (!target.ok()) return std::move(target).error();
    parsed.kind = StoreLocation::Kind::kPostgres;
    parsed.postgres = *std::move(target);
    return parsed;
  }
  return BadUrl(field, std::string("must be postgresql://..., sqlite:FILE, memory: or none:") +
                           (for_profiles ? ", or file:FILE.json" : ""));
}

}  // namespace postgen
