#include "prompt/template_files.h"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "text/utf8.h"

namespace postgen {
namespace {

constexpr std::size_t kMaxBytes = 65536;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Error BadFile(const std::string& name, const std::string& what) {
  return Error(Code::kInvalidConfig, "prompt template " + name + ": " + what, "prompts.dir");
}

}  // namespace

Status CheckTemplateDir(const std::string& dir) {
  std::error_code error;
  if (std::filesystem::is_directory(dir, error)) return {};
  return Error(Code::kInvalidConfig, "prompts.dir is not a directory that can be read",
               "prompts.dir");
}

Result<std::optional<std::string>> ReadTemplateFile(const std::string& dir,
                                                    const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(dir) / name;
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::optional<std::string>();
  if (!std::filesystem::is_regular_file(path, error)) return BadFile(name, "not a regular file");

  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) return BadFile(name, "cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxBytes) return BadFile(name, "larger than 64 KiB");
  if (!IsValidUtf8(text)) return BadFile(name, "not UTF-8; save it as UTF-8");
  if (text.find('\0') != std::string::npos) return BadFile(name, "has a NUL character");
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return BadFile(name, "empty");
  return std::optional<std::string>(std::move(text));
}

}  // namespace postgen
