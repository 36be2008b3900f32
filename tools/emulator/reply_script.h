// A reply as bytes with a timetable. Every reply is one, from an error body to a paced stream or a
// fault, so that the connection only has to play it.
#ifndef POSTGEN_EMULATOR_REPLY_SCRIPT_H_
#define POSTGEN_EMULATOR_REPLY_SCRIPT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "clock.h"

namespace emulator {

enum class Ending {
  kKeepAlive,  // the next request may come
  kClose,      // say goodbye and close
  kCut,        // close without a TLS goodbye
  kReset,      // RST
  kHold,       // stay open and silent until the client goes
};

struct ReplyScript {
  struct Step {
    Duration due;     // after the start of the reply
    std::size_t end;  // bytes [end of the step before, end) go out then
  };
  // Once the steps are done, bytes [begin, bytes.size()) go out for ever, one round each interval.
  struct Loop {
    std::size_t begin;
    Duration interval;
  };

  std::string bytes;
  std::vector<Step> steps;  // due and end never fall
  std::optional<Loop> loop;
  Ending ending = Ending::kKeepAlive;
  bool byte_by_byte = false;

  // All bytes added since the last step are due at `due`.
  void EndStep(Duration due) { steps.push_back({due, bytes.size()}); }
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_REPLY_SCRIPT_H_
