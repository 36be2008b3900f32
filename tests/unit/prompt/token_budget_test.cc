#include "prompt/token_budget.h"

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("VisibleTokenBudget fits the models of the app") {
  CHECK(VisibleTokenBudget("gpt-4o-mini", 200) == 313);
  CHECK(VisibleTokenBudget("gpt-4o-mini-2024-07-18", 200) == 313);
  CHECK(VisibleTokenBudget("openai/gpt-4o-mini", 200) == 313);
  CHECK(VisibleTokenBudget("gpt-4o-mini", 50) == 109);
  CHECK(VisibleTokenBudget("gpt-4-turbo", 200) == 438);
  CHECK(VisibleTokenBudget("gpt-4", 200) == 438);
}

TEST_CASE("VisibleTokenBudget takes the larger ratio for a model it does not know") {
  CHECK(VisibleTokenBudget("llama-3-70b", 200) == VisibleTokenBudget("gpt-4", 200));
  CHECK(VisibleTokenBudget("", 200) == VisibleTokenBudget("gpt-4", 200));
  CHECK(VisibleTokenBudget("llama-3-70b", 200) > VisibleTokenBudget("gpt-5", 200));
}

TEST_CASE("VisibleTokenBudget is enough for a text that is 37 % too long") {
  for (const char* model : {"gpt-4o-mini", "gpt-4", "other"}) {
    const double average = model[4] == '4' && model[5] == 'o' ? 0.93 : 1.33;
    for (std::int64_t words = 10; words <= 2000; words += 10) {
      CHECK(static_cast<double>(VisibleTokenBudget(model, words)) >=
            static_cast<double>(words) * 1.37 * average + 25 * average);
    }
  }
}

TEST_CASE("VisibleTokenBudget stays within what the model can put out") {
  CHECK(VisibleTokenBudget("gpt-3.5-turbo", 4000) == 4096);
  CHECK(VisibleTokenBudget("gpt-4-turbo-2024-04-09", 4000) == 4096);
  CHECK(VisibleTokenBudget("gpt-4", 4000) == 6144);
  CHECK(VisibleTokenBudget("gpt-4o-2024-05-13", 4000) == 4096);
  CHECK(VisibleTokenBudget("gpt-4o", 4000) == 5473);
}

TEST_CASE("VisibleTokenBudget of no words is still enough for a title") {
  CHECK(VisibleTokenBudget("gpt-4o-mini", 0) > 25);
  CHECK(VisibleTokenBudget("gpt-4o-mini", -5) == VisibleTokenBudget("gpt-4o-mini", 0));
}

}  // namespace
}  // namespace postgen
