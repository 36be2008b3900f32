#include "pacer.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace emulator {

struct Pacer::Timer {
  explicit Timer(boost::asio::io_context& context) : timer(context) {}
  boost::asio::steady_timer timer;
};

Pacer::Pacer(boost::asio::io_context& context, Duration tick)
    : tick_(tick), timer_(std::make_unique<Timer>(context)) {}

Pacer::~Pacer() = default;

void Pacer::Schedule(std::shared_ptr<Task> task, TimePoint due) {
  std::uint64_t appointment = ++task->appointment_;
  heap_.push_back({due, appointment, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
  Arm();
}

void Pacer::Arm() {
  if (heap_.empty()) return;
  TimePoint wake_up = std::max(heap_.front().due, last_wake_up_ + tick_);
  if (wake_up >= armed_for_) return;
  armed_for_ = wake_up;
  timer_->timer.expires_at(wake_up);
  timer_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) OnTimer();
  });
}

void Pacer::OnTimer() {
  TimePoint now = Clock::now();
  last_wake_up_ = now;
  armed_for_ = TimePoint::min();  // tasks schedule again below; the timer is armed once, after them
  while (!heap_.empty() && heap_.front().due <= now) {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    due_.push_back(std::move(heap_.back()));
    heap_.pop_back();
  }
  for (Entry& entry : due_) {
    if (entry.appointment == entry.task->appointment_) entry.task->OnDue(now);
  }
  due_.clear();
  armed_for_ = TimePoint::max();
  Arm();
}

}  // namespace emulator
