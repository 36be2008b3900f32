#include "postgen/event_queue.h"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/executor.h"
#include "runtime/mutex.h"

namespace postgen {
namespace {

// A joined delta grows no further than this, so that a slow reader gets pieces it can handle.
constexpr std::size_t kMaxJoinedBytes = 64UL * 1024;

// Unread text with which a version is paused, and with which it goes on again.
constexpr std::size_t kPauseBytes = 64UL * 1024;
constexpr std::size_t kResumeBytes = 16UL * 1024;

// Places of taken events, kept for new ones.
constexpr std::size_t kMaxSpare = 1024;
constexpr std::size_t kMaxSpareBytes = 1024;  // of a place's text

bool IsLast(const Event& event) {
  return event.type == Event::Type::kPost || event.type == Event::Type::kError;
}

}  // namespace

// What the queue and its observers share. The descriptor is readable exactly while there is
// something to return: an event or a wake; for deltas alone, from the end of their burst.
struct EventQueue::Shared {
  struct Item;
  // One version of one post, from its first event to its last.
  struct Stream {
    Item* newest = nullptr;  // still waiting
    std::size_t unread_bytes = 0;
    std::shared_ptr<Flow> paused;  // null: not held back
  };
  struct Item {
    QueuedEvent event;
    std::shared_ptr<Stream> stream;
  };

  Shared() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  // Nobody reads any more: what was held back may run to its end.
  ~Shared() {
    if (fd >= 0) ::close(fd);
    for (const Item& item : waiting_) Resume(item.stream.get());
    for (const auto& [call_id, flows] : held_) ResumeAll(flows);
  }

  void Push(const Event& event, const std::shared_ptr<Stream>& stream);
  void Announce();
  void Wake();
  void Hold(std::uint64_t call_id);
  void Release(std::uint64_t call_id);
  std::size_t Next(std::chrono::milliseconds timeout, std::size_t capacity,
                   std::vector<QueuedEvent>* out);

  const int fd;

