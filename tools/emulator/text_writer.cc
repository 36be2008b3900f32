#include "text_writer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "json_writer.h"
#include "numbers.h"
#include "phrases.h"
#include "utf8.h"

namespace emulator {
namespace {

constexpr std::size_t kMaxTitleLength = 20;
constexpr std::size_t kMinQuestionTitleLength = 10;
constexpr int kAttempts = 60;
constexpr int kAttemptsByTurns = 10;
constexpr double kLeastShare = 0.75;
constexpr double kMostShare = 0.98;
// How far a text is from the length that the prompt asks to aim at.
constexpr double kOffTarget = 0.1;
constexpr double kOffLimitTolerance = 0.03;
// From this limit on a body has paragraphs.
constexpr std::size_t kParagraphLimit = 250;
constexpr std::size_t kSentencesPerParagraph = 4;

// Bounds of a body's length in code points.
struct Range {
  std::size_t low;
  std::size_t high;

  std::size_t Distance(std::size_t length) const {
    return length < low ? low - length : length > high ? length - high : 0;
  }
};

Range BodyRange(const PromptHints& hints, double length_factor) {
  double words = static_cast<double>(hints.word_limit);
  double low = words * kLeastShare;
  double high = words * kMostShare;
  if (hints.word_target > 0) {
    double target = static_cast<double>(hints.word_target);
    low = target * (1 - kOffTarget);
    high = std::min(high, target * (1 + kOffTarget));
  }
  if (length_factor != 1) {
    low = words * length_factor * (1 - kOffLimitTolerance);
    high = words * length_factor * (1 + kOffLimitTolerance);
  }
  return {static_cast<std::size_t>(std::ceil(low)), static_cast<std::size_t>(std::floor(high))};
}

// By turns, so that neighbours differ, or by chance where that did not fit.
std::string_view Pick(Phrases phrases, std::optional<std::uint64_t> turn, Rng& rng) {
  return phrases[turn ? static_cast<std::size_t>(*turn % phrases.size())
                      : rng.Below(phrases.size())];
}

std::vector<std::string_view> Shuffled(Phrases phrases, Rng& rng) {
  std::vector<std::string_view> order(phrases.begin(), phrases.end());
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  return order;
}

std::string Name(const PromptHints& hints) {
  if (!hints.stock_name.empty()) return hints.stock_name;
  return hints.stock_code.empty() ? "這檔個股" : hints.stock_code;
}

std::string NameWithCode(const PromptHints& hints) {
  if (hints.stock_name.empty() || hints.stock_code.empty()) return Name(hints);
  return hints.stock_name + "(" + hints.stock_code + ")";
}

// Writes a part out: places filled, one of each choice taken.
std::string Expand(std::string_view part, const PromptHints& hints, Rng& rng) {
  std::string text;
  for (std::size_t pos = 0; pos < part.size();) {
    if (part[pos] == '{') {
      text += part[pos + 1] == 'S' ? NameWithCode(hints) : Name(hints);
      pos += 3;
    } else if (part[pos] == '[') {
      std::size_t end = part.find(']', pos);
      std::string_view inside = part.substr(pos + 1, end - pos - 1);
      std::vector<std::string_view> options;
      for (std::size_t bar = 0; bar != std::string_view::npos;) {
        bar = inside.find('|');
        options.push_back(inside.substr(0, bar));
        if (bar != std::string_view::npos) inside.remove_prefix(bar + 1);
      }
      text += options[rng.Below(options.size())];
      pos = end + 1;
    } else {
      text.push_back(part[pos++]);
    }
  }
  return text;
}

// Sentences that follow one another, with their length.
class Body {
 public:
  explicit Body(bool paragraphs) : paragraphs_(paragraphs) {}

  // What adding `sentence` would make the length.
  std::size_t LengthWith(std::string_view sentence) const {
    return length_ + Break().size() + CountCodePoints(sentence);
  }

  void Add(std::string_view sentence) {
    length_ = LengthWith(sentence);
    text_ += Break();
    text_ += sentence;
    ++sentences_;
  }

  std::size_t length() const { return length_; }
  std::string Take() { return std::move(text_); }

 private:
  std::string_view Break() const {
    bool due = paragraphs_ && sentences_ > 0 && sentences_ % kSentencesPerParagraph == 0;
    return due ? "\n\n" : "";
  }

