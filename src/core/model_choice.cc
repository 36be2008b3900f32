#include "core/model_choice.h"

#include "prompt/token_budget.h"

namespace postgen {

std::string ChooseModel(const PostRequest& request, const KolProfile* profile,
                        const LlmOptions& options) {
  const bool has_override =
      request.model_id_override.has_value() && !request.model_id_override->empty();
  if (!request.use_kol_default_model && has_override) return *request.model_id_override;
  if (profile != nullptr && profile->model_id.has_value() && !profile->model_id->empty()) {
    return *profile->model_id;
  }
  return options.default_model;
}

double ChooseTemperature(const KolProfile* profile, const LlmOptions& options) {
  if (options.use_kol_temperature && profile != nullptr && profile->model_temp.has_value()) {
    return *profile->model_temp;
  }
  return options.temperature;
}

std::int64_t ChooseMaxTokens(const PostRequest& request, const KolProfile* profile,
                             const LlmOptions& options, const std::string& model) {
  const bool has_own = profile != nullptr && profile->max_tokens.value_or(0) > 0;
  if (options.use_kol_max_tokens && has_own) return *profile->max_tokens;
  return options.max_tokens.value_or(VisibleTokenBudget(model, request.max_words));
}

}  // namespace postgen
