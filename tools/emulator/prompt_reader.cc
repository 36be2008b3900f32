#include "prompt_reader.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "numbers.h"
#include "utf8.h"

namespace emulator {
namespace {

constexpr std::size_t kDefaultLimit = 150;
constexpr std::size_t kDefaultQuestionLimit = 80;
constexpr std::size_t kMaxLimit = 20'000;
constexpr std::size_t kMaxVersions = 10;
constexpr std::size_t kMaxNameLength = 10;  // code points

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool ContainsAny(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](auto part) { return Contains(text, part); });
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsCodeChar(char c) { return IsDigit(c) || (c >= 'A' && c <= 'Z'); }

// Bytes [begin, end) of `text`, kept within it.
std::string_view Window(std::string_view text, std::size_t begin, std::size_t end) {
  end = std::min(end, text.size());
  return text.substr(std::min(begin, end), end - std::min(begin, end));
}

// Stocks.

// The code that starts at `pos`: 4 to 6 characters that begin with a digit, then a closing bracket.
std::string_view CodeAt(std::string_view text, std::size_t pos) {
  std::size_t end = pos;
  while (end < text.size() && IsCodeChar(text[end])) ++end;
  std::size_t length = end - pos;
  if (length < 4 || length > 6 || !IsDigit(text[pos])) return {};
  std::string_view after = text.substr(end);
  bool closed = after.substr(0, 1) == ")" || after.substr(0, 3) == "）";
  return closed ? text.substr(pos, length) : std::string_view();
}

bool IsNameChar(char32_t c) {
  return IsHan(c) || (c < 0x80 && (IsCodeChar(static_cast<char>(c)) || (c >= 'a' && c <= 'z') ||
                                   c == '-' || c == '&'));
}

// The run of name characters that ends at `end`.
std::string_view RunBefore(std::string_view text, std::size_t end) {
  // A blank between name and bracket is none of the name.
  while (end > 0 && text[end - 1] == ' ') --end;
  std::size_t begin = end;
  while (begin > 0) {
    std::size_t previous = begin - 1;
    while (previous > 0 && (static_cast<unsigned char>(text[previous]) & 0xC0) == 0x80) --previous;
    std::size_t pos = previous;
    if (!IsNameChar(NextCodePoint(text, &pos)) || pos != begin) break;
    begin = previous;
  }
  return text.substr(begin, end - begin);
}

// Drops what leads up to a name: 請為台積電 -> 台積電. Longer leads first; a lead that would leave
// nothing is part of the name.
std::string_view WithoutLead(std::string_view run) {
  constexpr std::string_view kLeads[] = {
      "股票名稱", "股票標的", "請針對", "請分析", "請為", "請就", "針對", "關於", "分析",
      "討論",     "撰寫",     "解釋",   "說明",   "股票", "個股", "標的", "一篇", "今日",
      "今天",     "介紹",     "的",     "是",     "對",   "在",   "寫",   "就",   "為"};
  for (std::string_view lead : kLeads) {
    std::size_t at = run.rfind(lead);
    if (at == std::string_view::npos) continue;
    std::string_view rest = run.substr(at + lead.size());
    if (CountCodePoints(rest) >= 2) run = rest;
  }
  return run;
}

std::string_view CommonSuffix(std::string_view a, std::string_view b) {
  std::size_t length = 0;
  while (length < a.size() && length < b.size() &&
         a[a.size() - 1 - length] == b[b.size() - 1 - length]) {
    ++length;
  }
  std::string_view suffix = a.substr(a.size() - length);
  // Not from the middle of a character.
  while (!suffix.empty() && (static_cast<unsigned char>(suffix[0]) & 0xC0) == 0x80) {
    suffix.remove_prefix(1);
  }
  return suffix;
}

// What follows a label such as 股票名稱 and its colon, up to the end of the word.
std::string_view Labelled(std::string_view text, std::initializer_list<std::string_view> labels) {
  for (std::string_view label : labels) {
    std::size_t at = text.find(label);
    if (at == std::string_view::npos) continue;
    std::size_t pos = at + label.size();
    bool colon = false;
    while (pos < text.size()) {
      std::size_t next = pos;
      char32_t c = NextCodePoint(text, &next);
      if (c == U':' || c == U'：') colon = true;
      if (c != U' ' && c != U':' && c != U'：') break;
      pos = next;
    }
    if (!colon) continue;
    std::size_t end = pos;
    while (end < text.size()) {
      std::size_t next = end;
      if (!IsNameChar(NextCodePoint(text, &next))) break;
      end = next;
    }
    if (end > pos) return text.substr(pos, end - pos);
  }
  return {};
}

// Limits.

struct LimitCandidate {
  std::size_t limit;
  int score;
};

// The number whose last digit is before `end`, blanks skipped.
std::optional<std::size_t> NumberBefore(std::string_view text, std::size_t end) {
  while (end > 0 && text[end - 1] == ' ') --end;
  std::size_t begin = end;
  while (begin > 0 && IsDigit(text[begin - 1])) --begin;
  std::optional<std::size_t> number = ToNumber<std::size_t>(text.substr(begin, end - begin));
  if (!number || *number == 0 || *number > kMaxLimit) return std::nullopt;
  return number;
}

// How much the words around a number of characters make it the limit of the body.
int LimitScore(std::string_view text, std::size_t number_end) {
  constexpr std::size_t kNear = 36;  // bytes: 12 characters
  std::string_view before = Window(text, number_end - std::min(number_end, 2 * kNear), number_end);
  std::size_t line = before.rfind('\n');
  if (line != std::string_view::npos) before.remove_prefix(line + 1);
  std::string_view after = Window(text, number_end, number_end + kNear);
  after = after.substr(0, after.find('\n'));

  int score = 0;
  if (ContainsAny(after.substr(0, 24), {"以內", "之內", "以下", "為限", "上限", "內"})) score += 2;
  std::size_t start = before.size() - std::min(before.size(), kNear);
  if (ContainsAny(before.substr(start), {"不超過", "不得超過", "最多", "上限", "限制", "控制在",
                                         "字數", "不可超過", "嚴格"})) {
    score += 2;
  }
  // The title's limit, and quotations of "the first 200 characters", are not the body's.
  std::size_t title = before.rfind("標題");
  std::size_t body = std::string_view::npos;
  for (std::string_view word : {"內容", "內文", "正文", "全文", "貼文", "文章"}) {
    std::size_t at = before.rfind(word);
    if (at != std::string_view::npos)
      body = body == std::string_view::npos ? at : std::max(body, at);
  }
  bool about_title =
      title != std::string_view::npos && (body == std::string_view::npos || body < title);
  if (about_title) score -= 5;
  std::string_view last = before.substr(before.size() - std::min<std::size_t>(before.size(), 12));
  if (Contains(last, "前")) score -= 4;
  return score;
}

std::vector<LimitCandidate> LimitCandidates(std::string_view text) {
  std::vector<LimitCandidate> found;
  constexpr std::string_view kCharacter = "字";
  for (std::size_t at = text.find(kCharacter); at != std::string_view::npos;
       at = text.find(kCharacter, at + kCharacter.size())) {
    std::size_t end = at;
    constexpr std::string_view kMeasure = "個";
    while (end > 0 && text[end - 1] == ' ') --end;
    if (Window(text, end - std::min(end, kMeasure.size()), end) == kMeasure) {
      end -= kMeasure.size();
    }
    if (auto number = NumberBefore(text, end)) {
      found.push_back({*number, LimitScore(text, end)});
    }
  }
  return found;
}

// Angles and versions.

struct AngleWord {
  std::string_view word;
  Angle angle;
};

constexpr AngleWord kAngleWords[] = {
    {"技術面", Angle::kTechnical},   {"技術指標", Angle::kTechnical},
    {"基本面", Angle::kFundamental}, {"財報", Angle::kFundamental},
    {"市場情緒", Angle::kSentiment}, {"市場看法", Angle::kSentiment},
    {"籌碼", Angle::kSentiment},     {"操作策略", Angle::kStrategy},
    {"操作時機", Angle::kStrategy},  {"投資策略", Angle::kStrategy},
    {"風險評估", Angle::kRisk},      {"風險控制", Angle::kRisk},
    {"技術", Angle::kTechnical},     {"情緒", Angle::kSentiment},
    {"策略", Angle::kStrategy},      {"風險", Angle::kRisk},
};

Angle AngleIn(std::string_view text) {
  for (const AngleWord& entry : kAngleWords) {
    if (Contains(text, entry.word)) return entry.angle;
  }
  return Angle::kAny;
}

// Prompts name many topics; the one after 角度 or 切入 is the angle.
Angle FindAngle(std::string_view text) {
  for (std::string_view label : {"角度", "切入", "面向", "angle"}) {
    for (std::size_t at = text.find(label); at != std::string_view::npos;
         at = text.find(label, at + label.size())) {
      std::string_view line = text.substr(at, text.find('\n', at) - at);
      Angle angle = AngleIn(Window(line, label.size(), label.size() + 60));
      if (angle == Angle::kAny) {
        // "從技術面角度"
        angle = AngleIn(Window(text, at - std::min<std::size_t>(at, 24), at));
      }
      if (angle != Angle::kAny) return angle;
    }
  }
  return AngleIn(text);
}

Direction FindDirection(std::string_view text) {
  std::size_t down = std::min(text.find("跌停"), text.find("limit_down"));
  std::size_t up = std::min(text.find("漲停"), text.find("limit_up"));
  if (down == up) return Direction::kNone;  // neither is there
  return down < up ? Direction::kLimitDown : Direction::kLimitUp;
}

// "產生 5 個版本", "寫五個不同版本".
std::size_t FindVersions(std::string_view text) {
  constexpr std::string_view kNumerals[] = {"一", "二", "三", "四", "五", "六"};
  for (std::size_t at = text.find("版本"); at != std::string_view::npos;
       at = text.find("版本", at + 6)) {
    std::string_view before = Window(text, at - std::min<std::size_t>(at, 45), at);
    std::size_t measure = before.rfind("個");
    if (measure == std::string_view::npos || before.size() - measure > 15) continue;
    if (!ContainsAny(before, {"產生", "生成", "寫", "提供", "給我", "產出"})) continue;
    if (auto number = NumberBefore(before, measure)) return std::min(*number, kMaxVersions);
    for (std::size_t i = 0; i < std::size(kNumerals); ++i) {
      if (measure >= 3 && before.substr(measure - 3, 3) == kNumerals[i]) return i + 1;
    }
  }
  return 1;
}

bool AsksQuestion(std::string_view text) {
  return ContainsAny(text, {"提問", "互動", "一個問題", "單一問題", "問句", "interaction"});
}

}  // namespace

