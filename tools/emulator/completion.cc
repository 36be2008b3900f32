#include "completion.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "json_writer.h"
#include "prompt_reader.h"
#include "random.h"
#include "text_writer.h"
#include "tokens.h"

namespace emulator {
namespace {

constexpr std::string_view kRefusalText = "很抱歉，這個請求我無法協助。";

std::string HexId(std::uint64_t a, std::uint64_t b) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id;
  for (std::uint64_t part : {Mix(a, b), Mix(b, a)}) {
    for (int shift = 60; shift >= 0; shift -= 4) id.push_back(kDigits[(part >> shift) & 0xF]);
  }
  return id;
}

std::uint64_t PromptHash(const ChatRequest& request) {
  std::uint64_t hash = HashText(request.model);
  for (const ChatMessage& message : request.messages) hash = Mix(hash, HashText(message.text));
  return hash;
}

// Cuts at the first stop sequence, which is not part of the answer.
void CutAtStop(const std::vector<std::string>& stops, std::string* text) {
  for (const std::string& stop : stops) {
    if (!stop.empty()) text->resize(std::min(text->size(), text->find(stop)));
  }
}

// Splits the text into its tokens, at most `limit` of them.
void FillPieces(std::optional<std::int64_t> limit, JsonEscapes escapes, Choice* choice) {
  std::vector<std::size_t> ends = TokenEnds(choice->text);
  if (limit && ends.size() > static_cast<std::size_t>(*limit)) {
    ends.resize(static_cast<std::size_t>(*limit));
    choice->text.resize(ends.empty() ? 0 : ends.back());
    choice->finish_reason = "length";
  }
  choice->pieces.reserve(ends.size());
  std::size_t begin = 0;
  for (std::size_t end : ends) {
    std::string piece;
    AppendJsonEscaped(piece, std::string_view(choice->text).substr(begin, end - begin), escapes);
    choice->pieces.push_back(std::move(piece));
    begin = end;
  }
}

void Halve(std::string finish_reason, Choice* choice) {
  std::vector<std::size_t> ends = TokenEnds(choice->text);
  std::size_t kept = choice->pieces.size() / 2;
  choice->text.resize(kept == 0 ? 0 : ends[kept - 1]);
  choice->pieces.resize(kept);
  choice->finish_reason = std::move(finish_reason);
}

// Puts raw bytes of a JSON string after the first piece.
void Inject(std::string_view raw, Choice* choice) {
  if (choice->pieces.empty()) choice->pieces.emplace_back();
  choice->pieces[0] += raw;
}

// The faults that change what a choice says.
void ApplyFault(const Fault& fault, Choice* choice) {
  switch (fault.kind) {
    case FaultKind::kEmptyContent:
      choice->text.clear();
      choice->pieces.clear();
      break;
    case FaultKind::kNullContent:
      choice->field = Choice::Field::kNull;
      choice->text.clear();
      choice->pieces.clear();
      break;
    case FaultKind::kRefusal:
      choice->field = Choice::Field::kRefusal;
      choice->text = kRefusalText;
      choice->pieces.clear();
      FillPieces(std::nullopt, JsonEscapes::kMinimal, choice);
      break;
    case FaultKind::kContentFilter: Halve("content_filter", choice); break;
    case FaultKind::kLength: Halve("length", choice); break;
    case FaultKind::kBadUtf8: Inject("\xff\xfe", choice); break;
    case FaultKind::kLoneSurrogate: Inject("\\ud83d", choice); break;
    case FaultKind::kNulContent: Inject("\\u0000", choice); break;
    case FaultKind::kSplitSurrogate:
      choice->pieces.resize(std::max<std::size_t>(choice->pieces.size(), 2));
      choice->pieces[0] += "\\ud83d";
      choice->pieces[1].insert(0, "\\ude80");
      break;
    case FaultKind::kBigEvent:
      choice->text.assign(static_cast<std::size_t>(fault.number), 'a');
      choice->pieces.assign(1, choice->text);
      break;
    case FaultKind::kChoiceIndex: choice->index = fault.number; break;
    default: break;
  }
}

}  // namespace

std::vector<std::int64_t> Completion::ChoiceTokens() const {
  std::vector<std::int64_t> tokens;
  for (const Choice& choice : choices) {
    tokens.push_back(static_cast<std::int64_t>(choice.pieces.size()));
  }
  return tokens;
}

Completion Complete(const ChatRequest& request, const Settings& settings, std::uint64_t index,
                    const std::optional<Fault>& fault) {
  auto seed = static_cast<std::uint64_t>(settings.seed);
  // A request that brings its own seed gets the same text again, whenever it comes.
  std::uint64_t luck = request.seed ? Mix(1, static_cast<std::uint64_t>(*request.seed)) : index;
  std::uint64_t text_seed = Mix(Mix(seed, luck), PromptHash(request));

  Completion completion;
  completion.id = "chatcmpl-" + HexId(seed, index).substr(0, 29);
  completion.created = static_cast<std::int64_t>(std::time(nullptr));
  completion.model = request.model;
  completion.prompt_tokens = CountPromptTokens(request);

  PromptHints hints = ReadPrompt(request);
  std::optional<std::int64_t> limit = request.TokenLimit();
  std::int64_t reasoning = IsReasoningModel(request.model) ? settings.reasoning_tokens : 0;
  if (limit) reasoning = std::min(reasoning, *limit);
  completion.reasoning_tokens = reasoning * request.n;
  JsonEscapes escapes = settings.escape_unicode ? JsonEscapes::kAscii : JsonEscapes::kMinimal;
  for (std::int64_t i = 0; i < request.n; ++i) {
    Choice choice;
    choice.index = i;
    auto number = static_cast<std::uint64_t>(i);
    choice.text = WriteAnswer(hints, settings.shape, settings.length_factor, luck + number,
                              Mix(text_seed, number));
    CutAtStop(request.stop, &choice.text);
    FillPieces(limit ? std::optional(*limit - reasoning) : std::nullopt, escapes, &choice);
    if (fault) ApplyFault(*fault, &choice);
    completion.choices.push_back(std::move(choice));
  }
  return completion;
}

}  // namespace emulator
