#include "llm/wire/request_body.h"

#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

LlmRequest Request() {
  LlmRequest request;
  request.model = "gpt-4o-mini";
  request.messages = {{Role::kSystem, "你是\"老股民\""}, {Role::kUser, "台積電\n怎麼看？"}};
  request.max_tokens = 500;
  request.temperature = 0.7;
  return request;
}

TEST_CASE("a plain request") {
  const LlmRequest request = Request();
  CHECK(WriteRequestBody(request, FamilyParameters(request.model, TokenParam::kAuto), false) ==
        R"({"model":"gpt-4o-mini","messages":[{"role":"system","content":"你是\"老股民\""},)"
        R"({"role":"user","content":"台積電\n怎麼看？"}],"max_tokens":500,"temperature":0.7})");
}

TEST_CASE("a stream asks for its usage, unless the server does not know that") {
  const LlmRequest request = Request();
  ModelParameters parameters;
  CHECK(WriteRequestBody(request, parameters, true)
            .find(R"("stream":true,"stream_options":{"include_usage":true}})") !=
        std::string::npos);
  parameters.stream_options = false;
  const std::string body = WriteRequestBody(request, parameters, true);
  CHECK(body.find(R"("stream":true})") != std::string::npos);
  CHECK(body.find("stream_options") == std::string::npos);
}

TEST_CASE("a reasoning model gets room to think and no temperature") {
  LlmRequest request = Request();
  request.model = "o3-mini";
  const std::string body =
      WriteRequestBody(request, FamilyParameters(request.model, TokenParam::kAuto), false);
  CHECK(body.find(R"("max_completion_tokens":2548)") != std::string::npos);
  CHECK(body.find("\"max_tokens\"") == std::string::npos);
  CHECK(body.find("temperature") == std::string::npos);
}

TEST_CASE("what is not set is not sent") {
  LlmRequest request = Request();
  request.max_tokens = 0;
  request.temperature.reset();
  const std::string body = WriteRequestBody(request, ModelParameters(), false);
  CHECK(body.find("tokens") == std::string::npos);
  CHECK(body.find("temperature") == std::string::npos);
}

TEST_CASE("nothing in a request can leave its string") {
  LlmRequest request = Request();
  request.model = "m\",\"n\":128,\"x\":\"";
  request.messages = {{Role::kUser, std::string("\"}],\"n\":9,\0\x01\\", 13)}};
  const std::string body = WriteRequestBody(request, ModelParameters(), false);
  CHECK(body.find("\"n\":") == std::string::npos);
  CHECK(body.find(R"("model":"m\",\"n\":128,\"x\":\"")") != std::string::npos);
  CHECK(body.find(R"("content":"\"}],\"n\":9,\u0000\u0001\\")") != std::string::npos);
}

TEST_CASE("a refused system role becomes the developer's") {
  ModelParameters parameters;
  parameters.system_role = false;
  CHECK(WriteRequestBody(Request(), parameters, false).find(R"("role":"developer")") !=
        std::string::npos);
}

}  // namespace
}  // namespace postgen