void FindStock(std::string_view text, std::string* name, std::string* code) {
  name->clear();
  code->clear();
  std::string_view found;
  for (std::size_t pos = 0; pos < text.size(); ++pos) {
    std::size_t bracket = text[pos] == '(' ? 1 : text.substr(pos, 3) == "（" ? 3 : 0;
    if (bracket == 0) continue;
    std::string_view here = CodeAt(text, pos + bracket);
    if (here.empty() || (!code->empty() && here != *code)) continue;
    std::string_view run = RunBefore(text, pos);
    if (run.empty()) continue;
    // Where a name comes several times, what all of them end in is the name alone.
    std::string_view common = code->empty() ? run : CommonSuffix(found, run);
    found = CountCodePoints(common) >= 2 ? common : found;
    *code = here;
  }
  if (!code->empty()) {
    *name = TakeCodePoints(WithoutLead(found), kMaxNameLength);
    return;
  }
  *name = TakeCodePoints(Labelled(text, {"股票名稱", "名稱", "股票", "個股"}), kMaxNameLength);
  *code = TakeCodePoints(Labelled(text, {"股票代號", "股票代碼", "代號", "代碼"}), 6);
}

std::size_t FindWordLimit(std::string_view text) {
  std::vector<LimitCandidate> found = LimitCandidates(text);
  const LimitCandidate* best = nullptr;
  for (const LimitCandidate& candidate : found) {
    if (best == nullptr || candidate.score > best->score) best = &candidate;
  }
  // A title's limit alone says nothing of the body.
  return best == nullptr || best->score < -2 ? 0 : best->limit;
}

