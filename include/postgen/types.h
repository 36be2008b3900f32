// The data of a post, in the order in which it comes to be: request, profile, prompt, completion,
// version, row, result. Reading this header from top to bottom is reading the pipeline.
//
// Field names equal the keys of the JSON documents (json.h), so that C++, C, Python and the command
// line share one vocabulary. All texts are UTF-8. A "word" (字) is one Unicode code point, line
// breaks included.
//
// Thread safety: plain values.
#ifndef POSTGEN_TYPES_H_
#define POSTGEN_TYPES_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgen/error.h"

namespace postgen {

// Deadlines and latencies use the monotonic clock, so that a stepped wall clock cannot end a post
// early.
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
// Times that are shown or stored.
using WallTime = std::chrono::system_clock::time_point;

// JSON that passes through unread: checked to be one valid document, minified.
struct JsonText {
  std::string text;
  friend bool operator==(const JsonText&, const JsonText&) = default;
};

// --- 1. Profile
// ---------------------------------------------------------------------------------------------

// What postgen reads of a `kol_profiles` row. Absent = NULL or missing column. Login columns are
// never read.
struct KolProfile {
  std::string serial;
  std::optional<std::string> nickname;
  std::optional<std::string> persona;
  std::optional<std::string> tone_style;
  std::optional<std::string> common_terms;
  std::optional<std::string> colloquial_terms;
  std::optional<std::string> prompt_persona;
  std::optional<std::string> prompt_style;
  std::optional<std::string> prompt_guardrails;
  std::optional<std::string> prompt_skeleton;
  std::optional<std::string> prompt_cta;
  std::optional<std::string> prompt_hashtags;
  std::optional<std::string> signature;
  std::optional<std::string> model_id;
  std::optional<double> model_temp;
  std::optional<std::int64_t> max_tokens;

  friend bool operator==(const KolProfile&, const KolProfile&) = default;
};

// --- 2. Request
// ---------------------------------------------------------------------------------------------

enum class CacheMode { kUse, kRefresh, kBypass };  // read and write | write only | neither

// One post, as the app asks for it (first block) and as postgen extends it (second block). Every
// bound is checked by Validate() in json.h, which PostGenerator calls for requests built in C++
// too.
struct PostRequest {
  std::string stock_code;
  std::string stock_name;                  // empty: stock_code
  std::optional<std::int64_t> kol_serial;  // required
  std::string kol_persona = "technical";
  std::optional<std::int64_t> session_id;  // batch key, ms since the epoch in the app
  std::string trigger_type = "custom_stocks";
  std::string posting_type =
      "analysis";                // interaction | analysis | personalized; others as analysis
  std::int64_t max_words = 200;  // 10..4000 code points of body text
  std::optional<std::string> model_id_override;
  bool use_kol_default_model = true;
  std::string content_style = "chart_analysis";
  std::string target_audience = "active_traders";
  std::string generation_mode = "manual";
  std::optional<std::string> title;  // with content: stored as they are, no call is made
  std::optional<std::string> content;
  std::optional<JsonText> commodity_tags;  // `commodityTags`: array that replaces the default tags
  std::optional<std::string> topic_id;     // or `communityTopic.id`
  std::optional<std::string> topic_title;  // or `communityTopic.title`
  bool has_trending_topic = false;
  std::optional<std::string> topic_content;
  bool enable_realtime_price =
      false;  // true only when the caller asked: postgen fetches nothing and warns
  bool include_signature = false;  // append the profile's signature, outside the word limit
  std::optional<JsonText> news_config;
  std::optional<JsonText> data_sources;
  std::optional<JsonText> full_triggers_config;

  int versions = 5;                         // 1..10
  std::optional<std::int64_t> deadline_ms;  // 100..600000; absent: Options::default_deadline_ms
  CacheMode cache = CacheMode::kUse;
  // The same key and request within 24 hours return the same post and pay nothing. Needs a store
  // that lasts.
  std::optional<std::string> idempotency_key;
  std::string tenant;                 // separates caches and idempotency keys
  std::optional<std::int64_t> seed;   // makes the choice among versions repeatable
  bool draft = false;                 // make the app's separate main call first
  std::optional<KolProfile> profile;  // given inline instead of looked up
  std::vector<std::string> news;      // material, quoted as data in the prompt
  std::vector<std::string> facts;
  bool store = true;  // false: generate only

