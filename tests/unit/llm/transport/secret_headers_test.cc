#include "llm/transport/secret_headers.h"

#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

std::vector<std::string> Lines(const SecretHeaders& headers) {
  std::vector<std::string> lines;
  for (const curl_slist* line = headers.list(); line != nullptr; line = line->next) {
    lines.emplace_back(line->data);
  }
  return lines;
}

// Does a core dump leave out the page of `address`?
bool IsLeftOut(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    if (words >> std::hex >> begin >> dash >> end && dash == '-') {
      here = begin <= wanted && wanted < end;
    }
    if (here && line.rfind("VmFlags:", 0) == 0) return line.find(" dd") != std::string::npos;
  }
  FAIL("no mapping holds the address");
  return false;
}

TEST_CASE("headers as libcurl takes them; the caller's are wiped") {
  std::vector<std::string> headers = {"Authorization: Bearer sk-1", "X-Empty: ", "X: y"};
  Result<SecretHeaders> taken = SecretHeaders::Take(&headers);
  REQUIRE(taken.ok());
  CHECK(Lines(*taken) == std::vector<std::string>{"Content-Type: application/json",
                                                  "Expect:", "Authorization: Bearer sk-1",
                                                  "X-Empty;", "X: y"});
  CHECK(headers.empty());
  const SecretHeaders moved = std::move(taken).value();
  CHECK(Lines(moved).size() == 5);
}

TEST_CASE("what is no header is refused") {
  for (const std::string bad : {"", ":", ": x", "no colon", "a: b\r\nc: d", "a: b\n"}) {
    CAPTURE(bad);
    std::vector<std::string> headers = {bad};
    Result<SecretHeaders> taken = SecretHeaders::Take(&headers);
    REQUIRE_FALSE(taken.ok());
    CHECK(taken.error().code == Code::kInvalidConfig);
  }
}

TEST_CASE("a core dump leaves the key out") {
  std::vector<std::string> headers = {"Authorization: Bearer " + std::string(5000, 'k')};
  const auto elsewhere = std::make_unique<std::string>(headers[0]);
  Result<SecretHeaders> taken = SecretHeaders::Take(&headers);
  REQUIRE(taken.ok());
  for (const curl_slist* line = taken->list(); line != nullptr; line = line->next) {
    CHECK(IsLeftOut(line->data));
    CHECK(IsLeftOut(line->data + std::string(line->data).size()));
  }
  CHECK_FALSE(IsLeftOut(elsewhere->data()));
}

}  // namespace
}  // namespace postgen
