#include "store/profile_file.h"

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "contract/profile_store_contract.h"
#include "request/profile_json.h"
#include "runtime/event_loop.h"
#include "support/scoped.h"

namespace postgen {
namespace {

constexpr const char* kRows = R"([
  {"serial": "208", "nickname": "韭割哥", "persona": "技術派",
   "tone_style": "it's \"direct\"; $1 \\ %s", "common_terms": " ", "colloquial_terms": "🚀\nline",
   "prompt_persona": "p", "prompt_style": "s", "prompt_guardrails": "g",
   "prompt_skeleton": "{a} [b]", "prompt_cta": "c", "prompt_hashtags": "#h",
   "signature": "— 208", "model_id": "gpt-4o-mini", "model_temp": 0.7, "max_tokens": 700,
   "password": "secret", "email": "a@b"},
  {"serial": 7, "nickname": "n", "persona": null},
  {"serial": "0009", "nickname": "n"}
])";

TEST_CASE("the shapes of a profile document") {
  struct Case {
    const char* json;
    std::vector<std::string> serials;
  };
  const Case cases[] = {
      {"[]", {}},
      {"{}", {}},
      {R"([{"serial": 1}, {"serial": "2"}])", {"1", "2"}},
      {R"({"serial": "3", "nickname": "n"})", {"3"}},
      {R"({"4": {"nickname": "n"}, "5": {"serial": "6"}})", {"4", "6"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.json);
    const auto profiles = ParseProfiles(c.json);
    REQUIRE_MESSAGE(profiles.ok(), profiles.error().message);
    std::vector<std::string> serials;
    for (const KolProfile& profile : *profiles) serials.push_back(profile.serial);
    CHECK(serials == c.serials);
  }
}

TEST_CASE("profile documents that cannot be read are refused with the row and the column") {
  struct Case {
    const char* json;
    const char* message;
  };
  const Case cases[] = {
      {"", "not valid JSON"},
      {"[{]", "not valid JSON"},
      {"3", "must be a JSON array or object"},
      {"[1]", "entry 1: must be a JSON object"},
      {R"([{"serial": 1}, {"nickname": "n"}])", "entry 2: has no serial"},
      {R"([{"serial": 1, "model_temp": "hot"}])", "model_temp"},
      {R"([{"serial": 1, "max_tokens": 0}])", "max_tokens"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.json);
    const auto profiles = ParseProfiles(c.json);
    REQUIRE(!profiles.ok());
    CHECK(profiles.error().code == Code::kInvalidConfig);
    CHECK_MESSAGE(profiles.error().message.find(c.message) != std::string::npos,
                  profiles.error().message);
  }
}

TEST_CASE("profiles in a file keep the contract of ProfileStore") {
  const testing::TempFolder folder;
  folder.Write("k.json", kRows);
  EventLoop loop("test");
  CheckProfileStoreContract([&] { return *NewProfileFile(folder.File("k.json"), &loop); });
}

TEST_CASE("a changed file is read anew, and a broken one is an error until it is mended") {
  const testing::TempFolder folder;
  folder.Write("k.json", R"([{"serial": 1, "nickname": "a"}])");
  EventLoop loop("test");
  const auto store = *NewProfileFile(folder.File("k.json"), &loop);
  const auto nickname = [&] {
    const auto found = FindAndWait(store.get(), 1);
    return found.ok() ? found->profile->nickname.value_or("") : found.error().message;
  };
  CHECK(nickname() == "a");
  folder.Write("k.json", R"([{"serial": 1, "nickname": "other"}])");
  CHECK(nickname() == "other");
  folder.Write("k.json", "[");
  CHECK(nickname().find("not valid JSON") != std::string::npos);
  CHECK(FindAndWait(store.get(), 1).error().code == Code::kStore);
  std::filesystem::remove(folder.File("k.json"));
  CHECK(nickname().find("cannot be read") != std::string::npos);
  folder.Write("k.json", R"([{"serial": 1, "nickname": "mended"}])");
  CHECK(nickname() == "mended");
}

TEST_CASE("a file that cannot be read at the start is bad configuration") {
  const testing::TempFolder folder;
  EventLoop loop("test");
  const auto store = NewProfileFile(folder.File("none.json"), &loop);
  REQUIRE(!store.ok());
  CHECK(store.error().code == Code::kInvalidConfig);
  CHECK(store.error().details.field == "profiles.url");
}

}  // namespace
}  // namespace postgen
