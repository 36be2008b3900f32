// Options of one generator. Plain values with their defaults; the same keys, nested the same way,
// form the JSON and TOML documents (`llm.max_in_flight` is Options::llm.max_in_flight, and
// --llm-max-in-flight on the command line). Nothing here is read from the environment.
// PostGenerator::Create() checks every bound.
//
// Units are in the names: _ms, _s, _bytes, _tokens, _usd.
#ifndef POSTGEN_OPTIONS_H_
#define POSTGEN_OPTIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace postgen {

// USD per one million tokens.
struct ModelPrice {
  double input = 0;
  double cached_input = 0;
  double output = 0;
  friend bool operator==(const ModelPrice&, const ModelPrice&) = default;
};

enum class StreamMode { kAuto, kAlways, kNever };  // "auto", true, false
enum class TokenParam { kAuto, kMaxTokens, kMaxCompletionTokens };
enum class HedgeMode { kAuto, kOff };
enum class OnFailure { kError, kTemplate };
enum class AuthScheme { kBearer, kApiKey };
enum class HttpVersion { kAuto, kHttp1, kHttp2 };  // "auto", "1.1", "2"
enum class Choice { kRandom };
enum class Journal { kVersion, kPost };

// One provider, or one key of it.
struct LlmEndpoint {
  std::string base_url;             // required
  std::string api_key;              // required; as LlmOptions::api_key
  std::vector<std::string> models;  // that it serves; empty: all
  std::map<std::string, std::string> headers;
  std::map<std::string, std::string> query;
  AuthScheme auth = AuthScheme::kBearer;
};

struct LlmOptions {
  // "openai": any OpenAI-compatible server. "template": the offline writer, whose texts are marked
  // as such.
  std::string provider = "openai";
  std::string base_url = "https://api.openai.com/v1";
  std::string api_key;  // outer white space is trimmed, control characters inside are refused
  bool allow_insecure_http = false;  // http: beyond loopback
  std::map<std::string, std::string> headers;
  std::map<std::string, std::string> query;
  AuthScheme auth = AuthScheme::kBearer;  // "bearer" or "api-key"
  // In order of preference. Not empty: in place of base_url, api_key, headers, query and auth
  // above.
  std::vector<LlmEndpoint> endpoints;
  std::string proxy;    // empty: none; never taken from the environment
  std::string ca_file;  // empty: the system's
  HttpVersion http_version = HttpVersion::kAuto;

  std::string default_model = "gpt-4o-mini";
  // Tried in this order when a model is refused, unavailable or overloaded.
  std::vector<std::string> fallback_models;
  double temperature = 1.0;                // 0..2; left out where a model refuses it
  bool use_kol_temperature = false;        // the profile's model_temp wins
  std::optional<std::int64_t> max_tokens;  // absent: derived from max_words
  bool use_kol_max_tokens = false;         // the profile's max_tokens wins
  TokenParam token_param = TokenParam::kAuto;
  // auto: where the caller takes text as it comes, and where early_stop or hedge may shorten a
  // post.
  StreamMode stream = StreamMode::kAuto;
  // A second call for a text whose first token is late, at most 3 % extra; see
  // docs/architecture.md.
  HedgeMode hedge = HedgeMode::kAuto;
  // Ends a stream at the end of the sentence that passes max_words.
  bool early_stop = true;

  std::int64_t max_in_flight = 256;  // calls at once, over all posts of this generator
  std::int64_t connect_timeout_ms = 5000;
  std::int64_t first_token_timeout_ms = 30000;  // streams only
  std::int64_t idle_timeout_ms = 15000;         // between two payload events of a stream
  std::int64_t attempt_timeout_ms = 60000;
  std::int64_t max_attempts = 4;                     // tries for one version
  std::int64_t max_reply_bytes = 8LL * 1024 * 1024;  // of one reply, wire bytes

  // Requests and tokens a minute to each endpoint; absent: what the server's headers tell.
  std::optional<std::int64_t> rpm;
  std::optional<std::int64_t> tpm;

  OnFailure on_failure = OnFailure::kError;
  std::map<std::string, ModelPrice> prices;  // over the built-in table
};

struct PromptOptions {
  std::string dir;  // empty: built-in templates
};

struct CacheOptions {
  // memory: | none: | redis://[:password@]host[:port][/database], with memory in front
  std::string url = "memory:";
  std::int64_t ttl_s = 3600;  // 0: off
  std::int64_t max_bytes = 64LL * 1024 * 1024;
  std::string scope;  // empty: fingerprint of the API key
};

struct StoreOptions {
  std::string url = "none:";  // postgresql:// | postgres:// | sqlite:FILE | memory: | none:
  std::int64_t pool_min = 10;
  std::int64_t pool_max = 50;
  // Folder where finished texts wait while the store is away. Empty: ~/.local/state/postgen/spool
  // for PostgreSQL, none for other stores. "none:": nowhere.
  std::string spool = {};
  std::int64_t spool_max_bytes = 256LL * 1024 * 1024;  // of waiting texts; beyond: Code::kBusy
  Journal journal = Journal::kVersion;
};

struct ProfileOptions {
  std::string url;  // empty: store.url; also file:kols.json
  std::int64_t ttl_s = 60;
};

struct SharedOptions {
  // redis://[:password@]host[:port][/database]: processes on one API key keep one rate limit and
  // one daily budget; see docs/limits.md. Empty: each has its own.
  std::string url;
};

struct Options {
  LlmOptions llm;
  PromptOptions prompts;
  CacheOptions cache;
  SharedOptions shared;
  StoreOptions store;
  ProfileOptions profiles;

  std::int64_t default_deadline_ms = 120000;
  std::int64_t max_pending_posts = 1000;  // beyond: Code::kBusy at once
  Choice choice = Choice::kRandom;
  bool require_kol = false;
  // What posts may cost in a UTC day; beyond: Code::kBudget before anything is paid. Needs
  // shared.url, or a store that lasts. Absent: no bound.
  std::optional<double> budget_usd_per_day;
};

}  // namespace postgen

#endif  // POSTGEN_OPTIONS_H_
