#include "version/body_cleaner.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace postgen {
namespace {

constexpr std::string_view kFence = "```";
constexpr std::string_view kBullet = "•";
// Characters that may begin a mark.
constexpr std::string_view kMarks = "-*_#`+";
// A longer run of marks means the same, and remembering it would cost time.
constexpr std::size_t kMaxRun = 80;

// Written as it is, wherever it comes within a line. Asked of every byte.
bool IsPlain(char c) {
  static constexpr auto kPlain = [] {
    std::array<bool, 256> plain{};
    plain.fill(true);
    for (const char special : {'\n', '*', '`', ' ', '\t'}) {
      plain[static_cast<unsigned char>(special)] = false;
    }
    return plain;
  }();
  return kPlain[static_cast<unsigned char>(c)];
}

bool IsRun(std::string_view text, std::string_view marks) {
  return !text.empty() && marks.find(text.front()) != std::string_view::npos &&
         text.find_first_not_of(text.front()) == std::string_view::npos;
}

// Is `line` a fence with at most a language behind it?
bool IsFenceLine(std::string_view line) {
  if (!line.starts_with(kFence)) return false;
  line.remove_prefix(std::min(line.find_first_not_of('`'), line.size()));
  return std::all_of(line.begin(), line.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+' || c == '_' ||
           c == ' ';
  });
}

// A line of nothing but marks: a rule or an empty heading.
bool IsMarkLine(std::string_view line) {
  return IsRun(line, "#") || (line.size() >= 3 && IsRun(line, "-*_"));
}

// The size of a heading's or list item's mark at the start of `line`; 0: none.
std::size_t LineMarkSize(std::string_view line) {
  if (line.starts_with(kBullet)) return kBullet.size();
  if (line.size() >= 2 && line[1] == ' ' && (line[0] == '-' || line[0] == '*' || line[0] == '+')) {
    return 2;
  }
  const std::size_t hashes = std::min(line.find_first_not_of('#'), line.size());
  return hashes >= 1 && hashes <= 6 && line.substr(hashes).starts_with(' ') ? hashes + 1 : 0;
}

std::string_view WithoutSpacesAtEnd(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// May more of the line change what its head is?
bool IsUndecided(std::string_view head) {
  return head.starts_with(kFence) || IsRun(WithoutSpacesAtEnd(head), kMarks) ||
         (head.size() < kBullet.size() && kBullet.starts_with(head));
}

}  // namespace

void BodyCleaner::Push(std::string_view text, std::string* out) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (!in_head_ && IsPlain(c)) {
      std::size_t end = at + 1;
      while (end < text.size() && IsPlain(text[end])) ++end;
      WriteMarks(out);
      Write(text.substr(at, end - at), out);
      at = end - 1;
    } else if (c == '\n') {
      EndLine(out);
    } else if (!in_head_) {
      PushInLine(c, out);
    } else if (!(head_.empty() && (c == ' ' || c == '\t')) &&
               !(head_.size() >= kMaxRun && head_.back() == c && IsRun(head_, kMarks))) {
      head_ += c;
      ReadLineHead(/*complete=*/false, out);
    }
  }
}

void BodyCleaner::End(std::string* out) { EndLine(out); }

void BodyCleaner::ReadLineHead(bool complete, std::string* out) {
  if (head_.empty() || (!complete && IsUndecided(head_))) return;
  if (complete && (IsFenceLine(head_) || IsMarkLine(WithoutSpacesAtEnd(head_)))) return;
  const std::string head = std::exchange(head_, {});
  in_head_ = false;
  for (const char c : std::string_view(head).substr(LineMarkSize(head))) PushInLine(c, out);
}

void BodyCleaner::EndLine(std::string* out) {
  if (in_head_) ReadLineHead(/*complete=*/true, out);
  WriteMarks(out);
  head_.clear();
  spaces_.clear();
  in_head_ = true;
  ++line_ends_;
}

void BodyCleaner::PushInLine(char c, std::string* out) {
  if (c == '*' || c == '`') {
    if (c != mark_) WriteMarks(out);
    mark_ = c;
    ++marks_;
    return;
  }
  WriteMarks(out);
  if (c == ' ' || c == '\t') {
    spaces_ += c;
  } else {
    Write({&c, 1}, out);
  }
}

void BodyCleaner::WriteMarks(std::string* out) {
  const bool markdown = (mark_ == '*' && marks_ >= 2) || (mark_ == '`' && marks_ >= 3);
  for (; !markdown && marks_ > 0; --marks_) Write({&mark_, 1}, out);
  marks_ = 0;
  mark_ = 0;
}

void BodyCleaner::Write(std::string_view text, std::string* out) {
  if (!empty_) {
    if (line_ends_ == 0) {
      *out += spaces_;
    } else {
      out->append(std::min<std::size_t>(line_ends_, 2), '\n');
    }
  }
  spaces_.clear();
  line_ends_ = 0;
  empty_ = false;
  *out += text;
}

}  // namespace postgen
