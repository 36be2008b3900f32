#include "meter/prices.h"

#include <string>

#include <doctest/doctest.h>
#include <simdjson.h>

#include "postgen/json.h"

namespace postgen {
namespace {

TEST_CASE("FindPrice knows the models of the app and their dated names") {
  const ModelPrice mini = {0.15, 0.075, 0.60};
  CHECK(FindPrice("gpt-4o-mini", {}) == mini);
  CHECK(FindPrice("gpt-4o-mini-2024-07-18", {}) == mini);
  CHECK(FindPrice("openai/gpt-4o-mini", {}) == mini);
  CHECK(FindPrice("router/openai/gpt-4o-mini-2024-07-18", {}) == mini);
  CHECK(FindPrice("gpt-4-0613", {}) == ModelPrice{30, 30, 60});
  CHECK(FindPrice("gpt-3.5-turbo-0125", {}) == ModelPrice{0.5, 0.5, 1.5});
}

TEST_CASE("FindPrice prefers the exact name where a dated model has its own price") {
  CHECK(FindPrice("gpt-4o-2024-05-13", {}) == ModelPrice{5, 5, 15});
  CHECK(FindPrice("gpt-4o-2024-11-20", {}) == ModelPrice{2.5, 1.25, 10});
}

TEST_CASE("FindPrice does not guess") {
  for (const char* model : {"", "gpt-4o-mini-audio", "gpt", "gpt-4o-minix", "-2024-07-18",
                            "llama-3", "gpt-4o-mini-2024-7-18", "gpt-4o-mini/"}) {
    CAPTURE(model);
    CHECK_FALSE(FindPrice(model, {}).has_value());
  }
}

TEST_CASE("FindPrice lets overrides win, by any of the model's names") {
  const std::map<std::string, ModelPrice> overrides = {{"gpt-4o-mini", {1, 2, 3}},
                                                       {"mine", {4, 5, 6}}};
  CHECK(FindPrice("gpt-4o-mini-2024-07-18", overrides) == ModelPrice{1, 2, 3});
  CHECK(FindPrice("openai/gpt-4o-mini", overrides) == ModelPrice{1, 2, 3});
  CHECK(FindPrice("mine", overrides) == ModelPrice{4, 5, 6});
  CHECK(FindPrice("gpt-4o", overrides) == ModelPrice{2.5, 1.25, 10});
}

TEST_CASE("Cost charges cached input at its own price, inside prompt_tokens") {
  const ModelPrice price = {0.15, 0.075, 0.60};
  CHECK(Cost(price, {2000, 500, 0}) == doctest::Approx(0.0006));
  CHECK(Cost(price, {2000, 500, 1000}) == doctest::Approx(0.000525));
  CHECK(Cost(price, {2000, 500, 2000}) == doctest::Approx(0.00045));
  CHECK(Cost(price, {}) == 0);
}

TEST_CASE("Cost of a usage that cannot be is never negative") {
  const ModelPrice price = {1, 0.5, 2};
  CHECK(Cost(price, {1000, 0, 5000}) == doctest::Approx(0.0005));
  CHECK(Cost(price, {-5, -5, -5}) == 0);
}

TEST_CASE("PricesJson is the table that FindPrice reads") {
  simdjson::dom::parser parser;
  const simdjson::padded_string json(PricesJson());
  const simdjson::dom::element document = parser.parse(json);
  CHECK(std::string(document["as_of"].get_c_str()).size() == 10);
  std::size_t count = 0;
  for (const simdjson::dom::key_value_pair field : simdjson::dom::object(document["models"])) {
    CAPTURE(field.key);
    const simdjson::dom::element row = field.value;
    const ModelPrice price = {double(row["input"]), double(row["cached_input"]),
                              double(row["output"])};
    CHECK(FindPrice(field.key, {}) == price);
    CHECK(price.cached_input <= price.input);
    CHECK(price.input < price.output);
    ++count;
  }
  CHECK(count >= 16);
}

}  // namespace
}  // namespace postgen
