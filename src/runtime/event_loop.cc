#include "runtime/event_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "runtime/mutex.h"
#include "runtime/signal_mask.h"

namespace postgen {
namespace {

constexpr std::size_t kEventsPerTurn = 1024;
constexpr std::size_t kMaxThreadName = 15;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }

  // Takes the count of an eventfd or timerfd, so that it is no longer readable.
  void Drain() const {
    std::uint64_t count = 0;
    while (read(fd_, &count, sizeof count) < 0 && errno == EINTR) {
    }
  }

 private:
  const int fd_;
};

itimerspec ExpiryAt(TimePoint when) {
  const Duration since_epoch = when.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  itimerspec expiry{};
  expiry.it_value.tv_sec = seconds.count();
  expiry.it_value.tv_nsec = std::chrono::nanoseconds(since_epoch - seconds).count();
  return expiry;
}

}  // namespace

class EventLoop::Impl {
 public:
  Impl(const std::string& name, Duration tick);

  const Status& status() const { return status_; }
  bool InThread() const { return current_ == this; }
  void Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);
  TimerId RunAt(TimePoint when, Task task);
  void CancelTimer(TimerId timer);
  bool Watch(int fd, std::uint32_t events, FdCallback callback);
  void Relax(int fd);
  void Unwatch(int fd);
  void Forget(int fd);
  void StayAwakeUntil(TimePoint when) { awake_until_ = when; }
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Watcher {
    FdCallback callback;
    std::uint32_t events = 0;
    bool relaxed = false;
    bool retired = false;
  };
  using Timers = std::map<std::pair<TimePoint, TimerId>, Task>;

  Status Start(const std::string& name);
  void Run() noexcept;
  bool RunTasks() ABSL_LOCKS_EXCLUDED(mutex_);
  void RunTimers();
  void PollEvents() ABSL_LOCKS_EXCLUDED(mutex_);
  bool StaysAwake() const;
  bool MayBlock() ABSL_LOCKS_EXCLUDED(mutex_);
  bool ArmTimer();
  int Dispatch(const Descriptor& epoll, int timeout_ms);
  void PollRelaxed();
  void OpenGate();
  void CloseGateUntil(TimePoint when);
  static bool Control(const Descriptor& epoll, int operation, int fd, std::uint32_t events,
                      Watcher* watcher);
  void Retire(std::unique_ptr<Watcher> watcher);

  static thread_local const Impl* current_;  // whose loop this thread runs

  const Duration tick_;
  const Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  // Holds the relaxed descriptors. It is watched by epoll_ itself while the gate is open; while it
  // is closed they wake no one, and gate_timer_ looks at them.
  const Descriptor relaxed_{epoll_create1(EPOLL_CLOEXEC)};
  const Descriptor wake_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  const Descriptor timer_{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  Status status_;
  std::thread thread_;

  // Only on the loop's thread, or after Stop().
  std::vector<Task> batch_;
  Timers timers_;
  absl::flat_hash_map<TimerId, Timers::iterator> timer_by_id_;
  TimerId next_timer_ = 1;
  TimePoint armed_ = TimePoint::max();  // when timer_ fires next
  TimePoint awake_until_ = TimePoint::min();
  absl::flat_hash_map<int, std::unique_ptr<Watcher>> watchers_;
  // Unwatched or replaced, perhaps from inside their own callback or with events of theirs still in
  // the batch that is being handled: they go when it is done.
  std::vector<std::unique_ptr<Watcher>> retired_;
  std::size_t relaxed_count_ = 0;
  Watcher gate_;
  bool gate_open_ = false;
  TimerId gate_timer_ = 0;

  Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool asleep_ ABSL_GUARDED_BY(mutex_) = false;  // or about to be: a new task must wake the loop
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

thread_local const EventLoop::Impl* EventLoop::Impl::current_ = nullptr;

EventLoop::Impl::Impl(const std::string& name, Duration tick) : tick_(tick) {
  gate_.callback = [this](std::uint32_t) { PollRelaxed(); };
  status_ = Start(name);
  if (status_.ok()) return;
  const MutexLock lock(&mutex_);
  stopping_ = true;
}

Status EventLoop::Impl::Start(const std::string& name) {
  const bool watching = Watch(wake_.get(), EPOLLIN, [this](std::uint32_t) { wake_.Drain(); }) &&
                        Watch(timer_.get(), EPOLLIN, [this](std::uint32_t) {
                          timer_.Drain();
                          armed_ = TimePoint::max();
                        });
  OpenGate();
  if (!watching || !gate_open_) {
    return Error(Code::kNomem, "no file descriptors left for an event loop: raise the limit");
  }
  const AllSignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    return Error(Code::kNomem, "no thread left for an event loop: raise the limit");
  }
  pthread_setname_np(thread_.native_handle(), name.substr(0, kMaxThreadName).c_str());
  return {};
}

