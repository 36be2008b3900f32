#include "core/model_choice.h"

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("model: override, then the KOL's, then the default") {
  LlmOptions options;
  KolProfile kol;
  kol.model_id = "gpt-4o";
  KolProfile kol_without_model;
  kol_without_model.model_id = "";

  PostRequest plain;
  CHECK(ChooseModel(plain, &kol, options) == "gpt-4o");
  CHECK(ChooseModel(plain, &kol_without_model, options) == "gpt-4o-mini");
  CHECK(ChooseModel(plain, nullptr, options) == "gpt-4o-mini");

  PostRequest with_override;
  with_override.model_id_override = "gpt-4.1";
  CHECK(ChooseModel(with_override, &kol, options) == "gpt-4o");  // use_kol_default_model is true
  with_override.use_kol_default_model = false;
  CHECK(ChooseModel(with_override, &kol, options) == "gpt-4.1");
  with_override.model_id_override.reset();
  CHECK(ChooseModel(with_override, &kol, options) == "gpt-4o");  // nothing to override with
}

TEST_CASE("temperature: the KOL's only where asked for") {
  LlmOptions options;
  options.temperature = 0.9;
  KolProfile kol;
  kol.model_temp = 0.4;
  CHECK(ChooseTemperature(&kol, options) == 0.9);
  options.use_kol_temperature = true;
  CHECK(ChooseTemperature(&kol, options) == 0.4);
  kol.model_temp.reset();
  CHECK(ChooseTemperature(&kol, options) == 0.9);
  CHECK(ChooseTemperature(nullptr, options) == 0.9);
}

TEST_CASE("token limit: the KOL's only where asked for") {
  LlmOptions options;
  PostRequest request;
  request.max_words = 200;
  KolProfile kol;
  kol.max_tokens = 700;
  const std::int64_t derived = ChooseMaxTokens(request, &kol, options, "gpt-4o-mini");
  CHECK(derived < 400);
  options.max_tokens = 900;
  CHECK(ChooseMaxTokens(request, &kol, options, "gpt-4o-mini") == 900);
  options.use_kol_max_tokens = true;
  CHECK(ChooseMaxTokens(request, &kol, options, "gpt-4o-mini") == 700);
  CHECK(ChooseMaxTokens(request, nullptr, options, "gpt-4o-mini") == 900);
  kol.max_tokens = 0;
  CHECK(ChooseMaxTokens(request, &kol, options, "gpt-4o-mini") == 900);
}

}  // namespace
}  // namespace postgen
