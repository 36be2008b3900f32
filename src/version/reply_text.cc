#include "version/reply_text.h"

#include <algorithm>
#include <array>
#include <vector>

#include "text/utf8.h"
#include "version/brackets.h"
#include "version/reply_label.h"
#include "version/title_text.h"

namespace postgen {
namespace {

using Kind = LabelMatch::Kind;
using Lines = std::vector<std::string_view>;

// How a polite model starts before it comes to the point: a word with punctuation behind it, or an
// introduction with a colon at its end.
constexpr std::size_t kMaxPreambleWords = 40;
constexpr std::array<std::string_view, 8> kCourtesies = {"好的",     "當然",   "当然",   "當然可以",
                                                         "当然可以", "沒問題", "没问题", "Sure"};
constexpr std::array<std::string_view, 8> kPunctuation = {"，", "！", "。", "：",
                                                          ",",  "!",  ".",  ":"};
constexpr std::array<std::string_view, 6> kIntroductions = {"以下", "這是", "这是",
                                                            "為您", "为您", "Here"};

template <std::size_t N>
bool StartsWithOne(std::string_view text, const std::array<std::string_view, N>& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](std::string_view start) { return text.starts_with(start); });
}

Lines SplitLines(std::string_view text) {
  Lines lines;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

LabelMatch MatchLine(std::string_view line) { return MatchLabel(line, /*complete=*/true); }

bool IsLabel(std::string_view line, Kind kind) { return MatchLine(line).kind == kind; }

Lines::iterator FindLabel(Lines* lines, Kind kind) {
  return std::find_if(lines->begin(), lines->end(),
                      [kind](std::string_view line) { return IsLabel(line, kind); });
}

std::string CleanBody(const Lines& lines) {
  std::string body;
  BodyCleaner cleaner;
  for (const std::string_view line : lines) {
    cleaner.Push(line, &body);
    cleaner.Push("\n", &body);
  }
  cleaner.End(&body);
  return body;
}

bool IsVisible(std::string_view line) { return !CleanBody({line}).empty(); }

// Makes two lines of one, so that the second starts with its label of that kind.
bool BreakAtLabel(Lines* lines, Lines::iterator line, Kind kind, InnerLabel where) {
  const std::size_t at = FindInnerLabel(*line, kind, where);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = line->substr(at);
  *line = line->substr(0, at);
  lines->insert(line + 1, rest);
  return true;
}

// Labels inside a line count only where the other label vouches that this is the format: a text may
// well speak of 內容：.
void BreakInnerLabels(Lines* lines) {
  const Lines::iterator title = FindLabel(lines, Kind::kTitle);
  const Lines::iterator content = FindLabel(lines, Kind::kContent);
  const bool has_title = title != lines->end();
  const bool has_content = content != lines->end();
  if (has_title && !has_content) {
    const bool last = std::none_of(title + 1, lines->end(), IsVisible);
    BreakAtLabel(lines, title, Kind::kContent,
                 last ? InnerLabel::kAnywhere : InnerLabel::kAfterBoundary);
  } else if (has_content && !has_title) {
    for (Lines::iterator line = lines->begin(); line <= content; ++line) {
      const InnerLabel where = line < content ? InnerLabel::kAnywhere : InnerLabel::kAfterBoundary;
      if (BreakAtLabel(lines, line, Kind::kTitle, where)) return;
    }
  } else if (!has_title && !has_content) {
    const std::string_view line = lines->front();
    const std::size_t at = FindInnerLabel(line, Kind::kTitle, InnerLabel::kAfterBoundary);
    if (at == std::string_view::npos) return;
    const std::size_t inner =
        FindInnerLabel(line.substr(at), Kind::kContent, InnerLabel::kAfterBoundary);
    if (inner == std::string_view::npos) return;
    lines->front() = line.substr(0, at);
    const std::string_view parts[] = {line.substr(at, inner), line.substr(at + inner)};
    lines->insert(lines->begin() + 1, std::begin(parts), std::end(parts));
  }
}

bool IsPreamble(std::string_view line) {
  line = TrimSpaces(line);
  if (CountCodePoints(line) > kMaxPreambleWords) return false;
  if (StartsWithOne(line, kIntroductions)) return line.ends_with("：") || line.ends_with(":");
  return std::any_of(kCourtesies.begin(), kCourtesies.end(), [&](std::string_view word) {
    return line.starts_with(word) &&
           (line == word || StartsWithOne(line.substr(word.size()), kPunctuation));
  });
}

std::string WithoutLabels(std::string_view text) {
  std::string result;
  for (std::string_view line : SplitLines(text)) {
    for (LabelMatch label = MatchLine(line); label.kind != Kind::kNone; label = MatchLine(line)) {
      line.remove_prefix(label.value);
    }
    if (!result.empty()) result += '\n';
    result += line;
  }
  return result;
}

// Without brackets around all of it, and without labels that stood inside them.
std::string StripBody(std::string body) {
  for (int round = 0; round < kMaxNestedPairs; ++round) {
    const std::string_view rest = StripBrackets(body);
    if (rest.size() == body.size()) break;
    body = WithoutLabels(rest);
  }
  return body;
}

// A short line before the body that can serve as its title; empty: it cannot.
std::string TitleFromLine(std::string_view line) {
  if (IsPreamble(line)) return {};
  line = TrimSpaces(line);
  const bool marked = line.starts_with("# ") || line.starts_with("## ") ||
                      (line.starts_with("**") && line.ends_with("**"));
  constexpr std::array<std::string_view, 5> kRunningText = {"。", "，", "、", "；", "："};
  const bool runs_on = std::any_of(kRunningText.begin(), kRunningText.end(),
                                   [&](std::string_view end) { return line.ends_with(end); });
  if (!marked && (runs_on || CountCodePoints(line) > kMaxTitleWords)) return {};
  return CleanTitle(line);
}

// What the labels of a reply divide it into.
struct Sections {
  bool labelled = false;
  std::string title;
  Lines before;       // any label
  Lines after_title;  // and before the body's label
  std::string content;
  bool open_bracket = false;  // around the body, label included
};

Sections ReadSections(const Lines& lines) {
  Sections sections;
  BodyCleaner cleaner;
  Kind section = Kind::kNone;
  for (std::string_view line : lines) {
    for (LabelMatch label = MatchLine(line); label.kind != Kind::kNone; label = MatchLine(line)) {
      section = label.kind;
      sections.labelled = true;
      sections.open_bracket = sections.open_bracket || (label.open_bracket && cleaner.empty());
      line.remove_prefix(label.value);
      const bool again = section == Kind::kTitle && !sections.title.empty() && !cleaner.empty();
      if (again) {  // the model went on with another text
        cleaner.End(&sections.content);
        return sections;
      }
    }
    if (section == Kind::kContent) {
      cleaner.Push(line, &sections.content);
      cleaner.Push("\n", &sections.content);
    } else if (section == Kind::kNone) {
      sections.before.push_back(line);
    } else if (sections.title.empty()) {
      sections.title = CleanTitle(line);
    } else {
      sections.after_title.push_back(line);
    }
  }
  cleaner.End(&sections.content);
  return sections;
}

ReplyText ParseLabelled(Sections sections) {
  if (sections.content.empty()) sections.content = CleanBody(sections.after_title);
  if (sections.open_bracket) {
    sections.content = WithoutLabels(StripLooseCloser(sections.content));
  }
  ReplyText text{std::move(sections.title), StripBody(std::move(sections.content))};
  for (auto line = sections.before.rbegin(); line != sections.before.rend(); ++line) {
    if (text.title.empty()) text.title = TitleFromLine(*line);
  }
  if (text.title.empty()) text.title = DeriveTitle(text.content);
  return text;
}

ReplyText ParseUnlabelled(const Lines& lines) {
  Lines::const_iterator first = std::find_if(lines.begin(), lines.end(), IsVisible);
  if (first == lines.end()) return {};
  Lines::const_iterator second = std::find_if(first + 1, lines.end(), IsVisible);
  if (second != lines.end() && IsPreamble(*first)) {
    first = second;
    second = std::find_if(first + 1, lines.end(), IsVisible);
  }
  ReplyText text;
  if (second != lines.end()) text.title = TitleFromLine(*first);
  text.content = StripBody(CleanBody({text.title.empty() ? first : second, lines.end()}));
  if (text.title.empty()) text.title = DeriveTitle(text.content);
  return text;
}

ReplyText ParseNormalised(std::string_view reply) {
  Lines lines = SplitLines(reply);
  BreakInnerLabels(&lines);
  Sections sections = ReadSections(lines);
  return sections.labelled ? ParseLabelled(std::move(sections)) : ParseUnlabelled(lines);
}

}  // namespace

