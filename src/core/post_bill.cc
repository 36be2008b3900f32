#include "core/post_bill.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "llm/policy/token_estimate.h"
#include "llm/policy/usage_estimate.h"
#include "meter/prices.h"

namespace postgen {
namespace {

// Texts of other kinds than we know may have more tokens than we reckon.
constexpr double kPromptMargin = 1.25;

}  // namespace

std::int64_t MicroUsd(double usd) {
  // Fractions add up to a hair more than they are.
  constexpr double kHair = 1e-6;
  return static_cast<std::int64_t>(std::ceil(usd * 1e6 - kHair));
}

std::optional<double> MostCost(const LlmRequest& request, const LlmOptions& options) {
  std::vector<std::string> models = options.fallback_models;
  models.push_back(request.model);
  const std::int64_t prompt = EstimateUsage(request, {}).prompt_tokens;
  double most = 0;
  for (const std::string& model : models) {
    const std::optional<ModelPrice> price = FindPrice(model, options.prices);
    if (!price) return std::nullopt;
    LlmRequest asked;
    asked.model = model;
    asked.max_tokens = request.max_tokens;
    Usage usage;
    usage.prompt_tokens = static_cast<std::int64_t>(static_cast<double>(prompt) * kPromptMargin);
    usage.completion_tokens = EstimateTokens(asked) - EstimateUsage(asked, {}).prompt_tokens;
    most = std::max(most, Cost(*price, usage));
  }
  return most;
}

Error UnknownPrice(const LlmRequest& request) {
  return {Code::kBudget,
          "budget_usd_per_day cannot be kept, as the price of the model " + request.model +
              " or of a fallback model is not known; add it to llm.prices",
          "llm.prices"};
}

PostBill::PostBill(std::shared_ptr<SpendingBudget> budget, SpendingBudget::Reservation reservation,
                   double most_a_call)
    : budget_(std::move(budget)), reservation_(reservation), most_a_call_(most_a_call) {}

PostBill::~PostBill() {
  const MutexLock lock(&mutex_);
  budget_->Settle(reservation_, MicroUsd(spent_usd_));
}

void PostBill::Add(std::optional<double> cost_usd) {
  const MutexLock lock(&mutex_);
  spent_usd_ += cost_usd.value_or(most_a_call_);
}

}  // namespace postgen
