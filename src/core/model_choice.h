// Which model writes a post, and how it is asked.
#ifndef POSTGEN_SRC_CORE_MODEL_CHOICE_H_
#define POSTGEN_SRC_CORE_MODEL_CHOICE_H_

#include <cstdint>
#include <string>

#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

// The request's override, where it asks not to use the KOL's model; else the KOL's model; else the
// default. `profile` may be null.
std::string ChooseModel(const PostRequest& request, const KolProfile* profile,
                        const LlmOptions& options);

// The KOL's temperature where the options ask for it and the profile has one; else the options'.
double ChooseTemperature(const KolProfile* profile, const LlmOptions& options);

// The token limit of one version: the KOL's where the options ask for it and the profile has one;
// else the options'; else what the request's max_words needs of `model`.
std::int64_t ChooseMaxTokens(const PostRequest& request, const KolProfile* profile,
                             const LlmOptions& options, const std::string& model);

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_MODEL_CHOICE_H_
