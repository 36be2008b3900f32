// The key in nothing that a generator gives out, whatever its provider does with it.
#include <stdio.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "postgen/generator.h"
#include "postgen/json.h"

namespace postgen::testing {
namespace {

// What is written to a descriptor while this lives.
class Captured {
 public:
  explicit Captured(int fd) : fd_(fd), original_(dup(fd)), file_(tmpfile()) {
    REQUIRE(file_ != nullptr);
    dup2(fileno(file_), fd_);
  }
  ~Captured() {
    dup2(original_, fd_);
    close(original_);
    fclose(file_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  std::string Text() const {
    std::string text;
    rewind(file_);
    for (int c = 0; (c = fgetc(file_)) != EOF;) text += static_cast<char>(c);
    return text;
  }

 private:
  const int fd_;
  const int original_;
  FILE* const file_;
};

std::vector<std::string> EchoingReplies() {
  const std::string key(kKey);
  const std::string headers = "x-request-id: " + key + "\r\nretry-after-ms: 1\r\n";
  const std::string error = R"({"error":{"message":")" + key + R"(","type":")" + key +
                            R"(","param":")" + key + R"(","code":")" + key + "\"}}";
  std::vector<std::string> replies;
  for (const int status : {101, 301, 400, 401, 402, 403, 404, 408, 422, 429, 500, 503}) {
    replies.push_back(Reply(status, headers + "Location: https://" + key + ".test/\r\n", error));
  }
  replies.push_back(Reply(200, headers + "Content-Type: application/json\r\n", error));
  replies.push_back(Reply(200, headers + "Content-Type: text/html\r\n", "<p>" + key));
  replies.push_back(Reply(200, headers + "Content-Type: application/json\r\n",
                          R"({"model":")" + key +
                              R"(","choices":[{"index":0,"message":{"content":"好"},)" +
                              R"("finish_reason":")" + key + "\"}]}"));
  replies.push_back(std::string(kStreamHead) + Chunk("data: " + error + "\n\n") + EndOfStream());
  replies.push_back(std::string(kStreamHead) + Chunk("data: [DONE]" + key + "\n\n") + Chunk(""));
  replies.push_back("HTTP/1.1 200 OK\r\n" + key + "\r\n");
  replies.push_back(key);
  return replies;
}

TEST_CASE("canary: neither results, metrics, diagnoses nor the terminal see the key") {
  std::string seen;
  {
    const Captured out(STDOUT_FILENO);
    const Captured err(STDERR_FILENO);
    for (const std::string& bytes : EchoingReplies()) {
      RawServer server([&bytes](RawConnection& peer) {
        if (peer.ReadRequest()) peer.Send(bytes);
      });
      Options options = PostOptions(server.Url("/v1"));
      options.llm.max_attempts = 2;
      options.llm.first_token_timeout_ms = 200;
      options.llm.attempt_timeout_ms = 500;
      auto generator = PostGenerator::Create(options);
      REQUIRE(generator.ok());
      const auto result = (*generator)->Start(OneVersion(), nullptr, /*stream=*/true)->Wait();
      REQUIRE(result != nullptr);
      seen += ResultToJson(*result) + (*generator)->MetricsJson() +
              DiagnosesToJson((*generator)->Diagnose(std::chrono::milliseconds(500)));
      REQUIRE(!server.requests().empty());
      CHECK(server.requests()[0].find(kKey) != std::string::npos);  // there was something to leak
    }
    // What is refused before there is a generator.
    for (const std::string& key :
         {std::string(kKey) + "\n" + std::string(kKey), std::string(kKey) + "\x7f"}) {
      Options options;
      options.llm.api_key = key;
      const auto generator = PostGenerator::Create(options);
      REQUIRE(!generator.ok());
      seen += generator.error().message;
    }
    fflush(stdout);
    fflush(stderr);
    seen += out.Text() + err.Text();
  }
  CHECK(seen.size() > 1000);
  CHECK(seen.find("canary") == std::string::npos);
}

}  // namespace
}  // namespace postgen::testing
