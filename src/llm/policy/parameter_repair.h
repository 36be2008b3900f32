// Learning from a refusal: which parameter to leave out or rename when a model refuses one.
#ifndef POSTGEN_SRC_LLM_POLICY_PARAMETER_REPAIR_H_
#define POSTGEN_SRC_LLM_POLICY_PARAMETER_REPAIR_H_

#include <optional>

#include "llm/wire/model_family.h"
#include "llm/wire/provider_error.h"

namespace postgen {

// The parameters to try instead of `used`, which a reply of `http_status` refused. `original` is
// what the model's first request used: no parameter is repaired twice, so that this ends.
// std::nullopt: the refusal is about something else.
std::optional<ModelParameters> RepairParameters(int http_status, const ProviderError& error,
                                                const ModelParameters& used,
                                                const ModelParameters& original);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_PARAMETER_REPAIR_H_
