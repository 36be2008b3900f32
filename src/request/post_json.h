// The JSON texts of a post's row, and the writers that the reply shares with them.
#ifndef POSTGEN_SRC_REQUEST_POST_JSON_H_
#define POSTGEN_SRC_REQUEST_POST_JSON_H_

#include <optional>
#include <string>
#include <vector>

#include "json/json_writer.h"
#include "postgen/types.h"

namespace postgen {

// Column alternative_versions: the good versions that were not chosen, by number. std::nullopt:
// there are none, the column is NULL.
std::optional<std::string> AlternativeVersionsJson(const PostResult& result);

// Column generation_params: how the post came about. `result` gives time, model, usage and cost.
std::string GenerationParamsJson(const PostRequest& request, const PostResult& result);

// The versions of a column alternative_versions. What is not as we write it is left out.
std::vector<VersionResult> ReadAlternativeVersions(const std::string& json);

// Column commodity_tags: the request's own tags, else the market and the stock.
std::string CommodityTagsJson(const PostRequest& request);

// --- Parts that several documents have

void WriteAlternativeVersions(const PostResult& result, JsonWriter* json);  // [] where none
void WriteUsage(const Usage& usage, JsonWriter* json);                      // without total_tokens
void WriteTotalUsage(const Usage& usage, JsonWriter* json);
void WriteCost(const std::optional<double>& cost_usd, JsonWriter* json);
void WriteFinishReason(const FinishReason& reason, JsonWriter* json);
void WriteSource(Source source, JsonWriter* json);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_POST_JSON_H_
