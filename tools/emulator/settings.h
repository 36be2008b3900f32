// What can be changed while the emulator runs: latency, text, protocol, limits, faults. One table
// (settings.cc) gives each setting its flag, its bounds and its key in POST /config, which is the
// flag with underscores.
#ifndef POSTGEN_EMULATOR_SETTINGS_H_
#define POSTGEN_EMULATOR_SETTINGS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "faults.h"

namespace emulator {

class JsonWriter;

// How a reply lays out title and body; the names are those of --shape.
enum class Shape {
  kLabels,      // 標題：... and 內容：... on lines of their own
  kBold,        // labels in Markdown bold
  kFence,       // labels inside a code fence
  kPreamble,    // a sentence before the labels
  kOneLine,     // both labels on one line
  kBodyFirst,   // the body before the title
  kSimplified,  // labels in simplified characters
  kBrackets,    // square brackets around title and body
  kNoLabels,    // title line, then the body
  kTitleOnly,   // no body
  kBodyOnly,    // no title, no labels
  kMixed,       // one of the above for each request
};

// What happens to a call above --concurrency.
enum class OverConcurrency { kQueue, k429, k503 };

// Where a stream reports usage when it is asked for.
enum class UsageStyle {
  kFinalChunk,   // a chunk of its own with empty choices
  kFinishChunk,  // on the chunk that carries finish_reason
  kEveryChunk,   // a running count on every chunk
  kXGroq,        // in an x_groq object on the finish chunk
};

struct ModelSpeed {
  double ttft_ms = 0;
  double tokens_per_s = 0;
};

struct Settings {
  // Latency.
  std::int64_t seed = 1;
  double ttft_ms = 400;
  double ttft_sigma = 0;
  double tokens_per_s = 80;  // 0: all tokens at once
  double rate_sigma = 0;
  double straggler_share = 0;
  double straggler_factor = 5;
  double slow_rate_share = 0;
  double slow_rate_factor = 4;
  double fixed_ms = 0;  // 0: off
  bool fixed_spread = false;
  double time_scale = 1;
  double error_ms = 0;
  double abort_lag_ms = 0;
  std::int64_t tokens_per_chunk = 1;
  std::map<std::string, ModelSpeed> model_speeds;

  // Text.
  double length_factor = 1;
  Shape shape = Shape::kLabels;
  std::int64_t reasoning_tokens = 128;

  // Protocol.
  std::string api_key;  // empty: any key will do
  bool only_max_tokens = false;
  std::set<std::string> unknown_models;
  UsageStyle usage_style = UsageStyle::kFinalChunk;
  bool escape_unicode = false;
  bool no_limit_headers = false;
  std::int64_t idle_close_ms = 0;  // 0: idle connections stay open

  // Limits; 0: none.
  std::int64_t rpm = 0;
  std::int64_t tpm = 0;
  double burst_s = 60;
  bool settle = false;
  bool drain_on_refusal = false;
  std::int64_t concurrency = 0;
  OverConcurrency over_concurrency = OverConcurrency::kQueue;

  // Faults and records.
  std::vector<FaultRule> faults;
  bool record_prompts = false;
};

// Sets the setting called `flag` (without the dashes) from text. False, with a one-line reason in
// *error that names the flag and its bound, if there is no such setting or the value is not
// allowed.
bool ApplySetting(std::string_view flag, std::string_view value, Settings* settings,
                  std::string* error);

// True if `flag` is a switch, which needs no value on the command line.
bool IsSwitch(std::string_view flag);
bool IsSetting(std::string_view flag);

// Empties a setting that holds a list, so that a new list can replace it. No effect on others.
void ClearListSetting(std::string_view flag, Settings* settings);

// Applies a JSON object of settings, all or none. Takes numbers, strings, booleans, and arrays of
// strings for lists. False, with a one-line reason, leaves *settings as it was.
bool ApplyJsonSettings(std::string_view json, Settings* settings, std::string* error);

// Every setting but the key, as a JSON object that ApplyJsonSettings takes.
void WriteSettings(const Settings& settings, JsonWriter& json);

// One line a setting for --help.
std::string SettingsHelp();

// Parses all of `text` as a number in [low, high]. Messages are for `flag`.
bool ParseNumber(std::string_view flag, std::string_view text, double low, double high,
                 double* number, std::string* error);
bool ParseInteger(std::string_view flag, std::string_view text, std::int64_t low, std::int64_t high,
                  std::int64_t* number, std::string* error);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_SETTINGS_H_
