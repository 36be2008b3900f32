#include "llm/wire/sse_parser.h"

#include <algorithm>

namespace postgen {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::size_t FindFrom(std::string_view text, char c, std::size_t from) {
  return std::min(text.find(c, from), text.size());
}

}  // namespace

void SseParser::Reset() {
  fragment_ = {};
  position_ = next_cr_ = next_lf_ = 0;
  line_.clear();
  ClearEvent();
  skip_lf_ = too_large_ = false;
  first_line_ = true;
}

void SseParser::Feed(std::string_view fragment) {
  fragment_ = fragment;
  position_ = 0;
  next_cr_ = FindFrom(fragment_, '\r', 0);
  next_lf_ = FindFrom(fragment_, '\n', 0);
}

SseParser::Step SseParser::Next(SseEvent* event) {
  if (dispatched_) ClearEvent();
  std::string_view line;
  bool borrowed = false;
  while (!too_large_ && TakeLine(&line, &borrowed)) {
    if (TooLarge(line.size())) {
      too_large_ = true;
      break;
    }
    if (!line.empty()) {
      ReadLine(line, borrowed);
    } else if (has_data_) {
      return Dispatch(event);
    } else {
      type_.clear();
    }
    line_.clear();
  }
  if (too_large_) return Step::kTooLarge;
  SpillView();  // the fragment is the caller's again
  return Step::kNeedMore;
}

SseParser::Step SseParser::AtEnd(SseEvent* event) {
  if (dispatched_) ClearEvent();
  if (too_large_) return Step::kTooLarge;
  if (!line_.empty()) ReadLine(line_, /*borrowed=*/false);
  line_.clear();
  return has_data_ ? Dispatch(event) : Step::kNeedMore;
}

// The next whole line without its end; false: the fragment has no more, its rest is kept.
bool SseParser::TakeLine(std::string_view* line, bool* borrowed) {
  if (skip_lf_ && position_ < fragment_.size()) {
    if (fragment_[position_] == '\n') ++position_;
    skip_lf_ = false;
  }
  const std::size_t end = FindLineEnd();
  const std::string_view piece = fragment_.substr(position_, end - position_);
  const bool whole = end < fragment_.size();
  position_ = whole ? end + 1 : end;
  if (whole) skip_lf_ = fragment_[end] == '\r';
  if (whole && line_.empty()) {
    *line = piece;
    *borrowed = true;
    return true;
  }
  line_.append(piece);
  if (!whole) {
    too_large_ = TooLarge(line_.size());
    return false;
  }
  *line = line_;
  *borrowed = false;
  return true;
}

std::size_t SseParser::FindLineEnd() {
  if (next_cr_ < position_) next_cr_ = FindFrom(fragment_, '\r', position_);
  if (next_lf_ < position_) next_lf_ = FindFrom(fragment_, '\n', position_);
  return std::min(next_cr_, next_lf_);
}

void SseParser::ReadLine(std::string_view line, bool borrowed) {
  if (first_line_ && line.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    line.remove_prefix(kByteOrderMark.size());
  }
  first_line_ = false;
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);  // empty: a comment
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (field == "data") {
    AppendData(value, borrowed);
  } else if (field == "event") {
    type_ = value;
  }
}

void SseParser::AppendData(std::string_view value, bool borrowed) {
  if (!has_data_ && borrowed) {
    data_view_ = value;
  } else {
    SpillView();
    if (has_data_) data_ += '\n';
    data_ += value;
  }
  has_data_ = true;
}

void SseParser::SpillView() {
  data_ += data_view_;
  data_view_ = {};
}

bool SseParser::TooLarge(std::size_t line_bytes) const {
  return line_bytes + data_.size() + data_view_.size() > max_event_bytes_;
}

SseParser::Step SseParser::Dispatch(SseEvent* event) {
  event->type = type_;
  event->data = data_.empty() ? data_view_ : std::string_view(data_);
  dispatched_ = true;
  return Step::kEvent;
}

void SseParser::ClearEvent() {
  type_.clear();
  data_.clear();
  data_view_ = {};
  has_data_ = dispatched_ = false;
}

}  // namespace postgen
