// What each model was found to take. Used on one thread.
#ifndef POSTGEN_SRC_LLM_PARAMETER_MEMORY_H_
#define POSTGEN_SRC_LLM_PARAMETER_MEMORY_H_

#include <cstddef>
#include <optional>
#include <string>

#include <absl/container/flat_hash_map.h>

#include "llm/wire/model_family.h"
#include "postgen/options.h"

namespace postgen {

class ParameterMemory {
 public:
  explicit ParameterMemory(TokenParam token_param) : token_param_(token_param) {}

  // By the model's name alone.
  ModelParameters Family(const std::string& model) const {
    return FamilyParameters(model, token_param_);
  }

  // As learned, else Family().
  ModelParameters Find(const std::string& model) const {
    const auto found = learned_.find(model);
    return found == learned_.end() ? Family(model) : found->second;
  }

  void Learn(const std::string& model, const ModelParameters& parameters) {
    // Model names come from requests: a caller that makes them up must not fill the memory.
    if (learned_.size() >= kMaxModels) learned_.clear();
    learned_[model] = parameters;
  }

 private:
  static constexpr std::size_t kMaxModels = 256;

  TokenParam token_param_;
  absl::flat_hash_map<std::string, ModelParameters> learned_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_PARAMETER_MEMORY_H_
