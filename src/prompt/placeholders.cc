#include "prompt/placeholders.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>

#include "prompt/persona.h"
#include "prompt/prompt_data.h"
#include "prompt/trigger.h"
#include "text/utf8.h"

namespace postgen {
namespace {

constexpr std::size_t kDraftWords = 200;
// Models ran 13 to 37 % over a limit that the prompt called strict: a quarter more than this is the
// limit itself.
constexpr double kTargetShare = 0.80;

using ProfileText = std::optional<std::string> KolProfile::*;

template <ProfileText kField>
std::string OfProfile(const PromptInput& input) {
  return input.profile == nullptr ? "" : Block((input.profile->*kField).value_or(""));
}

std::string KolNickname(const PromptInput& input) {
  return input.profile == nullptr ? "" : OneLine(input.profile->nickname.value_or(""));
}

std::string KolSerial(const PromptInput& input) {
  return input.request.kol_serial ? std::to_string(*input.request.kol_serial) : "";
}

std::string PersonaName(const PromptInput& input) {
  const std::string own =
      input.profile == nullptr ? "" : OneLine(input.profile->persona.value_or(""));
  return own.empty() ? OneLine(input.request.kol_persona) : own;
}

std::string Persona(const PromptInput& input) { return PersonaOf(input.request, input.profile); }
std::string Style(const PromptInput& input) { return StyleOf(input.profile); }

std::string StockCode(const PromptInput& input) { return OneLine(input.request.stock_code); }

std::string StockName(const PromptInput& input) {
  std::string name = OneLine(input.request.stock_name);
  return name.empty() ? StockCode(input) : name;
}

std::string Stock(const PromptInput& input) {
  const std::string code = StockCode(input);
  std::string name = StockName(input);
  return code.empty() || code == name ? name : name + "（" + code + "）";
}

std::string TriggerType(const PromptInput& input) { return OneLine(input.request.trigger_type); }

std::string TriggerDescription(const PromptInput& input) {
  return DescribeTrigger(input.request.trigger_type).description;
}

std::string Direction(const PromptInput& input) {
  return std::string(DescribeTrigger(input.request.trigger_type).direction);
}

std::string MaxWords(const PromptInput& input) { return std::to_string(input.request.max_words); }

std::string TargetWords(const PromptInput& input) {
  const double words = static_cast<double>(input.request.max_words) * kTargetShare;
  return std::to_string(std::max(std::lround(words), 1L));
}

std::string PostingType(const PromptInput& input) { return OneLine(input.request.posting_type); }

std::vector<DataItem> Numbered(std::string_view label, const std::vector<std::string>& texts) {
  std::vector<DataItem> items;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    items.push_back({std::string(label) + ' ' + std::to_string(i + 1), texts[i]});
  }
  return items;
}

DataItem TopicContentItem(const PromptInput& input) {
  return {"話題內容", input.request.topic_content.value_or("")};
}

DataItem DraftItem(const PromptInput& input) {
  return {"草稿片段，可參考觀點，不可照抄", std::string(TakeCodePoints(input.draft, kDraftWords))};
}

std::string TopicTitle(const PromptInput& input) {
  return OneLine(input.request.topic_title.value_or(""));
}
std::string TopicContent(const PromptInput& input) { return QuoteData({TopicContentItem(input)}); }
std::string Draft(const PromptInput& input) { return QuoteData({DraftItem(input)}); }
std::string News(const PromptInput& input) {
  return QuoteData(Numbered("新聞", input.request.news));
}
std::string Facts(const PromptInput& input) {
  return QuoteData(Numbered("事實", input.request.facts));
}

std::string Material(const PromptInput& input) {
  std::vector<DataItem> items = Numbered("事實", input.request.facts);
  for (DataItem& item : Numbered("新聞", input.request.news)) items.push_back(std::move(item));
  items.push_back(TopicContentItem(input));
  items.push_back(DraftItem(input));
  return QuoteData(items);
}

std::string AngleName(const PromptInput& input) { return std::string(input.angle); }
std::string Guidance(const PromptInput& input) { return std::string(input.angle_guidance); }
std::string VersionNumber(const PromptInput& input) { return std::to_string(input.version_number); }
std::string Versions(const PromptInput& input) { return std::to_string(input.request.versions); }

// Material that the app gathered itself and postgen does not: the names stay valid.
std::string Nothing(const PromptInput& /*input*/) { return {}; }

struct Row {
  std::string_view name;
  std::string (*value)(const PromptInput&);
  bool by_version = false;
};

constexpr Row kRows[] = {
    // The app's names.
    {"kol_nickname", KolNickname},
    {"persona_name", PersonaName},
    {"writing_style", Style},
    {"prompt_persona", OfProfile<&KolProfile::prompt_persona>},
    {"prompt_guardrails", OfProfile<&KolProfile::prompt_guardrails>},
    {"prompt_skeleton", OfProfile<&KolProfile::prompt_skeleton>},
    {"stock_id", StockCode},
    {"stock_name", StockName},
    {"trigger_description", TriggerDescription},
    {"max_words", MaxWords},
    {"news_summary", News},
    {"ohlc_summary", Nothing},
    {"tech_summary", Nothing},
    {"dtno_summary", Nothing},
    {"price_instruction", Nothing},
    // postgen's own.
    {"persona", Persona},
    {"style", Style},
    {"stock", Stock},
    {"trigger_type", TriggerType},
    {"direction", Direction},
    {"target_words", TargetWords},
    {"posting_type", PostingType},
    {"material", Material},
    {"facts_summary", Facts},
    {"draft", Draft},
    {"versions", Versions},
    {"version_number", VersionNumber, true},
    {"angle", AngleName, true},
    {"angle_guidance", Guidance, true},
    // The profile's columns, also as kol.<column>.
    {"kol.nickname", KolNickname},
    {"kol.serial", KolSerial},
    {"kol.persona", PersonaName},
    {"kol.tone_style", OfProfile<&KolProfile::tone_style>},
    {"kol.common_terms", OfProfile<&KolProfile::common_terms>},
    {"kol.colloquial_terms", OfProfile<&KolProfile::colloquial_terms>},
    {"kol.prompt_persona", OfProfile<&KolProfile::prompt_persona>},
    {"kol.prompt_style", OfProfile<&KolProfile::prompt_style>},
    {"kol.prompt_guardrails", OfProfile<&KolProfile::prompt_guardrails>},
    {"kol.prompt_skeleton", OfProfile<&KolProfile::prompt_skeleton>},
    {"kol.prompt_cta", OfProfile<&KolProfile::prompt_cta>},
    {"kol.prompt_hashtags", OfProfile<&KolProfile::prompt_hashtags>},
    {"stock.code", StockCode},
    {"stock.name", StockName},
    {"topic.title", TopicTitle},
    {"topic.content", TopicContent},
};

const Row* FindRow(std::string_view name) {
  const Row* row = std::find_if(std::begin(kRows), std::end(kRows),
                                [&](const Row& candidate) { return candidate.name == name; });
  return row == std::end(kRows) ? nullptr : row;
}

struct ListItem {
  bool is_news = false;  // else a fact
  std::size_t index = 0;
};

// "news[0]" and "facts[12].text".
std::optional<ListItem> ParseListItem(std::string_view name) {
  ListItem item;
  item.is_news = name.starts_with("news[");
  if (!item.is_news && !name.starts_with("facts[")) return std::nullopt;
  name.remove_prefix(name.find('[') + 1);
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, item.index);
  const std::string_view tail(rest, static_cast<std::size_t>(end - rest));
  if (error != std::errc() || (tail != "]" && tail != "].text")) return std::nullopt;
  return item;
}

}  // namespace

bool IsPlaceholder(std::string_view name) {
  return FindRow(name) != nullptr || ParseListItem(name).has_value();
}

std::string PlaceholderValue(std::string_view name, const PromptInput& input) {
  if (const Row* row = FindRow(name); row != nullptr) return row->value(input);
  const std::optional<ListItem> item = ParseListItem(name);
  if (!item) return {};
  const std::vector<std::string>& texts = item->is_news ? input.request.news : input.request.facts;
  if (item->index >= texts.size()) return {};
  return QuoteData({{item->is_news ? "新聞" : "事實", texts[item->index]}});
}

bool DependsOnVersion(std::string_view placeholder) {
  const Row* row = FindRow(placeholder);
  return row != nullptr && row->by_version;
}

std::vector<std::string> PlaceholderNames() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  for (const char* item : {"news[0]", "news[0].text", "facts[0]", "facts[0].text"}) {
    names.emplace_back(item);
  }
  return names;
}

}  // namespace postgen
