// Own parts written in Python (postgen/protocols.py). No thread of ours ever calls Python: each
// question to a part becomes a job on a queue, which a thread that Python started reads, carries
// out and answers (postgen/_parts.py).
#ifndef POSTGEN_BINDINGS_PYTHON_PARTS_H_
#define POSTGEN_BINDINGS_PYTHON_PARTS_H_

#include <postgen/postgen.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace postgen::python {

// One question. It ends exactly once: answered, failed, cancelled, or dropped unanswered.
class PartJob {
 public:
  explicit PartJob(TimePoint deadline) : deadline_(deadline) {}
  PartJob(const PartJob&) = delete;
  PartJob& operator=(const PartJob&) = delete;
  virtual ~PartJob() = default;

  // "llm.complete", "cache.get", "cache.set", "store.put", "store.get" or "store.migrate".
  virtual const char* kind() const = 0;

  // What the part's method is called with. Needs the GIL.
  virtual pybind11::tuple Arguments() const = 0;

  // Ends the job with what the method returned, in the form that _parts.py documents. Throws
  // pybind11's cast errors for another form; the job is open then. Needs the GIL.
  virtual void Answer(const pybind11::object& answer) = 0;

  // Ends the job as failed. Without effect on one that has ended. Does not need the GIL.
  virtual void Fail(Error error) = 0;

  // True once nobody waits for the answer any more.
  bool ended() const { return ended_.load(); }

  // Seconds until the answer is due, never below 0; None: no limit. Needs the GIL.
  pybind11::object SecondsLeft() const;

 protected:
  // True for the one caller that may end the job.
  bool End() { return !ended_.exchange(true); }

 private:
  const TimePoint deadline_;
  std::atomic<bool> ended_{false};
};

// Jobs for Python, with a descriptor that is readable while some wait. Thread-safe.
class PartQueue {
 public:
  PartQueue();
  PartQueue(const PartQueue&) = delete;
  PartQueue& operator=(const PartQueue&) = delete;
  ~PartQueue();

  int event_fd() const { return event_fd_; }

  // Adds a job, or fails it when the queue is closed. A job that was taken already and has ended
  // since may be added again: that tells Python to give it up.
  void Push(std::shared_ptr<PartJob> job);

  // All jobs that wait.
  std::vector<std::shared_ptr<PartJob>> Take();

  // Fails what waits and all that comes.
  void Close();

 private:
  const int event_fd_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<PartJob>> jobs_;  // guarded by mutex_
  bool closed_ = false;                         // guarded by mutex_
};

// Parts whose answers come through `queue`.
std::unique_ptr<LlmClient> NewPythonLlmClient(std::shared_ptr<PartQueue> queue);
std::unique_ptr<ResponseCache> NewPythonCache(std::shared_ptr<PartQueue> queue);
std::unique_ptr<PostStore> NewPythonStore(std::shared_ptr<PartQueue> queue);

}  // namespace postgen::python

#endif  // POSTGEN_BINDINGS_PYTHON_PARTS_H_
