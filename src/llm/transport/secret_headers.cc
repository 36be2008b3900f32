#include "llm/transport/secret_headers.h"

#include <string.h>
#include <sys/mman.h>

#include <cstring>
#include <new>
#include <string_view>

namespace postgen {
namespace {

struct Line {
  std::string_view text;
  bool has_value = true;

  // libcurl's notation: "name:" would remove a header, an empty one is "name;".
  std::size_t size() const { return text.size() + (has_value ? 1 : 2); }
};

bool ParseLine(std::string_view header, Line* line) {
  const std::size_t colon = header.find(':');
  if (colon == 0 || colon == std::string_view::npos ||
      header.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    return false;
  }
  line->has_value = header.find_first_not_of(" \t", colon + 1) != std::string_view::npos;
  line->text = line->has_value ? header : header.substr(0, colon);
  return true;
}

}  // namespace

void SecretHeaders::Unmap::operator()(std::byte* pages) const {
  explicit_bzero(pages, size);
  munmap(pages, size);
}

Result<SecretHeaders> SecretHeaders::Take(std::vector<std::string>* headers) {
  // No "Expect: 100-continue": it would cost a round trip. This one's "name:" does remove it.
  std::vector<Line> lines = {{"Content-Type: application/json"}, {"Expect:"}};
  for (const std::string& header : *headers) {
    if (!ParseLine(header, &lines.emplace_back())) {
      return Error(Code::kInvalidConfig, "llm.headers has an entry that is no HTTP header",
                   "llm.headers");
    }
  }
  std::size_t size = lines.size() * sizeof(curl_slist);
  for (const Line& line : lines) size += line.size();

  SecretHeaders made;
  void* const mapped =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return Error(Code::kNomem, "out of memory while preparing llm.headers");
  }
  made.pages_ = {static_cast<std::byte*>(mapped), Unmap{size}};
  (void)madvise(mapped, size, MADV_DONTDUMP);

  auto* const nodes = reinterpret_cast<curl_slist*>(mapped);
  char* text = reinterpret_cast<char*>(nodes + lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    curl_slist* const next = i + 1 < lines.size() ? nodes + i + 1 : nullptr;
    new (nodes + i) curl_slist{text, next};
    std::memcpy(text, lines[i].text.data(), lines[i].text.size());
    if (!lines[i].has_value) text[lines[i].text.size()] = ';';
    text += lines[i].size();  // the pages began as zeros
  }
  made.list_ = nodes;
  for (std::string& header : *headers) explicit_bzero(header.data(), header.size());
  headers->clear();
  return made;
}

}  // namespace postgen
