#include "engine.h"

#include <algorithm>
#include <utility>

#include "guard.h"
#include "objects.h"
#include "postgen/json.h"

namespace postgen::capi {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kWithoutLimit{-1};
// Longer waits are cut to this, so that no sum overflows.
constexpr std::int64_t kLongestWaitMs = std::int64_t{365} * 24 * 3600 * 1000;
// Few, so that a new callback soon takes over.
constexpr std::size_t kPushBatch = 16;
constexpr std::size_t kMaxBatch = 1024;

bool HasDocument(Event::Type type) {
  return type == Event::Type::kVersionDone || type == Event::Type::kPost ||
         type == Event::Type::kError;
}

}  // namespace

// --- EventBatch ---------------------------------------------------------------------------------

std::size_t EventBatch::Take(EventQueue* queue, milliseconds timeout, std::size_t capacity) {
  capacity = std::min(capacity, kMaxBatch);
  documents_.assign(capacity, std::string());
  queue->Next(timeout, capacity, &events_);
  for (std::size_t i = 0; i < events_.size(); ++i) {
    if (!HasDocument(events_[i].type)) continue;
    // Without memory for its document an event is still an event.
    GuardVoid([&] { documents_[i] = EventToJson(events_[i]); });
  }
  return events_.size();
}

postgen_event EventBatch::Show(std::size_t index) const {
  const QueuedEvent& event = events_[index];
  postgen_event shown{};
  shown.type = static_cast<std::int32_t>(event.type);
  shown.part = static_cast<std::int32_t>(event.part);
  shown.version_number = event.version_number;
  shown.call_id = event.call_id;
  shown.text = Borrow(event.text);
  shown.json = Borrow(documents_[index]);
  return shown;
}

// --- Uses ---------------------------------------------------------------------------------------

bool Engine::Begin() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closing_) return false;
  ++uses_;
  return true;
}

void Engine::End() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--uses_ == 0) changed_.notify_all();
}

void Engine::Shutdown() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  events_.Wake();                                         // whoever pulls
  static_cast<void>(generator_->Close(milliseconds(0)));  // whoever waits for a post
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return uses_ == 0; });
  }
  generator_.reset();  // after that, no event comes
  StopPushing(Push::kStopWhenEmpty);
}

// --- Pull ---------------------------------------------------------------------------------------

bool Engine::BeginPull(steady_clock::time_point until) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto decided = [this] { return !pulling_ || pushing_ || closing_; };
  if (!changed_.wait_until(lock, until, decided) || pushing_ || closing_) return false;
  pulling_ = true;
  return true;
}

void Engine::EndPull() {
  const std::lock_guard<std::mutex> lock(mutex_);
  pulling_ = false;
  changed_.notify_all();
}

std::size_t Engine::Pull(std::int64_t timeout_ms, postgen_event* out, std::size_t capacity) {
  const bool forever = timeout_ms < 0;
  const auto until = steady_clock::now() +
                     milliseconds(forever ? kLongestWaitMs : std::min(timeout_ms, kLongestWaitMs));
  if (!BeginPull(until)) return 0;
  struct Turn {
    Engine* engine;
    ~Turn() { engine->EndPull(); }
  } const turn{this};

  // Rounded up: a wait that is cut short would make the caller spin.
  const milliseconds left =
      std::max(std::chrono::ceil<milliseconds>(until - steady_clock::now()), milliseconds(0));
  const std::size_t count = pulled_.Take(&events_, forever ? kWithoutLimit : left, capacity);
  for (std::size_t i = 0; i < count; ++i) out[i] = pulled_.Show(i);
  return count;
}

// --- Push ---------------------------------------------------------------------------------------

void Engine::SetCallback(const postgen_callback* callback) {
  const std::lock_guard<std::mutex> setting(setting_mutex_);
  if (callback == nullptr) return StopPushing(Push::kStopNow);

  auto listener = std::make_unique<Listener>(*callback);
  UserData* const user_data = &listener->user_data;
  if (push_thread_.joinable()) {
    const std::lock_guard<std::mutex> lock(listener_mutex_);
    listener_.swap(listener);
  } else {
    StartPushing(std::move(listener));
  }
  user_data->Arm();
}

void Engine::StartPushing(std::unique_ptr<Listener> listener) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    pushing_ = true;
    changed_.notify_all();
    events_.Wake();
    changed_.wait(lock, [this] { return !pulling_; });
  }
  listener_ = std::move(listener);
  try {
    push_thread_ = StartThread([this] { PushEvents(); });
  } catch (...) {
    listener_.reset();
    const std::lock_guard<std::mutex> lock(mutex_);
    pushing_ = false;
    throw;
  }
}

void Engine::StopPushing(Push how) {
  if (!push_thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(listener_mutex_);
    push_ = how;
  }
  events_.Wake();
  push_thread_.join();
  listener_.reset();
  push_ = Push::kGoOn;
  const std::lock_guard<std::mutex> lock(mutex_);
  pushing_ = false;
}

void Engine::PushEvents() {
  EventBatch batch;
  milliseconds timeout = kWithoutLimit;
  for (;;) {
    GuardVoid([&] { batch.Take(&events_, timeout, kPushBatch); });
    const Push push = Deliver(batch);
    if (push == Push::kStopNow) return;
    if (push == Push::kStopWhenEmpty) {
      if (batch.size() == 0) return;
      timeout = milliseconds(0);
    }
  }
}

Engine::Push Engine::Deliver(const EventBatch& batch) {
  const std::lock_guard<std::mutex> lock(listener_mutex_);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const postgen_event event = batch.Show(i);
    CallOut([&] { listener_->on_event(listener_->user_data.get(), &event); });
  }
  return push_;
}

}  // namespace postgen::capi
