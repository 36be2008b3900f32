#include "version/early_stop.h"

#include "text/utf8.h"

namespace postgen {

EarlyStop::EarlyStop(std::int64_t max_words, std::string_view posting_type)
    : max_words_(max_words),
      needs_question_(MustEndInQuestion(posting_type)),
      body_([this](Event::Part part, std::string_view text) { Read(part, text); }) {}

void EarlyStop::Push(std::string_view piece) {
  reply_words_ += static_cast<std::int64_t>(CountCodePoints(piece));
  // Near the limit the place in the piece matters; before it, only the count does.
  const bool may_be_enough = reply_words_ > max_words_;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t begin = at;
    if (may_be_enough) {
      NextCodePoint(piece, &at);
    } else {
      at = piece.size();
    }
    body_grew_ = false;
    body_.Push(piece.substr(begin, at - begin));
    if (enough_) return;
    pushed_ += at - begin;
    if (body_grew_) body_end_ = pushed_;
  }
}

void EarlyStop::Read(Event::Part part, std::string_view text) {
  if (part != Event::Part::kContent) return;
  body_grew_ = true;
  for (std::size_t at = 0; at < text.size() && !enough_;) {
    const std::size_t begin = at;
    const char32_t c = NextCodePoint(text, &at);
    enough_ = IsEnough(sentences_.Push(c, at - begin));
  }
}

bool EarlyStop::IsEnough(const std::optional<SentenceEnd>& end) const {
  return end && end->words > max_words_ && (end->question || !needs_question_);
}

}  // namespace postgen
