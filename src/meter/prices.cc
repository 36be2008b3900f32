#include "meter/prices.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "json/json_writer.h"
#include "postgen/json.h"

namespace postgen {
namespace {

// When the prices below, the list prices of the standard tier, were last looked up: renew both
// together.
constexpr std::string_view kAsOf = "2026-06-21";

struct Row {
  std::string_view model;
  ModelPrice price;
};

// A dated name needs a row only where its price is not the one of its model.
constexpr Row kRows[] = {
    {"gpt-4o-mini", {0.15, 0.075, 0.60}},
    {"gpt-4o", {2.50, 1.25, 10.00}},
    {"gpt-4o-2024-05-13", {5.00, 5.00, 15.00}},
    {"gpt-4.1", {2.00, 0.50, 8.00}},
    {"gpt-4.1-mini", {0.40, 0.10, 1.60}},
    {"gpt-4.1-nano", {0.10, 0.025, 0.40}},
    {"gpt-5", {1.25, 0.125, 10.00}},
    {"gpt-5-mini", {0.25, 0.025, 2.00}},
    {"gpt-5-nano", {0.05, 0.005, 0.40}},
    {"gpt-4-turbo", {10.00, 10.00, 30.00}},
    {"gpt-4", {30.00, 30.00, 60.00}},
    {"gpt-3.5-turbo", {0.50, 0.50, 1.50}},
    {"gpt-3.5-turbo-1106", {1.00, 1.00, 2.00}},
    {"gpt-3.5-turbo-0613", {1.50, 1.50, 2.00}},
    {"o1", {15.00, 7.50, 60.00}},
    {"o1-mini", {1.10, 0.55, 4.40}},
    {"o3", {2.00, 0.50, 8.00}},
    {"o3-mini", {1.10, 0.55, 4.40}},
    {"o4-mini", {1.10, 0.275, 4.40}},
};

// Does `text` look like `pattern`, where 0 stands for any digit?
bool Matches(std::string_view text, std::string_view pattern) {
  return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(), [](char c, char p) {
    return p == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == p;
  });
}

std::string_view WithoutDate(std::string_view model) {
  for (const std::string_view pattern : {"-0000-00-00", "-0000"}) {
    if (model.size() > pattern.size() &&
        Matches(model.substr(model.size() - pattern.size()), pattern)) {
      return model.substr(0, model.size() - pattern.size());
    }
  }
  return model;
}

std::string_view WithoutProvider(std::string_view model) {
  const std::size_t slash = model.rfind('/');
  return slash == std::string_view::npos ? model : model.substr(slash + 1);
}

}  // namespace

std::optional<ModelPrice> FindPrice(std::string_view model,
                                    const std::map<std::string, ModelPrice>& overrides) {
  const std::string_view bare = WithoutProvider(model);
  const std::array<std::string_view, 4> names = {model, WithoutDate(model), bare,
                                                 WithoutDate(bare)};
  for (const std::string_view name : names) {
    const auto it = overrides.find(std::string(name));
    if (it != overrides.end()) return it->second;
  }
  for (const std::string_view name : names) {
    for (const Row& row : kRows) {
      if (row.model == name) return row.price;
    }
  }
  return std::nullopt;
}

double Cost(const ModelPrice& price, const Usage& usage) {
  const std::int64_t prompt = std::max<std::int64_t>(usage.prompt_tokens, 0);
  const std::int64_t cached = std::clamp<std::int64_t>(usage.cached_tokens, 0, prompt);
  const std::int64_t completion = std::max<std::int64_t>(usage.completion_tokens, 0);
  return (static_cast<double>(prompt - cached) * price.input +
          static_cast<double>(cached) * price.cached_input +
          static_cast<double>(completion) * price.output) /
         1e6;
}

std::string PricesJson() {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("as_of").String(kAsOf);
  json.Key("unit").String("USD per 1M tokens");
  json.Key("models").BeginObject();
  for (const Row& row : kRows) {
    json.Key(row.model).BeginObject();
    json.Key("input").Double(row.price.input);
    json.Key("cached_input").Double(row.price.cached_input);
    json.Key("output").Double(row.price.output);
    json.EndObject();
  }
  json.EndObject();
  json.EndObject();
  return out;
}

}  // namespace postgen
