// The words that documents use for enumerations.
#ifndef POSTGEN_SRC_REQUEST_ENUM_NAMES_H_
#define POSTGEN_SRC_REQUEST_ENUM_NAMES_H_

#include <array>
#include <string_view>

#include "postgen/generator.h"
#include "postgen/observer.h"
#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

template <typename E>
struct EnumName {
  std::string_view name;
  E value;
};

template <typename E>
struct EnumNames;

template <>
struct EnumNames<CacheMode> {
  static constexpr std::array<EnumName<CacheMode>, 3> kAll = {{
      {"use", CacheMode::kUse},
      {"refresh", CacheMode::kRefresh},
      {"bypass", CacheMode::kBypass},
  }};
};

template <>
struct EnumNames<AuthScheme> {
  static constexpr std::array<EnumName<AuthScheme>, 2> kAll = {{
      {"bearer", AuthScheme::kBearer},
      {"api-key", AuthScheme::kApiKey},
  }};
};

template <>
struct EnumNames<HttpVersion> {
  static constexpr std::array<EnumName<HttpVersion>, 3> kAll = {{
      {"auto", HttpVersion::kAuto},
      {"1.1", HttpVersion::kHttp1},
      {"2", HttpVersion::kHttp2},
  }};
};

template <>
struct EnumNames<HedgeMode> {
  static constexpr std::array<EnumName<HedgeMode>, 2> kAll = {{
      {"auto", HedgeMode::kAuto},
      {"off", HedgeMode::kOff},
  }};
};

template <>
struct EnumNames<TokenParam> {
  static constexpr std::array<EnumName<TokenParam>, 3> kAll = {{
      {"auto", TokenParam::kAuto},
      {"max_tokens", TokenParam::kMaxTokens},
      {"max_completion_tokens", TokenParam::kMaxCompletionTokens},
  }};
};

// The JSON values true and false serve as these words.
template <>
struct EnumNames<StreamMode> {
  static constexpr std::array<EnumName<StreamMode>, 3> kAll = {{
      {"auto", StreamMode::kAuto},
      {"true", StreamMode::kAlways},
      {"false", StreamMode::kNever},
  }};
};

template <>
struct EnumNames<Journal> {
  static constexpr std::array<EnumName<Journal>, 2> kAll = {{
      {"version", Journal::kVersion},
      {"post", Journal::kPost},
  }};
};

template <>
struct EnumNames<OnFailure> {
  static constexpr std::array<EnumName<OnFailure>, 2> kAll = {{
      {"error", OnFailure::kError},
      {"template", OnFailure::kTemplate},
  }};
};

template <>
struct EnumNames<Choice> {
  static constexpr std::array<EnumName<Choice>, 1> kAll = {{{"random", Choice::kRandom}}};
};

template <>
struct EnumNames<Source> {
  static constexpr std::array<EnumName<Source>, 4> kAll = {{
      {"llm", Source::kLlm},
      {"cache", Source::kCache},
      {"template", Source::kTemplate},
      {"manual", Source::kManual},
  }};
};

template <>
struct EnumNames<UsageKind> {
  static constexpr std::array<EnumName<UsageKind>, 3> kAll = {{
      {"unknown", UsageKind::kUnknown},
      {"estimated", UsageKind::kEstimated},
      {"exact", UsageKind::kExact},
  }};
};

template <>
struct EnumNames<Stored> {
  static constexpr std::array<EnumName<Stored>, 3> kAll = {{
      {"not_requested", Stored::kNotRequested},
      {"stored", Stored::kStored},
      {"spooled", Stored::kSpooled},
  }};
};

template <>
struct EnumNames<Event::Type> {
  static constexpr std::array<EnumName<Event::Type>, 6> kAll = {{
      {"version_started", Event::Type::kVersionStarted},
      {"delta", Event::Type::kDelta},
      {"version_done", Event::Type::kVersionDone},
      {"version_reset", Event::Type::kVersionReset},
      {"post", Event::Type::kPost},
      {"error", Event::Type::kError},
  }};
};

template <>
struct EnumNames<Event::Part> {
  static constexpr std::array<EnumName<Event::Part>, 2> kAll = {{
      {"title", Event::Part::kTitle},
      {"content", Event::Part::kContent},
  }};
};

template <>
struct EnumNames<Diagnosis::Level> {
  static constexpr std::array<EnumName<Diagnosis::Level>, 3> kAll = {{
      {"ok", Diagnosis::Level::kOk},
      {"warning", Diagnosis::Level::kWarning},
      {"error", Diagnosis::Level::kError},
  }};
};

// Empty: `value` has no name (kNone, or a number that is no enumerator).
template <typename E>
constexpr std::string_view NameOf(E value) {
  for (const EnumName<E>& entry : EnumNames<E>::kAll) {
    if (entry.value == value) return entry.name;
  }
  return {};
}

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_ENUM_NAMES_H_
