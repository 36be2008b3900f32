// The firewall of the C ABI: functions of a C++ caller that throw.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "postgen/c.h"

namespace {

constexpr std::int64_t kEnoughMs = 20000;

const postgen_str kTemplate = POSTGEN_STR(R"({"llm": {"provider": "template"}})");
const postgen_str kRequest =
    POSTGEN_STR(R"({"stock_code": "2330", "kol_serial": 208, "versions": 1})");

// Code of the reply of one post; POSTGEN_OK for a good one.
postgen_code Generate(const postgen_plugins& plugins, std::string* reply) {
  postgen_generator* generator = nullptr;
  REQUIRE(postgen_generator_create(kTemplate, &plugins, &generator, nullptr) == POSTGEN_OK);
  postgen_result* result = nullptr;
  postgen_error* error = nullptr;
  const postgen_code code = postgen_generate(generator, kRequest, &result, &error);
  const postgen_str json =
      code == POSTGEN_OK ? postgen_result_json(result) : postgen_error_json(error);
  reply->assign(json.ptr, json.len);
  postgen_result_destroy(&result);
  postgen_error_destroy(&error);
  postgen_generator_destroy(&generator);
  return code;
}

TEST_CASE("a callback that throws loses its event and nothing else") {
  struct State {
    std::atomic<int> events{0};
    std::atomic<int> destroyed{0};
  } state;
  postgen_callback callback{};
  callback.struct_size = sizeof(callback);
  callback.user_data = &state;
  callback.on_event = [](void* data, const postgen_event*) {
    ++static_cast<State*>(data)->events;
    throw std::runtime_error("from a callback");
  };
  callback.destroy = [](void* data) {
    ++static_cast<State*>(data)->destroyed;
    throw 7;
  };
  postgen_generator* generator = nullptr;
  REQUIRE(postgen_generator_create(kTemplate, nullptr, &generator, nullptr) == POSTGEN_OK);
  REQUIRE(postgen_set_callback(generator, &callback, nullptr) == POSTGEN_OK);
  for (int i = 0; i < 3; ++i) {
    postgen_call* call = nullptr;
    CHECK(postgen_start(generator, kRequest, 0, &call, nullptr) == POSTGEN_OK);
    postgen_call_destroy(&call);
  }
  CHECK(postgen_generator_close(generator, kEnoughMs, nullptr) == POSTGEN_OK);
  postgen_generator_destroy(&generator);
  CHECK(state.events == 3);
  CHECK(state.destroyed == 1);
}

TEST_CASE("a client that throws fails its version") {
  postgen_llm_plugin llm{};
  llm.struct_size = sizeof(llm);
  llm.complete = [](void*, postgen_str, postgen_reply*) { throw std::runtime_error("no"); };
  postgen_plugins plugins{};
  plugins.struct_size = sizeof(plugins);
  plugins.llm = &llm;
  std::string reply;
  CHECK(Generate(plugins, &reply) == POSTGEN_INTERNAL);
  CHECK(reply.find("threw an exception") != std::string::npos);
}

TEST_CASE("a client that answers and then throws has answered") {
  postgen_llm_plugin llm{};
  llm.struct_size = sizeof(llm);
  llm.complete = [](void*, postgen_str, postgen_reply* answer) {
    postgen_reply_complete(answer, POSTGEN_STR(R"({"text": "all is well"})"), nullptr);
    throw 7;
  };
  postgen_plugins plugins{};
  plugins.struct_size = sizeof(plugins);
  plugins.llm = &llm;
  std::string reply;
  CHECK(Generate(plugins, &reply) == POSTGEN_OK);
  CHECK(reply.find("all is well") != std::string::npos);
}

TEST_CASE("a cache that throws is a miss, a store that throws fails the post") {
  postgen_cache_plugin cache{};
  cache.struct_size = sizeof(cache);
  cache.get = [](void*, postgen_str, postgen_reply*) { throw 7; };
  cache.put = [](void*, postgen_str, postgen_str, int64_t) { throw 7; };
  postgen_plugins plugins{};
  plugins.struct_size = sizeof(plugins);
  plugins.cache = &cache;
  std::string reply;
  CHECK(Generate(plugins, &reply) == POSTGEN_OK);

  postgen_store_plugin store{};
  store.struct_size = sizeof(store);
  store.put = [](void*, postgen_str, postgen_reply*) { throw 7; };
  plugins.store = &store;
  CHECK(Generate(plugins, &reply) != POSTGEN_OK);
  CHECK(reply.find("threw an exception") != std::string::npos);
}

}  // namespace