  std::vector<std::string> warnings;  // what the parser noticed, copied to the result
  double parse_ms = 0;                // time that ParseRequest took, counted in 1_parse_request
};

// --- 3. Prompt
// ----------------------------------------------------------------------------------------------

enum class Role { kSystem, kUser, kAssistant };

struct Message {
  Role role = Role::kUser;
  std::string content;
  friend bool operator==(const Message&, const Message&) = default;
};

// One version to be written: what makes it different and the messages that ask for it.
struct VersionPlan {
  int version_number = 0;  // 1-based
  std::string angle;
  std::string version_type;  // "interaction" | "analysis", as the app stores it
  std::vector<Message> messages;
};

// --- 4. Completion
// ------------------------------------------------------------------------------------------

// prompt_tokens includes cached_tokens; completion_tokens includes reasoning tokens.
struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  friend bool operator==(const Usage&, const Usage&) = default;
};

enum class UsageKind { kUnknown, kEstimated, kExact };

// Why the model stopped. `text` below keeps what the provider said where it is none of the known
// ones.
struct FinishReason {
  enum class Kind { kNone, kStop, kEarlyStop, kLength, kContentFilter, kOther };
  Kind kind = Kind::kNone;
  std::string text;  // "stop", "length", ... ; the provider's own word for kOther; empty for kNone
  friend bool operator==(const FinishReason&, const FinishReason&) = default;
};

// --- 5. Version
// ---------------------------------------------------------------------------------------------

enum class Source { kNone, kLlm, kCache, kTemplate, kManual };

// One version as reported. Failed ones are reported too: `error` says why, `content` keeps what was
// received.
struct VersionResult {
  int version_number = 0;
  std::string angle;
  std::string version_type;
  std::string title;
  std::string content;
  std::int64_t words = 0;     // code points of content, without the signature
  bool within_limit = false;  // words <= max_words
  Source source = Source::kNone;
  std::string model;
  FinishReason finish_reason;
  int attempts = 0;
  std::optional<double> ttft_ms;  // from dispatch to the text it has; absent when not streamed
  double total_ms = 0;            // from dispatch to the last byte, retries included
  Usage usage;
  UsageKind usage_kind = UsageKind::kUnknown;
  std::optional<double> cost_usd;  // absent: no price known for the model
  std::string request_id;
  std::optional<Error> error;

  bool ok() const { return !error.has_value(); }
};

// --- 6. Row
// -------------------------------------------------------------------------------------------------

// One row of `post_records`: the app's 22 columns. Stores that lack the last five write the first
// seventeen.
struct PostRow {
  std::string post_id;
  WallTime created_at;  // also updated_at; stored as UTC
  std::optional<std::int64_t> session_id;
  std::int64_t kol_serial = 0;
  std::string kol_nickname;
  std::string kol_persona;
  std::string stock_code;
  std::string stock_name;
  std::string title;
  std::string content;
  std::string content_md;
  std::string status = "draft";
  std::string commodity_tags;                       // JSON
  std::string generation_params;                    // JSON
  std::optional<std::string> alternative_versions;  // JSON; absent (NULL) when there are none
  std::string trigger_type;

  std::string generation_mode;
  std::optional<std::string> topic_id;
  std::optional<std::string> topic_title;
  bool has_trending_topic = false;
  std::optional<std::string> topic_content;

  friend bool operator==(const PostRow&, const PostRow&) = default;
};

// --- 7. Result
// ----------------------------------------------------------------------------------------------

// Milliseconds. The five stages add up to total_time.
struct Timings {
  double parse_request_ms = 0;         // 1_parse_request
  double model_selection_db_ms = 0;    // 2_model_selection_db: profile and model choice
  double gpt_generation_ms = 0;        // 3_gpt_generation: until the first version was complete
  double alternative_versions_ms = 0;  // 4_alternative_versions: from then until the last
  double database_write_ms = 0;        // 5_database_write
  double total_time_ms = 0;
};

enum class Stored { kNotRequested, kStored, kSpooled };

// The end of a post, good or bad. `ok()` posts have a chosen version; failed ones have `error` and
// whatever was known when they ended. ResultToJson() in json.h renders both as the app's reply.
struct PostResult {
  std::optional<Error> error;
  std::string post_id;
  std::string title;    // of the chosen version
  std::string content;  // of the chosen version, signature included
  std::string stock_code;
  std::string stock_name;
  std::int64_t kol_serial = 0;
  std::string kol_nickname;
  std::string kol_persona;
  std::string commodity_tags;  // JSON
  WallTime timestamp;

  std::string model;     // asked for
  std::string provider;  // host of the endpoint, "template" or "custom"
  int chosen = 0;        // version_number; 0: none
  std::vector<VersionResult> versions;
  int draft_attempts = 0;  // of the separate main call, whose usage and cost are in these:
  Usage usage;
  std::optional<double> cost_usd;  // of all calls; absent where that of one is not known
  Timings timings;
  Stored stored = Stored::kNotRequested;
  bool from_cache = false;
  bool deadline_hit = false;
  std::vector<std::string> warnings;

  bool ok() const { return !error.has_value(); }
};

}  // namespace postgen

#endif  // POSTGEN_TYPES_H_
