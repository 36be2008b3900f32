// What is behind a postgen_generator: the generator, its events, and the way they leave.
#ifndef POSTGEN_CAPI_ENGINE_H_
#define POSTGEN_CAPI_ENGINE_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "callbacks.h"
#include "handles.h"
#include "postgen/c.h"
#include "postgen/event_queue.h"
#include "postgen/generator.h"

namespace postgen::capi {

// Events that were taken from the queue, and what a postgen_event borrows of them.
class EventBatch {
 public:
  // Replaces the batch by what waits; returns its size.
  std::size_t Take(EventQueue* queue, std::chrono::milliseconds timeout, std::size_t capacity);

  std::size_t size() const { return events_.size(); }
  // Borrowed from the batch until the next Take.
  postgen_event Show(std::size_t index) const;

 private:
  std::vector<QueuedEvent> events_;
  std::vector<std::string> documents_;  // of events_, by index; empty where an event has none
};

class Engine {
 public:
  using Handle = postgen_generator;
  static constexpr HandleKind kKind = HandleKind::kGenerator;

  explicit Engine(std::unique_ptr<PostGenerator> generator) : generator_(std::move(generator)) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // Without Shutdown() only an Engine that nobody has used.
  ~Engine() = default;

  // Keeps the generator alive while a C function works with it.
  class Use {
   public:
    explicit Use(Engine* engine) : engine_(engine->Begin() ? engine : nullptr) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      if (engine_ != nullptr) engine_->End();
    }
    explicit operator bool() const { return engine_ != nullptr; }  // false: it is going away

   private:
    Engine* const engine_;
  };

  // REQUIRES, as all that follows but Shutdown(): a Use.
  PostGenerator& generator() { return *generator_; }
  EventQueue& events() { return events_; }

  // postgen_generator_next_events.
  std::size_t Pull(std::int64_t timeout_ms, postgen_event* out, std::size_t capacity);

  // postgen_set_callback, with a table that was checked; nullptr: pull again. Throws
  // std::system_error if no thread is to be had; then nothing has changed.
  void SetCallback(const postgen_callback* callback);

  // Ends everything. Waits for all uses to end, so not on a thread that has one. Called once.
  void Shutdown();

 private:
  struct Listener {
    explicit Listener(const postgen_callback& table)
        : on_event(table.on_event), user_data(table.user_data, table.destroy) {}
    void (*const on_event)(void*, const postgen_event*);
    UserData user_data;
  };

  enum class Push { kGoOn, kStopNow, kStopWhenEmpty };

  bool Begin();
  void End();
  bool BeginPull(std::chrono::steady_clock::time_point until);
  void EndPull();

  void StartPushing(std::unique_ptr<Listener> listener);
  void StopPushing(Push how);
  void PushEvents();
  // Hands `batch` to the listener; how to go on.
  Push Deliver(const EventBatch& batch);

  std::unique_ptr<PostGenerator> generator_;  // null after Shutdown
  EventQueue events_;

  std::mutex mutex_;
  std::condition_variable changed_;
  int uses_ = 0;          // guarded by mutex_
  bool closing_ = false;  // guarded by mutex_
  bool pulling_ = false;  // guarded by mutex_; a thread has the right to pull
  bool pushing_ = false;  // guarded by mutex_; nobody may pull

  EventBatch pulled_;  // of the thread that has the right to pull

  std::mutex setting_mutex_;  // one SetCallback at a time; taken before the others
  std::thread push_thread_;   // guarded by setting_mutex_

  std::mutex listener_mutex_;           // held while the listener is called
  std::unique_ptr<Listener> listener_;  // guarded by listener_mutex_
  Push push_ = Push::kGoOn;             // guarded by listener_mutex_
};

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_ENGINE_H_
