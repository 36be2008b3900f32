// Events of a running post, the same in every language:
//
//   version_started  a version's call was sent             version_number
//   delta            text of a version arrived             version_number, part, text
//   version_reset    discard the version's deltas       version_number; with `restarts` only
//   version_done     a version ended; its final text wins  version_number, version
//   post             the post ended; always last           result (good or bad)
//   error            the post was refused or failed        result; in place of `post`
#ifndef POSTGEN_OBSERVER_H_
#define POSTGEN_OBSERVER_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "postgen/flow.h"
#include "postgen/types.h"

namespace postgen {

struct Event {
  enum class Type : std::int32_t {
    kVersionStarted = 1,
    kDelta = 2,
    kVersionDone = 3,
    kVersionReset = 4,
    kPost = 5,
    kError = 6,
  };
  enum class Part : std::int32_t { kNone = 0, kTitle = 1, kContent = 2 };

  Type type = Type::kPost;
  std::uint64_t call_id = 0;
  int version_number = 0;
  Part part = Part::kNone;
  std::string_view text;                   // kDelta: parsed text without labels or fences; borrowed
  const VersionResult* version = nullptr;  // kVersionDone; borrowed
  std::shared_ptr<Flow> flow;              // kDelta: holds the version back; may be null
  std::shared_ptr<const PostResult> result;  // kPost, kError
};

// Listens to one post. OnEvent is called on the generator's reactor thread, one event at a time: it
// must return quickly, must not block, and must not destroy the generator. It may cancel calls. See
// event_queue.h for a listener that hands events to a thread or event loop of yours.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnEvent(const Event& event) = 0;

  // After one or more deltas: there are no more for now. On the reactor thread, once a turn of it,
  // however many streams brought something; a listener that wakes another thread for text does so
  // here, and one that wraps another passes it on.
  virtual void OnBurstEnd() {}
};

}  // namespace postgen

#endif  // POSTGEN_OBSERVER_H_