void EventLoop::Impl::Post(Task task) {
  bool wake = false;
  {
    const MutexLock lock(&mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
    wake = std::exchange(asleep_, false);
  }
  // Fails only where the counter is full, and then the loop is awake anyway.
  if (wake) eventfd_write(wake_.get(), 1);
}

TimerId EventLoop::Impl::RunAt(TimePoint when, Task task) {
  const TimerId timer = next_timer_++;
  timer_by_id_.emplace(timer, timers_.emplace(std::pair(when, timer), std::move(task)).first);
  return timer;
}

void EventLoop::Impl::CancelTimer(TimerId timer) {
  const auto found = timer_by_id_.find(timer);
  if (found == timer_by_id_.end()) return;
  // Out of the maps first: destroying a task may run code that comes back here.
  const auto cancelled = timers_.extract(found->second);
  timer_by_id_.erase(found);
}

bool EventLoop::Impl::Control(const Descriptor& epoll, int operation, int fd, std::uint32_t events,
                              Watcher* watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watcher;
  return epoll_ctl(epoll.get(), operation, fd, &event) == 0;
}

bool EventLoop::Impl::Watch(int fd, std::uint32_t events, FdCallback callback) {
  auto watcher = std::make_unique<Watcher>();
  watcher->callback = std::move(callback);
  watcher->events = events;
  std::unique_ptr<Watcher>& slot = watchers_[fd];
  if (slot != nullptr && slot->relaxed) Control(relaxed_, EPOLL_CTL_DEL, fd, 0, nullptr);
  // The kernel has forgotten a descriptor that its owner closed without unwatching: added anew.
  const bool known = slot != nullptr && !slot->relaxed;
  const bool watching = (known && Control(epoll_, EPOLL_CTL_MOD, fd, events, watcher.get())) ||
                        Control(epoll_, EPOLL_CTL_ADD, fd, events, watcher.get());
  Retire(std::exchange(slot, std::move(watcher)));
  return watching;
}

void EventLoop::Impl::Relax(int fd) {
  const auto found = watchers_.find(fd);
  if (found == watchers_.end() || found->second->relaxed) return;
  Watcher* const watcher = found->second.get();
  if (!Control(relaxed_, EPOLL_CTL_ADD, fd, watcher->events, watcher)) return;
  Control(epoll_, EPOLL_CTL_DEL, fd, 0, nullptr);
  watcher->relaxed = true;
  ++relaxed_count_;
}

void EventLoop::Impl::Unwatch(int fd) {
  const auto found = watchers_.find(fd);
  if (found == watchers_.end()) return;
  Control(found->second->relaxed ? relaxed_ : epoll_, EPOLL_CTL_DEL, fd, 0, nullptr);
  Retire(std::move(found->second));
  watchers_.erase(found);
}

void EventLoop::Impl::Forget(int fd) {
  const auto found = watchers_.find(fd);
  if (found == watchers_.end()) return;
  Retire(std::move(found->second));
  watchers_.erase(found);
}

void EventLoop::Impl::Retire(std::unique_ptr<Watcher> watcher) {
  if (watcher == nullptr) return;
  if (watcher->relaxed && --relaxed_count_ < kManyRelaxed) OpenGate();
  watcher->retired = true;
  retired_.push_back(std::move(watcher));
}

void EventLoop::Impl::OpenGate() {
  CancelTimer(std::exchange(gate_timer_, 0));
  if (!gate_open_) gate_open_ = Control(epoll_, EPOLL_CTL_ADD, relaxed_.get(), EPOLLIN, &gate_);
}

void EventLoop::Impl::CloseGateUntil(TimePoint when) {
  if (gate_open_) Control(epoll_, EPOLL_CTL_DEL, relaxed_.get(), 0, nullptr);
  gate_open_ = false;
  CancelTimer(gate_timer_);
  gate_timer_ = RunAt(when, [this] {
    gate_timer_ = 0;
    PollRelaxed();
  });
}

// Handles those of the relaxed descriptors that are ready. With many of them, the next look is a
// tick later; unless none was ready: then the next one to be so wakes us.
void EventLoop::Impl::PollRelaxed() {
  const TimePoint start = std::chrono::steady_clock::now();
  const int count = Dispatch(relaxed_, 0);
  if (count <= 0 || relaxed_count_ < kManyRelaxed) return OpenGate();
  const bool all = static_cast<std::size_t>(count) < kEventsPerTurn;
  CloseGateUntil(all ? start + tick_ : start);
}

void EventLoop::Impl::Run() noexcept {
  current_ = this;
  while (RunTasks()) {
    RunTimers();
    PollEvents();
  }
  // Dropped timers go on the thread where they would have run; their destructors may come back.
  timer_by_id_.clear();
  Timers dropped;
  dropped.swap(timers_);
  dropped.clear();
  current_ = nullptr;
}

// False: the loop is to end.
bool EventLoop::Impl::RunTasks() {
  bool stopping = false;
  {
    const MutexLock lock(&mutex_);
    batch_.swap(tasks_);
    stopping = stopping_;
  }
  for (Task& task : batch_) {
    task();
    task = nullptr;  // what it holds is not kept until the last of the batch has run
  }
  batch_.clear();
  return !stopping;
}

void EventLoop::Impl::RunTimers() {
  if (timers_.empty()) return;
  const TimePoint now = std::chrono::steady_clock::now();
  const TimerId first_new = next_timer_;  // those set meanwhile wait for the next turn
  while (!timers_.empty()) {
    const auto next = timers_.begin();
    const auto [when, timer] = next->first;
    if (when > now || timer >= first_new) return;
    Task task = std::move(next->second);
    timer_by_id_.erase(timer);
    timers_.erase(next);
    task();
  }
}

bool EventLoop::Impl::StaysAwake() const {
  // The clock is read only where there is something to compare.
  return awake_until_ != TimePoint::min() && std::chrono::steady_clock::now() < awake_until_;
}

// True: there is no task, and from now on a new one wakes the loop.
bool EventLoop::Impl::MayBlock() {
  const MutexLock lock(&mutex_);
  asleep_ = tasks_.empty() && !stopping_;
  return asleep_;
}

// Makes timer_ fire when the next timer is due; false: it is due now. It may fire early, for one
// that was cancelled.
bool EventLoop::Impl::ArmTimer() {
  if (timers_.empty()) return true;
  const TimePoint next = timers_.begin()->first.first;
  if (next <= std::chrono::steady_clock::now()) return false;
  if (next >= armed_) return true;
  const itimerspec expiry = ExpiryAt(next);
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &expiry, nullptr);
  armed_ = next;
  return true;
}