 private:
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !waiting_.empty() || wakes_ > 0;
  }
  bool Join(const Event& event, Stream* stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Item* NewItem() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeInto(std::size_t capacity, std::vector<QueuedEvent>* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Recycle(std::list<Item>::iterator taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateDescriptor() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Resume(Stream* stream) {
    if (stream->paused != nullptr) std::exchange(stream->paused, nullptr)->Resume();
  }

  using Flows = std::set<std::shared_ptr<Flow>>;
  static void ResumeAll(const Flows& flows) {
    for (const auto& flow : flows) flow->Resume();
  }

  CondVar ready_;
  Mutex mutex_;
  std::list<Item> waiting_ ABSL_GUARDED_BY(mutex_);
  std::list<Item> spare_ ABSL_GUARDED_BY(mutex_);
  std::map<std::uint64_t, Flows> held_ ABSL_GUARDED_BY(mutex_);  // by call: those that are paused
  int wakes_ ABSL_GUARDED_BY(mutex_) = 0;
  int waiters_ ABSL_GUARDED_BY(mutex_) = 0;  // threads in Next
  bool readable_ ABSL_GUARDED_BY(mutex_) = false;
};

void EventQueue::Shared::Push(const Event& event, const std::shared_ptr<Stream>& stream) {
  const bool is_delta = event.type == Event::Type::kDelta;
  {
    MutexLock lock(&mutex_);
    if (is_delta) {
      stream->unread_bytes += event.text.size();
      if (stream->unread_bytes > kPauseBytes && event.flow != nullptr) {
        stream->paused = event.flow;
        event.flow->Pause();
      }
      if (!held_.empty() && event.flow != nullptr) {
        if (const auto held = held_.find(event.call_id); held != held_.end()) {
          held->second.insert(event.flow);
          event.flow->Pause();
        }
      }
      if (Join(event, stream.get())) return;
    }
    Item* const item = NewItem();
    QueuedEvent& kept = item->event;
    kept.type = event.type;
    kept.call_id = event.call_id;
    kept.version_number = event.version_number;
    kept.part = event.part;
    kept.text = event.text;
    if (event.version != nullptr) {
      kept.version = std::make_shared<const VersionResult>(*event.version);
    }
    kept.result = event.result;
    item->stream = stream;
    stream->newest = item;
  }
  if (!is_delta) Announce();
}

// The five versions of a post arrive interleaved, so a delta is joined to the newest event of its
// own version, wherever that waits; the order within a version stays as it was.
bool EventQueue::Shared::Join(const Event& event, Stream* stream) {
  if (stream->newest == nullptr) return false;
  QueuedEvent& newest = stream->newest->event;
  if (newest.type != Event::Type::kDelta || newest.part != event.part) return false;
  if (newest.text.size() + event.text.size() > kMaxJoinedBytes) return false;
  newest.text += event.text;
  return true;
}

EventQueue::Shared::Item* EventQueue::Shared::NewItem() {
  if (spare_.empty()) {
    waiting_.emplace_back();
  } else {
    waiting_.splice(waiting_.end(), spare_, spare_.begin());
  }
  return &waiting_.back();
}

// Once is enough until all is taken: a reader that leaves something wakes the next one.
void EventQueue::Shared::Announce() {
  bool notify = false;
  {
    MutexLock lock(&mutex_);
    notify = !readable_ && waiters_ > 0;
    UpdateDescriptor();
  }
  if (notify) ready_.notify_one();
}

void EventQueue::Shared::Wake() {
  {
    MutexLock lock(&mutex_);
    ++wakes_;
  }
  Announce();
}

void EventQueue::Shared::Hold(std::uint64_t call_id) {
  const MutexLock lock(&mutex_);
  held_.try_emplace(call_id);
}

// Those that are paused for too much unread text as well go on a little early, and are paused again
// by their next delta.
void EventQueue::Shared::Release(std::uint64_t call_id) {
  Flows flows;
  {
    const MutexLock lock(&mutex_);
    const auto held = held_.find(call_id);
    if (held == held_.end()) return;
    flows = std::move(held->second);
    held_.erase(held);
  }
  ResumeAll(flows);
}

std::size_t EventQueue::Shared::Next(std::chrono::milliseconds timeout, std::size_t capacity,
                                     std::vector<QueuedEvent>* out) {
  if (capacity == 0) {
    out->clear();
    return 0;
  }
  bool more = false;
  {
    MutexLock lock(&mutex_);
    ++waiters_;
    if (timeout.count() < 0) {
      while (!Ready()) ready_.wait(mutex_);
    } else if (!Ready()) {
      const auto until = std::chrono::steady_clock::now() +
                         std::min<std::chrono::milliseconds>(timeout, kLongestWait);
      while (!Ready() && ready_.wait_until(mutex_, until) != std::cv_status::timeout) {
      }
    }
    --waiters_;
    TakeInto(capacity, out);
    if (wakes_ > 0) --wakes_;
    UpdateDescriptor();
    more = Ready() && waiters_ > 0;
  }
  if (more) ready_.notify_one();
  return out->size();
}

// Events change places with those that `out` still holds from before, whose memory is used again.
void EventQueue::Shared::TakeInto(std::size_t capacity, std::vector<QueuedEvent>* out) {
  std::size_t taken = 0;
  for (; taken < capacity && !waiting_.empty(); ++taken) {
    const auto first = waiting_.begin();
    Stream& stream = *first->stream;
    if (stream.newest == &*first) stream.newest = nullptr;
    stream.unread_bytes -= first->event.text.size();
    if (stream.unread_bytes <= kResumeBytes) Resume(&stream);
    if (taken == out->size()) out->emplace_back();
    std::swap((*out)[taken], first->event);
    Recycle(first);
  }
  out->resize(taken);
}

void EventQueue::Shared::Recycle(std::list<Item>::iterator taken) {
  if (spare_.size() == kMaxSpare || taken->event.text.capacity() > kMaxSpareBytes) {
    waiting_.erase(taken);
    return;
  }
  taken->event.version.reset();
  taken->event.result.reset();
  taken->stream.reset();
  spare_.splice(spare_.begin(), waiting_, taken);
}

void EventQueue::Shared::UpdateDescriptor() {
  if (readable_ == Ready()) return;
  readable_ = !readable_;
  if (fd < 0) return;
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
    const std::shared_ptr<Shared> queue = queue_.lock();
    if (queue == nullptr) return;
    queue->Push(event, FindStream(event));
  }

  void OnBurstEnd() override {
    if (const std::shared_ptr<Shared> queue = queue_.lock()) queue->Announce();
  }

 private:
  using VersionKey = std::pair<std::uint64_t, int>;  // call id, version number

  std::shared_ptr<Shared::Stream> FindStream(const Event& event) {
    const MutexLock lock(&mutex_);
    if (IsLast(event)) {  // and so are the post's versions at their end
      streams_.erase(streams_.lower_bound({event.call_id, 0}),
                     streams_.lower_bound({event.call_id + 1, 0}));
      return std::make_shared<Shared::Stream>();
    }
    std::shared_ptr<Shared::Stream>& stream = streams_[{event.call_id, event.version_number}];
    if (stream == nullptr) stream = std::make_shared<Shared::Stream>();
    return stream;
  }

  const std::weak_ptr<Shared> queue_;
  const bool all_events_;

  Mutex mutex_;
  std::map<VersionKey, std::shared_ptr<Shared::Stream>> streams_ ABSL_GUARDED_BY(mutex_);
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

void EventQueue::Hold(std::uint64_t call_id) { shared_->Hold(call_id); }

void EventQueue::Release(std::uint64_t call_id) { shared_->Release(call_id); }

}  // namespace postgen
