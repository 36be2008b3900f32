#include "settings.h"

#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <variant>

#include "json_writer.h"
#include "numbers.h"

namespace emulator {
namespace {

struct NumberField {
  double Settings::*member;
  double low;
  double high;
};

struct IntegerField {
  std::int64_t Settings::*member;
  std::int64_t low;
  std::int64_t high;
};

struct SwitchField {
  bool Settings::*member;
};

struct ChoiceField {
  std::span<const std::string_view> names;
  std::size_t (*get)(const Settings&);
  void (*set)(Settings&, std::size_t);
};

// A repeatable setting with a syntax of its own. `write` gives back texts that `add` takes.
struct ListField {
  std::string_view syntax;
  bool (*add)(std::string_view text, Settings&, std::string* error);
  void (*clear)(Settings&);
  void (*write)(const Settings&, JsonWriter&);
};

// Never written back.
struct SecretField {
  std::string Settings::*member;
};

using Field =
    std::variant<NumberField, IntegerField, SwitchField, ChoiceField, ListField, SecretField>;

struct Spec {
  std::string_view group;
  std::string_view name;
  Field field;
  std::string_view help;
};

constexpr std::string_view kShapes[] = {"labels",    "bold",       "fence",      "preamble",
                                        "one_line",  "body_first", "simplified", "brackets",
                                        "no_labels", "title_only", "body_only",  "mixed"};
constexpr std::string_view kOverConcurrency[] = {"queue", "429", "503"};
constexpr std::string_view kUsageStyles[] = {"final_chunk", "finish_chunk", "every_chunk",
                                             "x_groq"};

template <typename Enum, Enum Settings::*kMember>
constexpr ChoiceField Choice(std::span<const std::string_view> names) {
  return {names, [](const Settings& s) { return static_cast<std::size_t>(s.*kMember); },
          [](Settings& s, std::size_t i) { s.*kMember = static_cast<Enum>(i); }};
}

bool AddModelSpeed(std::string_view text, Settings& settings, std::string* error) {
  std::size_t equals = text.rfind('=');
  std::size_t comma = text.rfind(',');
  if (equals != std::string_view::npos && equals > 0 && comma != std::string_view::npos &&
      comma > equals) {
    auto ttft = ToNumber<double>(text.substr(equals + 1, comma - equals - 1));
    auto rate = ToNumber<double>(text.substr(comma + 1));
    if (ttft && rate && *ttft >= 0 && *ttft <= 600'000 && *rate >= 0 && *rate <= 1e6) {
      settings.model_speeds[std::string(text.substr(0, equals))] = {*ttft, *rate};
      return true;
    }
  }
  *error = "--model-speed must be MODEL=TTFT_MS,TOKENS_PER_S with 0..600000 and 0..1000000, not '" +
           std::string(text) + "'";
  return false;
}

bool AddFault(std::string_view text, Settings& settings, std::string* error) {
  std::optional<FaultRule> rule = ParseFaultRule(text, error);
  if (!rule) {
    *error = "--fail: " + *error;
    return false;
  }
  settings.faults.push_back(*std::move(rule));
  return true;
}

bool AddUnknownModel(std::string_view text, Settings& settings, std::string* error) {
  if (text.empty()) {
    *error = "--unknown-model-404 must name a model";
    return false;
  }
  settings.unknown_models.emplace(text);
  return true;
}

const ListField kModelSpeedField = {
    "MODEL=TTFT_MS,TOKENS_PER_S", AddModelSpeed, [](Settings& s) { s.model_speeds.clear(); },
    [](const Settings& s, JsonWriter& json) {
      for (const auto& [model, speed] : s.model_speeds) {
        json.String(model + "=" + ToText(speed.ttft_ms) + "," + ToText(speed.tokens_per_s));
      }
    }};
const ListField kFaultField = {"KIND[=VALUE][:SHARE|@EVERY|#COUNT]", AddFault,
                               [](Settings& s) { s.faults.clear(); },
                               [](const Settings& s, JsonWriter& json) {
                                 for (const FaultRule& rule : s.faults) json.String(rule.spec);
                               }};
const ListField kUnknownModelField = {"MODEL", AddUnknownModel,
                                      [](Settings& s) { s.unknown_models.clear(); },
                                      [](const Settings& s, JsonWriter& json) {
                                        for (const std::string& model : s.unknown_models)
                                          json.String(model);
                                      }};

constexpr double kTenMinutesMs = 600'000;
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

const Spec kSpecs[] = {
    {"Latency", "seed", IntegerField{&Settings::seed, 0, kMaxInt}, "a run with one seed repeats"},
    {"Latency", "ttft-ms", NumberField{&Settings::ttft_ms, 0, kTenMinutesMs},
     "median time to the first token"},
    {"Latency", "ttft-sigma", NumberField{&Settings::ttft_sigma, 0, 3},
     "lognormal spread of the time to the first token"},
    {"Latency", "tokens-per-s", NumberField{&Settings::tokens_per_s, 0, 1e6},
     "median rate after the first token; 0 sends all at once"},
    {"Latency", "rate-sigma", NumberField{&Settings::rate_sigma, 0, 3},
     "lognormal spread of the rate"},
    {"Latency", "straggler-share", NumberField{&Settings::straggler_share, 0, 1},
     "share of calls whose first token is late"},
    {"Latency", "straggler-factor", NumberField{&Settings::straggler_factor, 1, 1000},
     "how many times later"},
    {"Latency", "slow-rate-share", NumberField{&Settings::slow_rate_share, 0, 1},
     "share of calls with a low rate"},
    {"Latency", "slow-rate-factor", NumberField{&Settings::slow_rate_factor, 1, 1000},
     "how many times lower"},
    {"Latency", "fixed-ms", NumberField{&Settings::fixed_ms, 0, kTenMinutesMs},
     "a call takes exactly this long, whatever its length; 0 is off"},
    {"Latency", "fixed-spread", SwitchField{&Settings::fixed_spread},
     "with --fixed-ms: tokens spread evenly over it instead of all at its end"},
    {"Latency", "time-scale", NumberField{&Settings::time_scale, 0.001, 100'000},
     "divides all latencies (not the limits)"},
    {"Latency", "tokens-per-chunk", IntegerField{&Settings::tokens_per_chunk, 1, 10'000},
     "tokens in one delta after the first, which carries one"},
    {"Latency", "model-speed", kModelSpeedField, "another median for one model; repeatable"},
    {"Latency", "error-ms", NumberField{&Settings::error_ms, 0, kTenMinutesMs},
     "time to an error reply"},
    {"Latency", "abort-lag-ms", NumberField{&Settings::abort_lag_ms, 0, kTenMinutesMs},
     "generation goes on, and is counted, so long after the client has left"},

    {"Text", "length-factor", NumberField{&Settings::length_factor, 0.05, 20},
     "length of the body relative to the prompt's limit; 1 keeps to 75-98 % of it"},
    {"Text", "shape", Choice<Shape, &Settings::shape>(kShapes), "layout of the reply"},
    {"Text", "reasoning-tokens", IntegerField{&Settings::reasoning_tokens, 0, 1'000'000},
     "hidden tokens of the o1, o3, o4 and gpt-5 families"},

    {"Protocol", "api-key", SecretField{&Settings::api_key}, "the only key that is let in"},
    {"Protocol", "only-max-tokens", SwitchField{&Settings::only_max_tokens},
     "refuse max_completion_tokens, as older servers do"},
    {"Protocol", "unknown-model-404", kUnknownModelField, "404 for this model; repeatable"},
    {"Protocol", "usage-style", Choice<UsageStyle, &Settings::usage_style>(kUsageStyles),
     "where a stream reports usage"},
    {"Protocol", "escape-unicode", SwitchField{&Settings::escape_unicode},
     "write text as \\uXXXX instead of UTF-8"},
    {"Protocol", "no-limit-headers", SwitchField{&Settings::no_limit_headers},
     "no x-ratelimit headers although limits are on"},
    {"Protocol", "idle-close-ms", IntegerField{&Settings::idle_close_ms, 0, 86'400'000},
     "close a connection idle for so long; 0 is never"},

    {"Limits", "rpm", IntegerField{&Settings::rpm, 0, 1'000'000'000}, "requests a minute; 0: none"},
    {"Limits", "tpm", IntegerField{&Settings::tpm, 0, 1'000'000'000'000},
     "tokens a minute, reserved at accept; 0: none"},
    {"Limits", "burst-s", NumberField{&Settings::burst_s, 0.001, 3600},
     "size of both buckets in seconds of their rate"},
    {"Limits", "settle", SwitchField{&Settings::settle},
     "give back reserved tokens that a call did not use"},
    {"Limits", "drain-on-refusal", SwitchField{&Settings::drain_on_refusal},
     "a refused call takes what is left of the request bucket"},
    {"Limits", "concurrency", IntegerField{&Settings::concurrency, 0, 1'000'000},
     "calls served at a time; 0: no limit"},
    {"Limits", "over-concurrency",
     Choice<OverConcurrency, &Settings::over_concurrency>(kOverConcurrency),
     "what happens to calls above it"},

    {"Faults and records", "fail", kFaultField, "a fault for some calls; repeatable"},
    {"Faults and records", "record-prompts", SwitchField{&Settings::record_prompts},
     "keep whole prompts and answers in the ledger"},
};

const Spec* FindSpec(std::string_view name) {
  auto spec = std::find_if(std::begin(kSpecs), std::end(kSpecs),
                           [&](const Spec& s) { return s.name == name; });
  return spec == std::end(kSpecs) ? nullptr : &*spec;
}

std::string Joined(std::span<const std::string_view> names) {
  std::string joined;
  for (std::string_view name : names) {
    if (!joined.empty()) joined += "|";
    joined += name;
  }
  return joined;
}

// Sets one field from text.
struct Setter {
  std::string_view flag;
  std::string_view value;
  Settings* settings;
  std::string* error;

  bool operator()(const NumberField& field) const {
    return ParseNumber(flag, value, field.low, field.high, &(settings->*field.member), error);
  }
  bool operator()(const IntegerField& field) const {
    return ParseInteger(flag, value, field.low, field.high, &(settings->*field.member), error);
  }
  bool operator()(const SwitchField& field) const {
    if (value != "true" && value != "false") return Refuse("true or false");
    settings->*field.member = value == "true";
    return true;
  }
  bool operator()(const ChoiceField& field) const {
    auto name = std::find(field.names.begin(), field.names.end(), value);
    if (name == field.names.end()) return Refuse("one of " + Joined(field.names));
    field.set(*settings, static_cast<std::size_t>(name - field.names.begin()));
    return true;
  }
  bool operator()(const ListField& field) const { return field.add(value, *settings, error); }
  bool operator()(const SecretField& field) const {
    settings->*field.member = value;
    return true;
  }
  bool Refuse(const std::string& bound) const {
    *error = "--" + std::string(flag) + " must be " + bound + ", not '" + std::string(value) + "'";
    return false;
  }
};

std::string KeyOf(std::string_view flag) {
  std::string key(flag);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

// The text of a JSON scalar as a flag's value would be written.
std::optional<std::string> ScalarText(simdjson::dom::element value) {
  switch (value.type()) {
    case simdjson::dom::element_type::STRING: return std::string(std::string_view(value));
    case simdjson::dom::element_type::BOOL: return bool(value) ? "true" : "false";
    case simdjson::dom::element_type::INT64:
    case simdjson::dom::element_type::UINT64:
    case simdjson::dom::element_type::DOUBLE: return simdjson::minify(value);
    default: return std::nullopt;
  }
}

bool ApplyJsonField(std::string_view key, simdjson::dom::element value, Settings* settings,
                    std::string* error) {
  std::string flag(key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  if (!IsSetting(flag)) {
    *error = "unknown setting '" + std::string(key) + "'";
    return false;
  }
  ClearListSetting(flag, settings);
  simdjson::dom::array items;
  if (value.get(items) == simdjson::SUCCESS) {
    if (!std::holds_alternative<ListField>(FindSpec(flag)->field)) {
      *error = "'" + std::string(key) + "' takes one value, not a list";
      return false;
    }
    for (simdjson::dom::element item : items) {
      std::optional<std::string> text = ScalarText(item);
      if (!text) {
        *error = "'" + std::string(key) + "' takes a list of strings";
        return false;
      }
      if (!ApplySetting(flag, *text, settings, error)) return false;
    }
    return true;
  }
  std::optional<std::string> text = ScalarText(value);
  if (!text) {
    *error = "'" + std::string(key) + "' takes a number, a string or true/false";
    return false;
  }
  return ApplySetting(flag, *text, settings, error);
}

}  // namespace

bool ParseNumber(std::string_view flag, std::string_view text, double low, double high,
                 double* number, std::string* error) {
  std::optional<double> parsed = ToNumber<double>(text);
  if (parsed && *parsed >= low && *parsed <= high) {
    *number = *parsed;
    return true;
  }
  *error = "--" + std::string(flag) + " must be a number from " + ToText(low) + " to " +
           ToText(high) + ", not '" + std::string(text) + "'";
  return false;
}

bool ParseInteger(std::string_view flag, std::string_view text, std::int64_t low, std::int64_t high,
                  std::int64_t* number, std::string* error) {
  std::optional<std::int64_t> parsed = ToNumber<std::int64_t>(text);
  if (parsed && *parsed >= low && *parsed <= high) {
    *number = *parsed;
    return true;
  }
  *error = "--" + std::string(flag) + " must be a whole number from " + ToText(low) + " to " +
           ToText(high) + ", not '" + std::string(text) + "'";
  return false;
}

bool IsSetting(std::string_view flag) { return FindSpec(flag) != nullptr; }

bool IsSwitch(std::string_view flag) {
  const Spec* spec = FindSpec(flag);
  return spec != nullptr && std::holds_alternative<SwitchField>(spec->field);
}

bool ApplySetting(std::string_view flag, std::string_view value, Settings* settings,
                  std::string* error) {
  const Spec* spec = FindSpec(flag);
  if (spec == nullptr) {
    *error = "unknown flag --" + std::string(flag);
    return false;
  }
  return std::visit(Setter{flag, value, settings, error}, spec->field);
}

void ClearListSetting(std::string_view flag, Settings* settings) {
  const Spec* spec = FindSpec(flag);
  if (spec == nullptr) return;
  if (const auto* list = std::get_if<ListField>(&spec->field)) list->clear(*settings);
}

bool ApplyJsonSettings(std::string_view json, Settings* settings, std::string* error) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
    *error = "the body must be a JSON object";
    return false;
  }
  Settings changed = *settings;
  for (simdjson::dom::key_value_pair field : object) {
    if (!ApplyJsonField(field.key, field.value, &changed, error)) return false;
  }
  *settings = std::move(changed);
  return true;
}

void WriteSettings(const Settings& settings, JsonWriter& json) {
  json.BeginObject();
  for (const Spec& spec : kSpecs) {
    if (std::holds_alternative<SecretField>(spec.field)) continue;
    json.Key(KeyOf(spec.name));
    if (const auto* number = std::get_if<NumberField>(&spec.field)) {
      json.Double(settings.*number->member);
    } else if (const auto* integer = std::get_if<IntegerField>(&spec.field)) {
      json.Int(settings.*integer->member);
    } else if (const auto* flag = std::get_if<SwitchField>(&spec.field)) {
      json.Bool(settings.*flag->member);
    } else if (const auto* choice = std::get_if<ChoiceField>(&spec.field)) {
      json.String(choice->names[choice->get(settings)]);
    } else if (const auto* list = std::get_if<ListField>(&spec.field)) {
      json.BeginArray();
      list->write(settings, json);
      json.EndArray();
    }
  }
  json.EndObject();
}

std::string SettingsHelp() {
  constexpr std::size_t kColumn = 30;
  const Settings defaults;
  std::string help;
  std::string_view group;
  for (const Spec& spec : kSpecs) {
    if (spec.group != group) {
      group = spec.group;
      help += "\n" + std::string(group) + ":\n";
    }
    std::string line = "  --" + std::string(spec.name);
    std::string preset;
    if (const auto* number = std::get_if<NumberField>(&spec.field)) {
      line += " N";
      preset = " (" + ToText(defaults.*number->member) + ")";
    } else if (const auto* integer = std::get_if<IntegerField>(&spec.field)) {
      line += " N";
      preset = " (" + ToText(defaults.*integer->member) + ")";
    } else if (const auto* choice = std::get_if<ChoiceField>(&spec.field)) {
      line += " NAME";
      preset = ": " + Joined(choice->names) + " (" +
               std::string(choice->names[choice->get(defaults)]) + ")";
    } else if (const auto* list = std::get_if<ListField>(&spec.field)) {
      line += " " + std::string(list->syntax);
    } else if (std::holds_alternative<SecretField>(spec.field)) {
      line += " KEY";
    }
    line.resize(std::max(line.size() + 2, kColumn), ' ');
    help.append(line).append(spec.help).append(preset).append("\n");
  }
  return help;
}

}  // namespace emulator