ReplyText ParseReply(std::string_view reply) {
  std::string normalised;
  TextNormalizer().Push(reply, &normalised);
  return ParseNormalised(normalised);
}

void ReplyStream::Push(std::string_view fragment) {
  normalizer_.Push(fragment, &reply_);
  while (Step(/*ended=*/false)) {
  }
}

void ReplyStream::End() {
  while (state_ == State::kContent && Step(/*ended=*/true)) {
  }
  std::string rest;
  body_.End(&rest);
  SendContent(rest);
  if (content_sent_) return;
  // No body was certain by itself: the whole reply tells more.
  const ReplyText text = ParseNormalised(reply_);
  if (!title_sent_ && !text.title.empty()) sink_(Event::Part::kTitle, text.title);
  if (!text.content.empty()) sink_(Event::Part::kContent, text.content);
}

bool ReplyStream::Step(bool ended) {
  if (state_ == State::kDone || state_ == State::kHeld || at_ == reply_.size()) return false;
  const std::size_t line_end = reply_.find('\n', std::max(at_, searched_));
  searched_ = std::min(line_end, reply_.size());
  const bool complete = ended || line_end != std::string::npos;
  const std::string_view line = std::string_view(reply_).substr(at_, searched_ - at_);
  switch (state_) {
    case State::kStart: return ReadTitle(line, complete);
    case State::kBetween: return ReadBetween(line, complete);
    case State::kContent: return ReadContent(line, complete);
    case State::kDone:
    case State::kHeld: break;
  }
  return false;
}