std::size_t FindWordTarget(std::string_view text) {
  constexpr std::string_view kAbout = "字左右";
  for (std::size_t at = text.find(kAbout); at != std::string_view::npos;
       at = text.find(kAbout, at + kAbout.size())) {
    if (!Contains(Window(text, at, at + kAbout.size() + 9), "目標")) continue;
    if (auto number = NumberBefore(text, at)) return *number;
  }
  return 0;
}

PromptHints ReadPrompt(const ChatRequest& request) {
  std::string system;
  std::string user;
  for (const ChatMessage& message : request.messages) {
    if (message.role == "assistant" || message.role == "tool") continue;
    std::string& side = message.role == "user" ? user : system;
    side += message.text;
    side += "\n";
  }
  std::string all = user + system;

  PromptHints hints;
  FindStock(user, &hints.stock_name, &hints.stock_code);
  if (hints.stock_code.empty()) FindStock(all, &hints.stock_name, &hints.stock_code);
  hints.question = AsksQuestion(user) || (user.size() < 60 && AsksQuestion(system));
  hints.word_limit = FindWordLimit(user);
  if (hints.word_limit == 0) hints.word_limit = FindWordLimit(system);
  if (hints.word_limit == 0) {
    hints.word_limit = hints.question ? kDefaultQuestionLimit : kDefaultLimit;
  }
  hints.word_target = std::min(FindWordTarget(user), hints.word_limit);
  hints.title = ContainsAny(all, {"標題", "title"});
  hints.labels = ContainsAny(all, {"標題：", "標題:", "「標題」"}) &&
                 ContainsAny(all, {"內容：", "內容:", "「內容」"});
  hints.json = request.wants_json;
  hints.versions = FindVersions(user);
  hints.angle = FindAngle(user);
  // Rules in the system message may speak of falling stocks whatever the stock did.
  hints.direction = FindDirection(user);
  return hints;
}

}  // namespace emulator
