#include "core/model_choice.h"

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

}  // namespace postgen