  const bool paragraphs_;
  std::string text_;
  std::size_t length_ = 0;
  std::size_t sentences_ = 0;
};

// Observations in the order of use: those of the angle, those that fit all, then the others'.
std::vector<std::string_view> ObservationOrder(Angle angle, Rng& rng) {
  std::vector<Angle> angles = {Angle::kTechnical, Angle::kFundamental, Angle::kSentiment,
                               Angle::kStrategy, Angle::kRisk};
  for (std::size_t i = angles.size(); i > 1; --i) std::swap(angles[i - 1], angles[rng.Below(i)]);
  std::vector<std::string_view> order;
  auto append = [&](Angle which) {
    for (std::string_view part : Shuffled(Observations(which), rng)) order.push_back(part);
  };
  if (angle == Angle::kAny) {
    // No angle: one topic after the other, mixed.
    for (Angle each : angles) append(each);
    append(Angle::kAny);
    return Shuffled(order, rng);
  }
  append(angle);
  append(Angle::kAny);
  for (Angle each : angles) {
    if (each != angle) append(each);
  }
  return order;
}

// Adds parts, in their order, as long as they leave room for `reserve` within `most`.
void AddWhileRoom(const std::vector<std::string_view>& parts, std::size_t reserve,
                  std::size_t enough, std::size_t most, const PromptHints& hints, Rng& rng,
                  Body& body) {
  for (std::string_view part : parts) {
    if (body.length() + reserve >= enough) return;
    std::string sentence = Expand(part, hints, rng);
    if (body.LengthWith(sentence) + reserve <= most) body.Add(sentence);
  }
}

std::string DraftBody(const PromptHints& hints, Range range, std::optional<std::uint64_t> turn,
                      Rng& rng) {
  Body body(range.high >= kParagraphLimit && !hints.question);
  Phrases openings = hints.question ? QuestionLeads(hints.direction) : Openings(hints.direction);
  Phrases endings = hints.question ? Questions(hints.angle) : Closings(hints.direction);
  std::string opening = Expand(Pick(openings, turn, rng), hints, rng);
  std::string ending = Expand(Pick(endings, turn, rng), hints, rng);
  body.Add(opening);
  std::size_t reserve = CountCodePoints(ending);
  // Aim anywhere in the range, so that lengths vary.
  std::size_t enough = range.low + rng.Below(range.high - std::min(range.low, range.high) + 1);
  std::size_t pool = 0;
  do {
    std::size_t before = body.length();
    AddWhileRoom(ObservationOrder(hints.angle, rng), reserve, enough, range.high, hints, rng, body);
    if (body.length() == before) break;
  } while (++pool < 100);
  AddWhileRoom(Shuffled(Fillers(), rng), reserve, range.low, range.high, hints, rng, body);
  if (body.LengthWith(ending) <= range.high || hints.question) body.Add(ending);
  return body.Take();
}

std::string WriteBody(const PromptHints& hints, double length_factor, std::uint64_t turn,
                      Rng& rng) {
  Range range = BodyRange(hints, length_factor);
  std::string best;
  std::size_t best_distance = static_cast<std::size_t>(-1);
  for (int attempt = 0; attempt < kAttempts && best_distance > 0; ++attempt) {
    bool by_turns = attempt < kAttemptsByTurns;
    std::string draft = DraftBody(hints, range, by_turns ? std::optional(turn) : std::nullopt, rng);
    std::size_t distance = range.Distance(CountCodePoints(draft));
    if (distance < best_distance) {
      best_distance = distance;
      best = std::move(draft);
    }
  }
  return best;
}

std::string WriteTitle(const PromptHints& hints, std::uint64_t turn, Rng& rng) {
  Phrases phrases = hints.question ? QuestionTitles() : Titles(hints.direction);
  std::size_t least = hints.question ? kMinQuestionTitleLength : 1;
  std::string title;
  for (std::size_t i = 0; i < phrases.size(); ++i) {
    title = Expand(Pick(phrases, turn + i, rng), hints, rng);
    std::size_t length = CountCodePoints(title);
    if (length >= least && length <= kMaxTitleLength) return title;
  }
  return std::string(TakeCodePoints(title, kMaxTitleLength));
}

std::string LaidOut(const Post& post, Shape shape) {
  const std::string& title = post.title;
  const std::string& body = post.body;
  std::string labels = "標題：" + title + "\n內容：" + body;
  switch (shape) {
    case Shape::kLabels: return labels;
    case Shape::kBold: return "**標題：** " + title + "\n**內容：** " + body;
    case Shape::kFence: return "```\n" + labels + "\n```";
    case Shape::kPreamble: return "以下是為您撰寫的貼文：\n\n" + labels;
    case Shape::kOneLine: return "標題：" + title + " 內容：" + body;
    case Shape::kBodyFirst: return "內容：" + body + "\n標題：" + title;
    case Shape::kSimplified: return "标题：" + title + "\n内容：" + body;
    case Shape::kBrackets: return "標題：[" + title + "]\n內容：[" + body + "]";
    case Shape::kNoLabels: return title + "\n\n" + body;
    case Shape::kTitleOnly: return "標題：" + title;
    case Shape::kBodyOnly: return body;
    case Shape::kMixed: break;
  }
  return labels;
}

std::string JsonPosts(const std::vector<Post>& posts) {
  JsonWriter json;
  auto write = [&json](const Post& post) {
    json.BeginObject().Key("title").String(post.title).Key("content").String(post.body);
    json.EndObject();
  };
  if (posts.size() == 1) {
    write(posts[0]);
    return json.Take();
  }
  json.BeginObject().Key("versions").BeginArray();
  for (const Post& post : posts) write(post);
  json.EndArray().EndObject();
  return json.Take();
}

}  // namespace

Post WritePost(const PromptHints& hints, double length_factor, std::uint64_t turn, Rng& rng) {
  Post post;
  post.title = WriteTitle(hints, turn, rng);
  post.body = WriteBody(hints, length_factor, turn, rng);
  return post;
}

std::string WriteAnswer(const PromptHints& hints, Shape shape, double length_factor,
                        std::uint64_t turn, std::uint64_t seed) {
  Rng rng(seed);
  if (shape == Shape::kMixed) {
    shape = static_cast<Shape>(rng.Below(static_cast<std::size_t>(Shape::kMixed)));
  } else if (shape == Shape::kLabels && !hints.labels) {
    // Nobody asked for labels: as a model would answer a plain prompt.
    shape = hints.title ? Shape::kNoLabels : Shape::kBodyOnly;
  }
  std::vector<Post> posts;
  for (std::size_t i = 0; i < hints.versions; ++i) {
    posts.push_back(WritePost(hints, length_factor, turn + i, rng));
  }
  if (hints.json) return JsonPosts(posts);
  if (posts.size() == 1) return LaidOut(posts[0], shape);
  std::string answer;
  for (std::size_t i = 0; i < posts.size(); ++i) {
    if (i > 0) answer += "\n\n";
    answer += "版本 " + ToText(i + 1) + "\n" + LaidOut(posts[i], shape);
  }
  return answer;
}

}  // namespace emulator
