#include "postgen/event_queue.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/executor.h"
#include "runtime/mutex.h"

namespace postgen {
namespace {

// A joined delta grows no further than this, so that a slow reader gets pieces it can handle.
constexpr std::size_t kMaxJoinedBytes = 64UL * 1024;

QueuedEvent Keep(const Event& event) {
  QueuedEvent kept;
  kept.type = event.type;
  kept.call_id = event.call_id;
  kept.version_number = event.version_number;
  kept.part = event.part;
  kept.text = std::string(event.text);
  if (event.version != nullptr)
    kept.version = std::make_shared<const VersionResult>(*event.version);
  kept.result = event.result;
  return kept;
}

bool IsLast(const Event& event) {
  return event.type == Event::Type::kPost || event.type == Event::Type::kError;
}

}  // namespace

// What the queue and its observers share. The descriptor is readable exactly while there is
// something to return: an event or a wake.
struct EventQueue::Shared {
  Shared() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    if (fd >= 0) ::close(fd);
  }

  void Push(const Event& event);
  void Wake();
  std::size_t Next(std::chrono::milliseconds timeout, std::size_t capacity,
                   std::vector<QueuedEvent>* out);

  const int fd;

 private:
  using VersionKey = std::pair<std::uint64_t, int>;  // call id, version number

  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !events_.empty() || wakes_ > 0;
  }
  bool Join(const Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeInto(std::size_t capacity, std::vector<QueuedEvent>* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateDescriptor() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CondVar ready_;
  Mutex mutex_;
  std::deque<QueuedEvent> events_ ABSL_GUARDED_BY(mutex_);
  // The newest waiting event of each version. Points into events_: a deque moves no element when
  // others come at its end or leave at its front.
  std::map<VersionKey, QueuedEvent*> newest_ ABSL_GUARDED_BY(mutex_);
  int wakes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool readable_ ABSL_GUARDED_BY(mutex_) = false;
};

void EventQueue::Shared::Push(const Event& event) {
  {
    MutexLock lock(&mutex_);
    if (Join(event)) return;
    events_.push_back(Keep(event));
    newest_[{event.call_id, event.version_number}] = &events_.back();
    UpdateDescriptor();
  }
  ready_.notify_one();
}

// The five versions of a post arrive interleaved, so a delta is joined to the newest event of its
// own version, wherever that waits; the order within a version stays as it was.
bool EventQueue::Shared::Join(const Event& event) {
  if (event.type != Event::Type::kDelta) return false;
  const auto found = newest_.find({event.call_id, event.version_number});
  if (found == newest_.end()) return false;
  QueuedEvent& newest = *found->second;
  if (newest.type != Event::Type::kDelta || newest.part != event.part) return false;
  if (newest.text.size() + event.text.size() > kMaxJoinedBytes) return false;
  newest.text += event.text;
  return true;
}

void EventQueue::Shared::Wake() {
  {
    MutexLock lock(&mutex_);
    ++wakes_;
    UpdateDescriptor();
  }
  ready_.notify_one();
}

std::size_t EventQueue::Shared::Next(std::chrono::milliseconds timeout, std::size_t capacity,
                                     std::vector<QueuedEvent>* out) {
  out->clear();
  if (capacity == 0) return 0;
  bool more = false;
  {
    MutexLock lock(&mutex_);
    if (timeout.count() < 0) {
      while (!Ready()) ready_.wait(mutex_);
    } else {
      const auto until = std::chrono::steady_clock::now() +
                         std::min<std::chrono::milliseconds>(timeout, kLongestWait);
      while (!Ready() && ready_.wait_until(mutex_, until) != std::cv_status::timeout) {
      }
    }
    TakeInto(capacity, out);
    if (wakes_ > 0) --wakes_;
    UpdateDescriptor();
    more = Ready();
  }
  if (more) ready_.notify_one();
  return out->size();
}

void EventQueue::Shared::TakeInto(std::size_t capacity, std::vector<QueuedEvent>* out) {
  while (out->size() < capacity && !events_.empty()) {
    QueuedEvent& first = events_.front();
    const auto found = newest_.find({first.call_id, first.version_number});
    if (found != newest_.end() && found->second == &first) newest_.erase(found);
    out->push_back(std::move(first));
    events_.pop_front();
  }
}

void EventQueue::Shared::UpdateDescriptor() {
  if (fd < 0 || readable_ == Ready()) return;
  readable_ = !readable_;
  // Neither call can block or fail: the counter goes from 0 to 1 and back.
  if (readable_) {
    (void)::eventfd_write(fd, 1);
  } else {
    eventfd_t count = 0;
    (void)::eventfd_read(fd, &count);
  }
}

class EventQueue::QueueObserver final : public Observer {
 public:
  QueueObserver(std::weak_ptr<Shared> queue, bool all_events)
      : queue_(std::move(queue)), all_events_(all_events) {}

  void OnEvent(const Event& event) override {
    if (!all_events_ && !IsLast(event)) return;
    if (const std::shared_ptr<Shared> queue = queue_.lock()) queue->Push(event);
  }

 private:
  const std::weak_ptr<Shared> queue_;
  const bool all_events_;
};

EventQueue::EventQueue() : shared_(std::make_shared<Shared>()) {}

EventQueue::~EventQueue() = default;

std::shared_ptr<Observer> EventQueue::NewObserver(bool all_events) {
  return std::make_shared<QueueObserver>(shared_, all_events);
}

int EventQueue::event_fd() const { return shared_->fd; }

std::size_t EventQueue::Next(std::chrono::milliseconds timeout, std::size_t capacity,
                             std::vector<QueuedEvent>* out) {
  return shared_->Next(timeout, capacity, out);
}

void EventQueue::Wake() { shared_->Wake(); }

}  // namespace postgen
