// The options, group by group: `llm.max_in_flight` is the row max_in_flight of kLlmFields.
#ifndef POSTGEN_SRC_REQUEST_OPTION_FIELDS_H_
#define POSTGEN_SRC_REQUEST_OPTION_FIELDS_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "postgen/error.h"
#include "postgen/options.h"
#include "request/field.h"
#include "request/json_value.h"
#include "request/text_check.h"

namespace postgen {

inline constexpr std::int64_t kMaxTimeoutMs = 24LL * 60 * 60 * 1000;
inline constexpr std::int64_t kMaxTtlSeconds = 10LL * 365 * 24 * 60 * 60;

// One of llm.endpoints.
inline constexpr auto kEndpointFields = std::to_array<Field<LlmEndpoint>>({
    {&LlmEndpoint::base_url, {.name = "base_url", .check = BaseUrl}},
    {&LlmEndpoint::api_key, {.name = "api_key", .check = ApiKey}},
    {&LlmEndpoint::models, {.name = "models", .check = ModelName}},
    {&LlmEndpoint::headers, {.name = "headers", .check = HeaderValue, .check_name = HeaderName}},
    {&LlmEndpoint::query, {.name = "query", .check = PlainText, .check_name = PlainText}},
    {&LlmEndpoint::auth, {.name = "auth"}},
});

// The whole list; an error names `llm.endpoints[1].base_url`.
Status ReadEndpoints(const JsonValue& value, LlmOptions* llm);

inline constexpr auto kLlmFields = std::to_array<Field<LlmOptions>>({
    {&LlmOptions::provider,
     {.name = "provider",
      .doc = "openai: any OpenAI-compatible server; template: the offline writer.",
      .check = Provider}},
    {&LlmOptions::base_url,
     {.name = "base_url",
      .doc = "URL of the API up to and without /chat/completions.",
      .check = BaseUrl}},
    {&LlmOptions::api_key, {.name = "api_key", .doc = "Key of the API.", .check = ApiKey}},
    {&LlmOptions::allow_insecure_http,
     {.name = "allow_insecure_http", .doc = "Allow http: URLs beyond loopback."}},
    {ReadObject<LlmOptions>(&ReadEndpoints),
     {.name = "endpoints",
      .doc = "Several providers or keys, in order of preference, in place of base_url, api_key, "
             "headers, query and auth: [{base_url, api_key, models, headers, query, auth}]; "
             "without models: for all of them.",
      .array = true}},
    {&LlmOptions::headers,
     {.name = "headers",
      .doc = "Further request headers.",
      .check = HeaderValue,
      .check_name = HeaderName}},
    {&LlmOptions::query,
     {.name = "query",
      .doc = "Query parameters added to every URL.",
      .check = PlainText,
      .check_name = PlainText}},
    {&LlmOptions::auth,
     {.name = "auth", .doc = "Send the key as Authorization: Bearer or as an api-key header."}},
    {&LlmOptions::proxy,
     {.name = "proxy",
      .doc = "URL of a proxy. Empty: none; the environment is not read.",
      .check = ProxyUrl}},
    {&LlmOptions::ca_file,
     {.name = "ca_file",
      .doc = "File of CA certificates. Empty: those of the system.",
      .check = PlainText}},
    {&LlmOptions::http_version, {.name = "http_version", .doc = "HTTP version to use."}},
    {&LlmOptions::default_model,
     {.name = "default_model",
      .doc = "Model where neither request nor profile names one.",
      .max = 200,
      .check = ModelName}},
    {&LlmOptions::fallback_models,
     {.name = "fallback_models",
      .doc = "Models to try in this order when one is refused, unavailable or overloaded.",
      .check = ModelName}},
    {&LlmOptions::temperature,
     {.name = "temperature",
      .doc = "Sampling temperature; left out where a model refuses it.",
      .min = 0,
      .max = 2}},
    {&LlmOptions::use_kol_temperature,
     {.name = "use_kol_temperature", .doc = "The temperature of the KOL's profile goes first."}},
    {&LlmOptions::use_kol_max_tokens,
     {.name = "use_kol_max_tokens", .doc = "The token limit of the KOL's profile goes first."}},
    {&LlmOptions::max_tokens,
     {.name = "max_tokens",
      .doc = "Most tokens of one completion. Default: derived from max_words.",
      .min = 1,
      .max = 1000000}},
    {&LlmOptions::token_param,
     {.name = "token_param", .doc = "Name of the request parameter that limits the tokens."}},
    {&LlmOptions::stream, {.name = "stream", .doc = "Stream completions. auto: when it helps."}},
    {&LlmOptions::max_in_flight,
     {.name = "max_in_flight", .doc = "Calls at once over all posts.", .min = 1, .max = 100000}},
    {&LlmOptions::connect_timeout_ms,
     {.name = "connect_timeout_ms",
      .doc = "Name resolution, connection and TLS handshake.",
      .min = 1,
      .max = kMaxTimeoutMs}},
    {&LlmOptions::first_token_timeout_ms,
     {.name = "first_token_timeout_ms",
      .doc = "Until the first text of a stream.",
      .min = 1,
      .max = kMaxTimeoutMs}},
    {&LlmOptions::idle_timeout_ms,
     {.name = "idle_timeout_ms",
      .doc = "Between two texts of a stream.",
      .min = 1,
      .max = kMaxTimeoutMs}},
    {&LlmOptions::attempt_timeout_ms,
     {.name = "attempt_timeout_ms", .doc = "One try as a whole.", .min = 1, .max = kMaxTimeoutMs}},
    {&LlmOptions::max_attempts,
     {.name = "max_attempts", .doc = "Tries for one version.", .min = 1, .max = 20}},
    {&LlmOptions::max_reply_bytes,
     {.name = "max_reply_bytes",
      .doc = "Greatest reply that is read.",
      .min = 1024,
      .max = 1024LL * 1024 * 1024}},
    {&LlmOptions::hedge,
     {.name = "hedge",
      .doc = "A second call when the first token of a stream is late: at most 3 % extra calls, off "
             "while errors are up."}},
    {&LlmOptions::early_stop,
     {.name = "early_stop",
      .doc = "End a stream at the end of the sentence that passes max_words."}},
    {&LlmOptions::rpm,
     {.name = "rpm",
      .doc = "Requests a minute to an endpoint. Default: as its headers tell.",
      .min = 1,
      .max = 1000000000}},
    {&LlmOptions::tpm,
     {.name = "tpm",
      .doc = "Tokens a minute to an endpoint. Default: as its headers tell.",
      .min = 1,
      .max = 1000000000000}},
    {&LlmOptions::on_failure,
     {.name = "on_failure",
      .doc = "A version that failed is reported, or filled by the offline writer and marked."}},
    {&LlmOptions::prices,
     {.name = "prices",
      .doc = "USD per 1M tokens by model, before the built-in table: "
             "{model: {input, cached_input, output}}.",
      .check_name = PlainText}},
});

inline constexpr auto kPromptFields = std::to_array<Field<PromptOptions>>({
    {&PromptOptions::dir,
     {.name = "dir",
      .doc = "Folder of prompt templates. Empty: the built-in ones.",
      .check = PlainText}},
});

inline constexpr auto kCacheFields = std::to_array<Field<CacheOptions>>({
    {&CacheOptions::url,
     {.name = "url",
      .doc = "redis://[:password@]host[:port][/database] with memory in front, memory: or none:",
      .check = CacheUrl}},
    {&CacheOptions::ttl_s,
     {.name = "ttl_s",
      .doc = "How long a text may be reused. 0: not at all.",
      .min = 0,
      .max = kMaxTtlSeconds,
      .clamp_max = true}},
    {&CacheOptions::max_bytes,
     {.name = "max_bytes", .doc = "Memory that the cache may take.", .min = 1, .max = 1LL << 40}},
    {&CacheOptions::scope,
     {.name = "scope",
      .doc = "Who shares cached texts. Empty: users of the same API key.",
      .max = 200}},
});

inline constexpr auto kSharedFields = std::to_array<Field<SharedOptions>>({
    {&SharedOptions::url,
     {.name = "url",
      .doc = "redis://[:password@]host[:port][/database] where processes on one API key share "
             "their rate limits, calls in flight and budget. Empty: each has its own.",
      .check = SharedUrl}},
});

inline constexpr auto kStoreFields = std::to_array<Field<StoreOptions>>({
    {&StoreOptions::url,
     {.name = "url",
      .doc = "postgresql://..., postgres://..., sqlite:FILE, memory: or none:",
      .check = StoreUrl}},
    {&StoreOptions::pool_min,
     {.name = "pool_min", .doc = "Connections kept open.", .min = 0, .max = 1000}},
    {&StoreOptions::pool_max,
     {.name = "pool_max", .doc = "Connections at most.", .min = 1, .max = 1000}},
    {&StoreOptions::spool,
     {.name = "spool",
      .doc = "Folder where finished texts wait while the store is away. Empty: "
             "~/.local/state/postgen/spool for PostgreSQL, none for others. none: is nowhere.",
      .check = PlainText}},
    {&StoreOptions::spool_max_bytes,
     {.name = "spool_max_bytes",
      .doc = "Waiting texts at most; while the store is away, further posts are refused as busy.",
      .min = 65536,
      .max = 1LL << 40}},
    {&StoreOptions::journal,
     {.name = "journal",
      .doc = "What is made durable at once where there is a spool: each finished version, or the "
             "post when it is finished."}},
});

inline constexpr auto kProfilesFields = std::to_array<Field<ProfileOptions>>({
    {&ProfileOptions::url,
     {.name = "url",
      .doc = "Where the KOLs' profiles are: as store.url, or file:FILE. Empty: in the store.",
      .check = ProfilesUrl}},
    {&ProfileOptions::ttl_s,
     {.name = "ttl_s",
      .doc = "How long a profile may be reused.",
      .min = 0,
      .max = kMaxTtlSeconds,
      .clamp_max = true}},
});

// What stands outside the groups.
inline constexpr auto kGeneralFields = std::to_array<Field<Options>>({
    {&Options::default_deadline_ms,
     {.name = "default_deadline_ms",
      .doc = "When a reply is due unless its request says.",
      .min = 100,
      .max = 600000}},
    {&Options::max_pending_posts,
     {.name = "max_pending_posts",
      .doc = "Posts at once; further ones are refused as busy.",
      .min = 1,
      .max = 1000000}},
    {&Options::choice,
     {.name = "choice", .doc = "Which version becomes the post.", .later_value = "best"}},
    {&Options::require_kol,
     {.name = "require_kol", .doc = "Refuse posts of a KOL without a profile."}},
    {&Options::budget_usd_per_day,
     {.name = "budget_usd_per_day",
      .doc = "USD that posts may cost in a UTC day; a post that might pass it is refused. Needs "
             "shared.url or a store that lasts.",
      .min = 0,
      .max = 1000000000}},
});

// Calls visit(name, member, fields) for each group; the member is where Options holds it.
template <typename Visitor>
void ForEachOptionGroup(Visitor visit) {
  visit("llm", &Options::llm, kLlmFields);
  visit("prompts", &Options::prompts, kPromptFields);
  visit("cache", &Options::cache, kCacheFields);
  visit("shared", &Options::shared, kSharedFields);
  visit("store", &Options::store, kStoreFields);
  visit("profiles", &Options::profiles, kProfilesFields);
}

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_OPTION_FIELDS_H_
