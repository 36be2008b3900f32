// An observer that queues events until they are pulled: the bridge to threads and event loops that
// are not ours. One queue may serve any number of posts; a single descriptor becomes readable while
// events wait, so that an event loop wakes once for many of them.
//
//   postgen::EventQueue queue;
//   auto call = generator->Start(request, queue.NewObserver(/*all_events=*/true));
//   std::vector<postgen::QueuedEvent> events;
//   while (queue.Next(std::chrono::seconds(1), 64, &events) > 0) Handle(events);
//
// A reader that stays behind holds its streams back: a version with 64 KB of text unread is paused
// (flow.h) until most of it has been taken. Nothing is lost, and other versions go on.
#ifndef POSTGEN_EVENT_QUEUE_H_
#define POSTGEN_EVENT_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postgen/export.h"
#include "postgen/observer.h"

namespace postgen {

// An Event that owns what it shows.
struct QueuedEvent {
  Event::Type type = Event::Type::kPost;
  std::uint64_t call_id = 0;
  int version_number = 0;
  Event::Part part = Event::Part::kNone;
  std::string text;  // kDelta; consecutive deltas of one part may arrive joined
  std::shared_ptr<const VersionResult> version;  // kVersionDone
  std::shared_ptr<const PostResult> result;      // kPost, kError
};

class POSTGEN_EXPORT EventQueue {
 public:
  EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;
  // Observers made by NewObserver may outlive the queue; their events are dropped then.
  ~EventQueue();

  // An observer that feeds this queue: every event, or the final one alone. Thread-safe.
  std::shared_ptr<Observer> NewObserver(bool all_events);

  // Readable (poll, epoll, select) while events wait. Owned by the queue; do not read from it.
  int event_fd() const;

  // Moves up to `capacity` waiting events to *out (what it held goes; its memory is used again) and
  // returns how many. With none waiting, waits until one comes, `timeout` passes (0: not at all;
  // negative: without limit) or Wake() is called. Thread-safe.
  std::size_t Next(std::chrono::milliseconds timeout, std::size_t capacity,
                   std::vector<QueuedEvent>* out);

  // Makes one waiting Next() return now, empty-handed if nothing waits. Thread-safe.
  void Wake();

  // For a reader that hands events on: the one to whom those of this call go stays behind. Its
  // versions are paused, each after the next delta, until Release(). Thread-safe.
  void Hold(std::uint64_t call_id);
  // No-op for a call that is not held. Each Hold() needs one, also after the call's end.
  void Release(std::uint64_t call_id);

 private:
  struct Shared;
  class QueueObserver;
  std::shared_ptr<Shared> shared_;
};

}  // namespace postgen

#endif  // POSTGEN_EVENT_QUEUE_H_
