// Faults on demand: a rule names a fault and the share of calls that meet it.
//
//   --fail status=503:0.1     one call in ten, drawn from the seed
//   --fail reset@25           every 25th call
//   --fail quota#3            the first three calls
//   --fail cut=12             every call
#ifndef POSTGEN_EMULATOR_FAULTS_H_
#define POSTGEN_EMULATOR_FAULTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace emulator {

enum class FaultKind {
  // An answer instead of the completion.
  kStatus,
  kQuota,
  kSlowDown,
  kRetryAfter,
  kRedirect,
  kHtml,
  kEmpty,
  kError200,
  kHttpGarbage,
  kBigHeader,
  // No answer, or not all of it.
  kReset,
  kStall,
  kStallHeaders,
  kResetAfter,
  kStallAfter,
  kCut,
  kChunkedCut,
  kEofCut,
  kSlowClose,
  kCloseAfter,
  kEndless,
  kComments,
  // Events of a stream.
  kErrorMid,
  kNoDone,
  kFakeDone,
  kGarbage,
  kKeepaliveEvent,
  kFilterChunks,
  kChoiceIndex,
  // The message.
  kEmptyContent,
  kNullContent,
  kRefusal,
  kContentFilter,
  kLength,
  kBadUtf8,
  kLoneSurrogate,
  kSplitSurrogate,
  kNulContent,
  kBigEvent,
  // The bytes.
  kByteByByte,
  kCrlf,
  kCr,
  kBom,
  kContentLengthTooLarge,
  kTrailingBytes,
  kGzip,
};

struct Fault {
  FaultKind kind = FaultKind::kStatus;
  std::int64_t number = 0;  // the value of a fault that takes a number
  std::string text;         // the value of one that takes text
};

struct FaultRule {
  enum class When { kAlways, kShare, kEvery, kFirst };

  Fault fault;
  When when = When::kAlways;
  double share = 1;
  std::int64_t count = 0;  // of kEvery and kFirst
  std::string spec;        // as it was given
};

// Parses KIND[=VALUE]. Nothing, with a one-line reason, if there is no such fault or the value is
// out of bounds.
std::optional<Fault> ParseFault(std::string_view text, std::string* error);

// Parses KIND[=VALUE][:share|@every|#count].
std::optional<FaultRule> ParseFaultRule(std::string_view text, std::string* error);

// The name as it is written in a rule, with its value.
std::string FaultName(const Fault& fault);

// One line a fault, for --help.
std::string FaultsHelp();

// Decides which call meets which fault. The first rule that matches wins.
class FaultPlan {
 public:
  // `rules` replaces the rules and starts their counts anew.
  void SetRules(std::vector<FaultRule> rules);

  // To be called once a call; `seed` and `index` decide the rules with a share.
  std::optional<Fault> Draw(std::uint64_t seed, std::uint64_t index);

 private:
  struct CountedRule {
    FaultRule rule;
    std::int64_t seen = 0;
  };
  std::vector<CountedRule> rules_;
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_FAULTS_H_