// As MatchLabel for the line at at_. A line that grows byte by byte is not read from its start each
// time: once it has told, it stays so, and while it may still be a label it is looked at again when
// it has grown in proportion.
LabelMatch ReplyStream::Match(std::string_view line, bool complete) {
  if (complete) return MatchLabel(line, complete);
  if (matched_at_ == at_ && line.size() < look_again_) return matched_;
  matched_ = MatchLabel(line, complete);
  matched_at_ = at_;
  look_again_ =
      matched_.kind == Kind::kMaybe ? line.size() + line.size() / 8 + 1 : std::string::npos;
  return matched_;
}

bool ReplyStream::ReadTitle(std::string_view line, bool complete) {
  const LabelMatch label = Match(line, complete);
  if (label.kind == Kind::kContent) return Hold();
  if (!complete) return false;
  if (label.kind == Kind::kTitle) {
    const std::string_view value = line.substr(label.value);
    const bool has_content =
        FindInnerLabel(value, Kind::kContent, InnerLabel::kAnywhere) != std::string_view::npos;
    const std::string title = CleanTitle(value);
    if (has_content || title.empty() || MatchLine(value).kind != Kind::kNone) return Hold();
    title_sent_ = true;
    state_ = State::kBetween;
    sink_(Event::Part::kTitle, title);
  }
  at_ += line.size() + 1;
  return true;
}

bool ReplyStream::ReadBetween(std::string_view line, bool complete) {
  const LabelMatch label = Match(line, complete);
  if (label.kind == Kind::kMaybe || (label.kind == Kind::kNone && !complete)) return false;
  if (label.open_bracket) return Hold();
  if (label.kind == Kind::kContent) state_ = State::kContent;
  at_ += label.kind == Kind::kNone ? line.size() + 1 : label.value;
  return true;
}

bool ReplyStream::ReadContent(std::string_view line, bool complete) {
  if (at_line_start_) {
    const LabelMatch label = Match(line, complete);
    if (label.kind == Kind::kMaybe) return false;
    if (label.kind == Kind::kTitle) state_ = body_.empty() ? State::kBetween : State::kDone;
    at_ += label.value;
    at_line_start_ = label.kind != Kind::kNone;
    if (at_line_start_) return true;
  }
  const bool has_line_end = at_ + line.size() < reply_.size();
  const std::size_t size = line.size() + (has_line_end ? 1 : 0);
  content_.clear();
  body_.Push(std::string_view(reply_).substr(at_, size), &content_);
  at_ += size;
  at_line_start_ = has_line_end;
  SendContent(content_);
  return true;
}

bool ReplyStream::Hold() {
  state_ = State::kHeld;
  return false;
}

void ReplyStream::SendContent(std::string_view text) {
  if (text.empty() || state_ == State::kHeld) return;
  if (!content_sent_ && StartsWithBracket(text)) {
    state_ = State::kHeld;  // brackets around all of the body would go
    return;
  }
  content_sent_ = true;
  sink_(Event::Part::kContent, text);
}

}  // namespace postgen