// Waits for what `epoll` watches and calls back for what is ready; returns how many that were.
int EventLoop::Impl::Dispatch(const Descriptor& epoll, int timeout_ms) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count =
      epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  if (timeout_ms != 0) {
    const MutexLock lock(&mutex_);
    asleep_ = false;
  }
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    auto* watcher = static_cast<Watcher*>(event.data.ptr);
    if (!watcher->retired) watcher->callback(event.events);
  }
  return count;
}

void EventLoop::Impl::PollEvents() {
  const bool awake = StaysAwake();
  const bool may_block = !awake && ArmTimer() && MayBlock();
  Dispatch(epoll_, may_block ? -1 : 0);
  if (awake) std::this_thread::yield();
  std::vector<std::unique_ptr<Watcher>> gone;  // their destructors may retire more
  gone.swap(retired_);
}

void EventLoop::Impl::Stop() {
  if (!thread_.joinable()) return;
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

EventLoop::EventLoop(const std::string& name, Duration tick)
    : impl_(std::make_unique<Impl>(name, tick)) {}
EventLoop::~EventLoop() { Stop(); }
const Status& EventLoop::status() const { return impl_->status(); }
TimePoint EventLoop::Now() const { return std::chrono::steady_clock::now(); }
void EventLoop::Post(Task task) { impl_->Post(std::move(task)); }
bool EventLoop::InThread() const { return impl_->InThread(); }
TimerId EventLoop::RunAt(TimePoint when, Task task) { return impl_->RunAt(when, std::move(task)); }
void EventLoop::CancelTimer(TimerId timer) { impl_->CancelTimer(timer); }
void EventLoop::Watch(int fd, std::uint32_t events, FdCallback callback) {
  impl_->Watch(fd, events, std::move(callback));
}
void EventLoop::Relax(int fd) { impl_->Relax(fd); }
void EventLoop::Unwatch(int fd) { impl_->Unwatch(fd); }
void EventLoop::Forget(int fd) { impl_->Forget(fd); }
void EventLoop::StayAwakeUntil(TimePoint when) { impl_->StayAwakeUntil(when); }
void EventLoop::Stop() { impl_->Stop(); }

}  // namespace postgen
