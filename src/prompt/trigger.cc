#include "prompt/trigger.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "prompt/prompt_data.h"

namespace postgen {
namespace {

// No direction names the opposite limit: a model that reads the word may write it.
constexpr std::string_view kLimitUp =
    "這一檔漲停，股價是往上鎖在當日漲幅上限。談上漲的原因與接下來要觀察的事，全文不得寫成下跌、轉弱"
    "或"
    "重挫。";
constexpr std::string_view kLimitDown =
    "這一檔跌停，股價是往下跌到當日跌幅限制。談下跌的原因與風險，全文不得寫成上漲、轉強或利多，也不"
    "得"
    "說成機會、撿便宜、逢低布局或值得進場。";
constexpr std::string_view kUp =
    "這一檔正在上漲且漲幅居前。談推升的原因與能否延續，全文不得寫成下跌或弱勢。";
constexpr std::string_view kDown =
    "這一檔正在下跌。談下跌的原因與風險，全文不得寫成上漲或強勢，也不得說成機會或撿便宜。";
constexpr std::string_view kVolumeUp =
    "重點是量放大，量大不代表漲也不代表跌。談量價關係與資金在做什麼，素材沒說漲跌就不要斷定方向。";
constexpr std::string_view kVolumeDown =
    "重點是量縮小，量縮不代表漲也不代表跌。談觀望的原因與什麼會打破沉寂，素材沒說漲跌就不要斷定方向"
    "。";
constexpr std::string_view kNeutral =
    "這個情境本身不含漲跌方向。方向以素材為準，素材沒說就不要斷定漲或跌。";

struct Row {
  std::string_view key;
  std::string_view description;
  std::string_view direction;
};

// The app's live keys.
constexpr Row kRows[] = {
    {"limit_up_after_hours", "盤後篩選：今天收盤漲停", kLimitUp},
    {"limit_down_after_hours", "盤後篩選：今天收盤跌停", kLimitDown},
    {"volume_amount_high", "盤後篩選：今天成交金額居市場前段", kVolumeUp},
    {"volume_amount_low", "盤後篩選：今天成交金額居市場後段", kVolumeDown},
    {"volume_change_rate_high", "盤後篩選：今天成交量比前一段時間明顯放大", kVolumeUp},
    {"volume_change_rate_low", "盤後篩選：今天成交量比前一段時間明顯萎縮", kVolumeDown},
    {"intraday_gainers_by_amount", "盤中篩選：漲幅居前，依成交金額排序", kUp},
    {"intraday_volume_leaders", "盤中篩選：成交量居前", kVolumeUp},
    {"intraday_amount_leaders", "盤中篩選：成交金額居前", kVolumeUp},
    {"intraday_limit_up", "盤中篩選：盤中漲停", kLimitUp},
    {"intraday_limit_down", "盤中篩選：盤中跌停", kLimitDown},
    {"intraday_limit_down_by_amount", "盤中篩選：盤中跌停，依成交金額排序", kLimitDown},
    {"trending_topics", "討論區的熱門話題", kNeutral},
    {"custom_stocks", "發文者自己挑的標的", kNeutral},
    {"manual", "發文者手動發起", kNeutral},
};

struct WordRow {
  std::initializer_list<std::string_view> words;
  std::string_view description;
  std::string_view direction;
};

// Older and own keys; the first row with a word in the key counts, so the falls stand first.
const WordRow kWords[] = {
    {{"limit_down", "跌停"}, "股價跌停", kLimitDown},
    {{"limit_up", "漲停"}, "股價漲停", kLimitUp},
    {{"loser", "跌幅", "下跌", "重挫"}, "股價下跌", kDown},
    {{"gainer", "漲幅", "上漲", "大漲"}, "股價上漲", kUp},
    {{"volume_surge", "爆量", "放量"}, "成交量明顯放大", kVolumeUp},
    {{"volume", "成交量", "成交金額"}, "成交量有變化", kNeutral},
    {{"sector", "類股", "族群"}, "類股或族群有動靜", kNeutral},
    {{"news", "新聞", "消息"}, "市場上有相關新聞", kNeutral},
    {{"fed", "economic", "currency", "commodity", "總經"}, "總體經濟或商品行情有變化", kNeutral},
    {{"topic", "話題"}, "討論區的熱門話題", kNeutral},
    {{"stock_code_list"}, "發文者自己挑的標的", kNeutral},
};

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return lower;
}

}  // namespace

Trigger DescribeTrigger(std::string_view trigger_type) {
  const std::string raw = OneLine(trigger_type);
  const std::string key = LowerAscii(raw);
  for (const Row& row : kRows) {
    if (row.key == key) return {std::string(row.description), row.direction};
  }
  const std::string quoted = raw.empty() ? "" : "（來源標記「" + raw + "」）";
  for (const WordRow& row : kWords) {
    const bool fits = std::any_of(row.words.begin(), row.words.end(), [&](std::string_view word) {
      return key.find(word) != std::string::npos;
    });
    if (fits) return {std::string(row.description) + quoted, row.direction};
  }
  return {"一般發文" + quoted, kNeutral};
}

}  // namespace postgen
