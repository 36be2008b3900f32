// Runs tasks at their times with one timer for all of them. After a wake-up the next one comes no
// sooner than a tick later, and then runs everything that is due: thousands of paced streams cost
// a few hundred wake-ups a second, while a single stream still gets its exact times.
#ifndef POSTGEN_EMULATOR_PACER_H_
#define POSTGEN_EMULATOR_PACER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "clock.h"

namespace boost::asio {
class io_context;
}

namespace emulator {

class Pacer {
 public:
  // One appointment at a time: a new one, or Cancel, replaces the one before.
  class Task {
   public:
    virtual ~Task() = default;
    virtual void OnDue(TimePoint now) = 0;

   private:
    friend class Pacer;
    std::uint64_t appointment_ = 0;
  };

  Pacer(boost::asio::io_context& context, Duration tick);
  ~Pacer();

  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  // Runs `task` once at `due`, or at the next wake-up when that has passed. Keeps the task alive
  // until then.
  void Schedule(std::shared_ptr<Task> task, TimePoint due);
  void Cancel(Task& task) { ++task.appointment_; }

 private:
  struct Entry {
    TimePoint due;
    std::uint64_t appointment;
    std::shared_ptr<Task> task;
  };
  struct Timer;

  static bool Later(const Entry& a, const Entry& b) { return a.due > b.due; }
  void Arm();
  void OnTimer();

  const Duration tick_;
  std::unique_ptr<Timer> timer_;
  std::vector<Entry> heap_;  // the earliest in front
  std::vector<Entry> due_;   // scratch of OnTimer, kept for its capacity
  TimePoint last_wake_up_{};
  TimePoint armed_for_ = TimePoint::max();
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_PACER_H_
