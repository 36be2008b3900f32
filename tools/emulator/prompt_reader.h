// What a prompt asks for, as far as an emulated model has to know it.
#ifndef POSTGEN_EMULATOR_PROMPT_READER_H_
#define POSTGEN_EMULATOR_PROMPT_READER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "chat_request.h"

namespace emulator {

enum class Direction { kNone, kLimitUp, kLimitDown };

// Topics that an observation can be about.
enum class Angle { kAny, kTechnical, kFundamental, kSentiment, kStrategy, kRisk };

struct PromptHints {
  std::string stock_name;  // empty: none named
  std::string stock_code;
  std::size_t word_limit = 150;  // code points
  std::size_t word_target = 0;   // what the prompt asks to aim at; 0: no such wish
  bool labels = false;           // 標題 and 內容 are asked for as labels
  bool title = false;            // a title is asked for
  bool question = false;         // one question rather than an analysis
  bool json = false;
  std::size_t versions = 1;  // texts asked for in one answer
  Angle angle = Angle::kAny;
  Direction direction = Direction::kNone;
};

PromptHints ReadPrompt(const ChatRequest& request);

// The parts, open to tests.

// "台積電(2330)" or "台積電（2330）" within a sentence, or lines naming the one and the other.
void FindStock(std::string_view text, std::string* name, std::string* code);

// The limit in "150 個字以內"; of several, one that is called a limit and is not the title's.
// 0 if there is none.
std::size_t FindWordLimit(std::string_view text);

// The number in "以 160 字左右為目標"; 0 if there is none.
std::size_t FindWordTarget(std::string_view text);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_PROMPT_READER_H_
