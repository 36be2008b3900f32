#include "contract/profile_store_contract.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"

namespace postgen {
namespace {

std::string Quoted(const std::optional<std::string>& text) {
  if (!text) return "NULL";
  std::string quoted = "'";
  for (const char c : *text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + '\'';
}

std::string RowSql(const KolProfile& p) {
  std::string values = Quoted(p.serial);
  for (const auto& text : {p.nickname, p.persona, p.tone_style, p.common_terms, p.colloquial_terms,
                           p.prompt_persona, p.prompt_style, p.prompt_guardrails, p.prompt_skeleton,
                           p.prompt_cta, p.prompt_hashtags, p.signature, p.model_id}) {
    values += ", " + Quoted(text);
  }
  values += ", " + (p.model_temp ? std::to_string(*p.model_temp) : "NULL");
  values += ", " + (p.max_tokens ? std::to_string(*p.max_tokens) : "NULL");
  return "INSERT INTO kol_profiles (serial, nickname, persona, tone_style, common_terms, "
         "colloquial_terms, prompt_persona, prompt_style, prompt_guardrails, prompt_skeleton, "
         "prompt_cta, prompt_hashtags, signature, model_id, model_temp, max_tokens) VALUES (" +
         values + ");\n";
}

}  // namespace

std::vector<KolProfile> TestProfiles() {
  KolProfile full;
  full.serial = "208";
  full.nickname = "韭割哥";
  full.persona = "技術派";
  full.tone_style = "it's \"direct\"; $1 \\ %s";
  full.common_terms = " ";
  full.colloquial_terms = "🚀\nline";
  full.prompt_persona = "p";
  full.prompt_style = "s";
  full.prompt_guardrails = "g";
  full.prompt_skeleton = "{a} [b]";
  full.prompt_cta = "c";
  full.prompt_hashtags = "#h";
  full.signature = "— 208";
  full.model_id = "gpt-4o-mini";
  full.model_temp = 0.7;
  full.max_tokens = 700;
  KolProfile bare;
  bare.serial = "7";
  bare.nickname = "n";
  KolProfile padded;
  padded.serial = "0009";
  padded.nickname = "n";
  return {full, bare, padded};
}

std::string TestProfilesSql() {
  std::string sql;
  for (const KolProfile& profile : TestProfiles()) sql += RowSql(profile);
  return sql;
}

Result<FoundProfile> FindAndWait(ProfileStore* store, std::int64_t kol_serial, TimePoint deadline) {
  return Await<FoundProfile>(
      [&](auto done) { store->Find(kol_serial, deadline, std::move(done)); });
}

void CheckProfileStoreContract(const std::function<std::unique_ptr<ProfileStore>()>& open) {
  std::unique_ptr<ProfileStore> store = open();

  SUBCASE("every field comes back; NULL is absent and not empty") {
    for (std::size_t i = 0; i < 2; ++i) {
      const KolProfile expected = TestProfiles()[i];
      const auto found = FindAndWait(store.get(), std::stoll(expected.serial));
      REQUIRE_MESSAGE(found.ok(), found.error().message);
      REQUIRE(found->profile.has_value());
      CHECK(*found->profile == expected);
      CHECK(!found->stale);
    }
  }

  SUBCASE("an unknown KOL is absent, which is no error") {
    for (const std::int64_t serial : {std::int64_t{0}, std::int64_t{-7}, std::int64_t{1} << 62U}) {
      const auto found = FindAndWait(store.get(), serial);
      REQUIRE(found.ok());
      CHECK(!found->profile.has_value());
    }
  }

  SUBCASE("serials are compared as text") {
    const auto found = FindAndWait(store.get(), 9);
    REQUIRE(found.ok());
    CHECK(!found->profile.has_value());
  }

  SUBCASE("nothing is read for a deadline that has passed") {
    const auto found =
        FindAndWait(store.get(), 208, std::chrono::steady_clock::now() - std::chrono::seconds(1));
    REQUIRE(!found.ok());
    CHECK(found.error().code == Code::kStore);
  }

  SUBCASE("when a store is gone, every operation has called back, once") {
    Answers<FoundProfile> answers;
    for (int i = 0; i < 50; ++i) store->Find(208, Soon(), answers.Callback());
    store.reset();
    CHECK(answers.SoFar().size() == 50);
  }
}

}  // namespace postgen
