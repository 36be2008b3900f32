#include "prompt/token_budget.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace postgen {
namespace {

// Where these come from: docs/tokens.md.
constexpr double kOverrun = 1.40;
constexpr double kTitleWords = 25;
constexpr double kLabelTokens = 16;

// Tokens for one code point of traditional Chinese forum text, 99th percentile over texts.
constexpr double kO200k = 0.97;
constexpr double kCl100k = 1.38;

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

struct Family {
  std::string_view prefix;
  double tokens_per_word;
  std::int64_t max_output;
};

// The first prefix that fits decides.
constexpr Family kFamilies[] = {
    {"gpt-4o-2024-05-13", kO200k, 4096},
    {"gpt-4o", kO200k, 16384},
    {"chatgpt-4o", kO200k, 16384},
    {"gpt-4.1", kO200k, 32768},
    {"gpt-4.5", kO200k, 16384},
    {"gpt-5", kO200k, 128000},
    {"o1-mini", kO200k, 65536},
    {"o1-preview", kO200k, 32768},
    {"o1", kO200k, 100000},
    {"o3", kO200k, 100000},
    {"o4", kO200k, 100000},
    {"gpt-4-turbo", kCl100k, 4096},
    {"gpt-4-0125", kCl100k, 4096},
    {"gpt-4-1106", kCl100k, 4096},
    // 8,192 are the whole window; a quarter of it is left to the prompt.
    {"gpt-4", kCl100k, 6144},
    {"gpt-3.5-turbo", kCl100k, 4096},
};

// An unknown model may have any tokenizer: the larger ratio, and whatever limit its server knows.
constexpr Family kUnknown = {"", kCl100k, kNoLimit};

const Family& FamilyOf(std::string_view model) {
  const std::size_t slash = model.rfind('/');  // "openai/gpt-4o-mini"
  if (slash != std::string_view::npos) model.remove_prefix(slash + 1);
  for (const Family& family : kFamilies) {
    if (model.starts_with(family.prefix)) return family;
  }
  return kUnknown;
}

}  // namespace

std::int64_t VisibleTokenBudget(std::string_view model, std::int64_t max_words) {
  const Family& family = FamilyOf(model);
  const double words = static_cast<double>(std::max<std::int64_t>(max_words, 0));
  const double body = std::ceil(words * kOverrun * family.tokens_per_word);
  const double title = std::ceil(kTitleWords * family.tokens_per_word);
  return std::min(static_cast<std::int64_t>(body + title + kLabelTokens), family.max_output);
}

}  // namespace postgen
