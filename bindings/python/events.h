// Events as Python sees them: dicts, as EventToJson would have them.
#ifndef POSTGEN_BINDINGS_PYTHON_EVENTS_H_
#define POSTGEN_BINDINGS_PYTHON_EVENTS_H_

#include <postgen/event_queue.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

namespace postgen::python {

// Pulled events on their way to Python. Deltas, which come by the thousand, become dicts directly;
// the few others by way of their JSON.
class EventBatch {
 public:
  // Waits as EventQueue::Next does. Without the GIL.
  void Pull(EventQueue* queue, std::chrono::milliseconds timeout, std::size_t capacity);

  bool empty() const { return events_.empty(); }

  // [(call id, whether it is the call's last, event), ...]
  pybind11::list ToPython() const;

 private:
  std::vector<QueuedEvent> events_;
  std::vector<std::string> documents_;  // of the events that are not deltas, in order
};

}  // namespace postgen::python

#endif  // POSTGEN_BINDINGS_PYTHON_EVENTS_H_
