#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postgen/json.h"
#include "request/edit_distance.h"
#include "request/field_table.h"
#include "request/json_value.h"
#include "request/request_fields.h"
#include "request/text_check.h"

namespace postgen {
namespace {

constexpr DocumentKind kRequest = {Code::kInvalidRequest, Reading::kTolerant, ""};
constexpr DocumentKind kTopic = {Code::kInvalidRequest, Reading::kTolerant, "communityTopic"};
constexpr DocumentKind kProfile = {Code::kInvalidRequest, Reading::kTolerant, "profile"};

// Unknown names beyond these are ignored without a look: a request may hold 200,000 of them.
constexpr std::size_t kMaxNamesCompared = 200;
constexpr std::size_t kMaxTypoDistance = 2;

struct Topic {
  std::optional<std::string> id;
  std::optional<std::string> title;
};

constexpr auto kTopicFields = std::to_array<Field<Topic>>({
    {&Topic::id, {.name = "id"}},
    {&Topic::title, {.name = "title"}},
});

// The name of the request field that `name` is a misspelling of; empty: of none.
std::string_view MisspeltField(std::string_view name) {
  if (std::find(kIgnoredRequestFields.begin(), kIgnoredRequestFields.end(), name) !=
      kIgnoredRequestFields.end()) {
    return {};
  }
  for (const Field<PostRequest>& field : kRequestFields) {
    const std::string_view known = field.rule.name;
    const std::size_t longer = std::max(known.size(), name.size());
    const std::size_t shorter = std::min(known.size(), name.size());
    if (longer - shorter <= kMaxTypoDistance && EditDistance(name, known) <= kMaxTypoDistance) {
      return known;
    }
  }
  return {};
}

void WarnOfTypos(const std::vector<std::string_view>& unknown, std::vector<std::string>* warnings) {
  const std::size_t count = std::min(unknown.size(), kMaxNamesCompared);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view known = MisspeltField(unknown[i]);
    if (known.empty()) continue;
    warnings->push_back("an unknown field was ignored: `" + Printable(unknown[i]) +
                        "`; did you mean `" + std::string(known) + "`?");
  }
}

bool IsEmptyObject(const std::optional<JsonText>& json) { return !json || json->text == "{}"; }

void WarnOfFetching(const PostRequest& request, std::vector<std::string>* warnings) {
  const auto warn = [warnings](std::string_view field, std::string_view instead) {
    warnings->push_back("`" + std::string(field) +
                        "` has no effect: postgen fetches nothing by itself; pass material in `" +
                        std::string(instead) + "`");
  };
  if (request.enable_realtime_price) warn("enable_realtime_price", "facts");
  if (!IsEmptyObject(request.news_config)) warn("news_config", "news");
  if (!IsEmptyObject(request.data_sources)) warn("data_sources", "facts");
}

// Adds up the texts of the lists, which alone can be many: every other field is bounded by itself.
std::size_t MaterialBytes(const PostRequest& request) {
  const auto add = [](std::size_t bytes, const std::string& text) { return bytes + text.size(); };
  return std::accumulate(request.news.begin(), request.news.end(), std::size_t{0}, add) +
         std::accumulate(request.facts.begin(), request.facts.end(), std::size_t{0}, add);
}

bool HasText(const std::optional<std::string>& text) { return text && !text->empty(); }

// The rules between fields.
Status CheckRelations(const PostRequest& request) {
  if (!request.kol_serial) {
    return FieldError(kRequest, "kol_serial", "is required: the serial number of the KOL");
  }
  if (MaterialBytes(request) > kMaxBodyBytes) {
    return FieldError(kRequest, "facts",
                      "and `news` must not be longer than 1048576 bytes together");
  }
  const bool has_topic =
      HasText(request.topic_id) || HasText(request.topic_title) || HasText(request.topic_content);
  const bool has_own_text = HasText(request.title) && HasText(request.content);
  if (request.stock_code.empty() && !has_topic && !has_own_text) {
    return FieldError(kRequest, "stock_code",
                      "must not be empty unless there is a topic or a title and content");
  }
  return {};
}

}  // namespace

Status ReadCommunityTopic(const JsonValue& value, PostRequest* out) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) {
    return FieldError(kRequest, "communityTopic", "must be a JSON object {id, title}");
  }
  Topic topic;
  std::vector<std::string_view> ignored;
  Status status = ReadFields(kTopicFields, *object, kTopic, &topic, &ignored);
  if (status.ok()) status = CheckFields(kTopicFields, topic, kTopic);
  if (!status.ok()) return status;
  if (topic.id) out->topic_id = std::move(topic.id);
  if (topic.title) out->topic_title = std::move(topic.title);
  return {};
}

Status ReadProfile(const JsonValue& value, PostRequest* out) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) return FieldError(kRequest, "profile", "must be a JSON object");
  // Columns without a place in KolProfile, the login ones among them, end here.
  std::vector<std::string_view> ignored;
  return ReadFields(kProfileFields, *object, kProfile, &out->profile.emplace(), &ignored);
}

Result<PostRequest> ParseRequest(std::string_view json) {
  const auto started_at = std::chrono::steady_clock::now();
  Result<JsonValue::Object> object = ParseBody(json, "request", Code::kInvalidRequest);
  if (!object.ok()) return std::move(object).error();

  PostRequest request;
  std::vector<std::string_view> unknown;
  Status status = ReadFields(kRequestFields, *object, kRequest, &request, &unknown);
  if (status.ok()) status = ValidateRequest(request);
  if (!status.ok()) return std::move(status).error();
  if (request.profile && request.profile->serial.empty()) {
    request.profile->serial = std::to_string(*request.kol_serial);
  }
  WarnOfTypos(unknown, &request.warnings);
  WarnOfFetching(request, &request.warnings);
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - started_at;
  request.parse_ms = elapsed.count();
  return request;
}

Status ValidateRequest(const PostRequest& request) {
  Status status = CheckFields(kRequestFields, request, kRequest);
  if (status.ok() && request.profile) {
    status = CheckFields(kProfileFields, *request.profile, kProfile);
  }
  return status.ok() ? CheckRelations(request) : status;
}

}  // namespace postgen
