// What a call costs.
#ifndef POSTGEN_SRC_METER_PRICES_H_
#define POSTGEN_SRC_METER_PRICES_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

// The price of `model`: from `overrides`, then from the built-in table; dated names
// ("gpt-4o-mini-2024-07-18") count as the model they are a date of. std::nullopt: not known.
std::optional<ModelPrice> FindPrice(std::string_view model,
                                    const std::map<std::string, ModelPrice>& overrides);

// USD. Cached input tokens are part of prompt_tokens and cost their own price.
double Cost(const ModelPrice& price, const Usage& usage);

}  // namespace postgen

#endif  // POSTGEN_SRC_METER_PRICES_H_
