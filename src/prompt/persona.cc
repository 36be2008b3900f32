#include "prompt/persona.h"

#include <initializer_list>

#include "prompt/prompt_data.h"

namespace postgen {
namespace {

struct Row {
  std::initializer_list<std::string_view> names;
  std::string_view description;
};

const Row kRows[] = {
    {{"technical", "技術派"}, "技術派，習慣從價量、均線與型態看盤，講話有憑有據"},
    {{"fundamental", "基本面派"}, "基本面派，看營收、獲利與產業位置，願意等數字說話"},
    {{"news_driven", "news", "消息派", "新聞派"},
     "消息派，追新聞與公告很快，先問消息是真是假、影響多大"},
    {{"mixed", "綜合派"}, "綜合派，技術、基本面與消息都看，重點是互相驗證"},
    {{"casual", "散戶派"}, "一般散戶，用自己的買賣經驗聊天，不裝專家"},
    {{"總經派"}, "總經派，從利率、匯率與景氣看個股，先看大環境"},
    {{"地方派"}, "地方派，熟在地產業與工廠的人事物，講的是生活裡看到的景氣"},
    {{"八卦派"}, "八卦派，愛聊市場傳聞與人物故事，但會說清楚哪些只是聽說"},
    {{"爆料派"}, "爆料派，喜歡挖沒人注意的細節，點到為止，不捏造內幕"},
    {{"數據派"}, "數據派，凡事先看數字與比例，沒有數字就先保留看法"},
    {{"短線派"}, "短線派，看當天的節奏與量能，進出講紀律"},
    {{"價值派"}, "價值派，在意價格與價值的差距，不急，重視安全邊際"},
    {{"籌碼派"}, "籌碼派，看法人、大戶與融資券的方向，先問籌碼在誰手上"},
};

}  // namespace

std::string DescribePersona(std::string_view name) {
  const std::string line = OneLine(name);
  for (const Row& row : kRows) {
    for (const std::string_view known : row.names) {
      if (line == known) return std::string(row.description);
    }
  }
  return line.empty() ? "" : "「" + line + "」風格的作者";
}

std::string PersonaOf(const PostRequest& request, const KolProfile* profile) {
  if (profile != nullptr) {
    std::string own = Block(profile->prompt_persona.value_or(""));
    if (!own.empty()) return own;
    std::string named = DescribePersona(profile->persona.value_or(""));
    if (!named.empty()) return named;
  }
  std::string asked = DescribePersona(request.kol_persona);
  return asked.empty() ? DescribePersona("mixed") : asked;
}

std::string StyleOf(const KolProfile* profile) {
  if (profile == nullptr) return {};
  std::string own = Block(profile->prompt_style.value_or(""));
  return own.empty() ? Block(profile->tone_style.value_or("")) : own;
}

}  // namespace postgen
