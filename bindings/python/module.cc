// The Python module postgen._core: a thin layer over <postgen/postgen.h>. Documents go in and out
// as JSON; what they mean to Python is decided in the package beside it.
#include <postgen/postgen.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "events.h"
#include "gil.h"
#include "parts.h"

namespace py = pybind11;

namespace postgen::python {
namespace {

// How long a signal (Ctrl-C) may wait for a thread that is blocked in here.
constexpr std::chrono::milliseconds kSignalInterval{100};

// An Error on its way to Python, as the failure reply.
class Failure final : public std::exception {
 public:
  explicit Failure(const Error& error) : reply_(ErrorToJson(error)) {}
  const char* what() const noexcept override { return reply_.c_str(); }

 private:
  std::string reply_;
};

template <typename T>
T ValueOrThrow(Result<T> result) {
  if (!result.ok()) throw Failure(result.error());
  return std::move(result).value();
}

class PythonCall {
 public:
  explicit PythonCall(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  std::uint64_t id() const { return call_->id(); }
  void Cancel() { call_->Cancel(); }

  // The reply. A signal handler that raises ends the wait and cancels the post.
  py::bytes Wait() {
    for (;;) {
      std::shared_ptr<const PostResult> result =
          WithoutGil([this] { return call_->WaitFor(kSignalInterval); });
      if (result) return py::bytes(ResultToJson(*result));
      if (PyErr_CheckSignals() != 0) {
        call_->Cancel();
        throw py::error_already_set();
      }
    }
  }

 private:
  const std::shared_ptr<Call> call_;
};

class PythonEventQueue {
 public:
  int event_fd() const { return queue_.event_fd(); }
  std::shared_ptr<Observer> NewObserver(bool all_events) { return queue_.NewObserver(all_events); }

  void Hold(std::uint64_t call_id) { queue_.Hold(call_id); }
  void Release(std::uint64_t call_id) { queue_.Release(call_id); }

  // Up to `capacity` events. With none waiting, waits up to timeout_ms (-1: without limit) for one,
  // or until a signal handler raises.
  py::list Next(std::int64_t timeout_ms, std::size_t capacity) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    EventBatch batch;
    for (;;) {
      std::chrono::milliseconds slice = kSignalInterval;
      if (timeout_ms >= 0) {
        auto gone = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
        slice = std::min(slice, std::chrono::milliseconds(timeout_ms) - gone);
        slice = std::max(slice, std::chrono::milliseconds(0));
      }
      WithoutGil([&] { batch.Pull(&queue_, slice, capacity); });
      if (!batch.empty()) break;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (timeout_ms >= 0 && Clock::now() - start >= std::chrono::milliseconds(timeout_ms)) break;
    }
    return batch.ToPython();
  }

 private:
  EventQueue queue_;
};

class PythonGenerator {
 public:
  PythonGenerator(const std::string& options_json, std::shared_ptr<PartQueue> queue, bool own_llm,
                  bool own_cache, bool own_store)
      : owner_(getpid()) {
    Options options = ValueOrThrow(ParseOptions(options_json));
    Parts parts;
    if (own_llm) parts.llm = NewPythonLlmClient(queue);
    if (own_cache) parts.cache = NewPythonCache(queue);
    if (own_store) parts.store = NewPythonStore(queue);
    generator_ = ValueOrThrow(
        WithoutGil([&] { return PostGenerator::Create(std::move(options), std::move(parts)); }));
  }
  PythonGenerator(const PythonGenerator&) = delete;
  PythonGenerator& operator=(const PythonGenerator&) = delete;

  ~PythonGenerator() {
    if (getpid() != owner_) {
      // The threads and sockets are the parent's: left alone, on purpose.
      (void)generator_.release();
    } else if (generator_) {
      WithoutGil([this] { generator_.reset(); });
    }
  }

  PythonCall Start(const std::string& request_json, PythonEventQueue* queue, bool all_events,
                   bool restarts) {
    PostRequest request = ValueOrThrow(ParseRequest(request_json));
    std::shared_ptr<Observer> observer = queue ? queue->NewObserver(all_events) : nullptr;
    return PythonCall(WithoutGil([&] {
      return generator_->Start(std::move(request), std::move(observer), /*stream=*/all_events,
                               restarts);
    }));
  }

  void Close(std::int64_t drain_ms) {
    Status closed =
        WithoutGil([&] { return generator_->Close(std::chrono::milliseconds(drain_ms)); });
    if (!closed.ok()) throw Failure(closed.error());
  }

  py::bytes Metrics() const {
    return py::bytes(WithoutGil([this] { return generator_->MetricsJson(); }));
  }

  py::bytes Diagnose(std::int64_t timeout_ms) {
    return py::bytes(WithoutGil([&] {
      return DiagnosesToJson(generator_->Diagnose(std::chrono::milliseconds(timeout_ms)));
    }));
  }

  std::vector<std::string> Migrate(std::int64_t timeout_ms) {
    return ValueOrThrow(
        WithoutGil([&] { return generator_->Migrate(std::chrono::milliseconds(timeout_ms)); }));
  }

  void RefreshProfiles() { generator_->RefreshProfiles(); }

  // (row as JSON, refusal) for each post.
  py::list ListSpool(std::int64_t timeout_ms) {
    py::list listed;
    for (const SpooledPostInfo& post : ValueOrThrow(WithoutGil(
             [&] { return generator_->ListSpool(std::chrono::milliseconds(timeout_ms)); }))) {
      listed.append(py::make_tuple(py::bytes(PostRowToJson(post.row)), post.refusal));
    }
    return listed;
  }

  void FlushSpool(std::int64_t timeout_ms) {
    Status flushed =
        WithoutGil([&] { return generator_->FlushSpool(std::chrono::milliseconds(timeout_ms)); });
    if (!flushed.ok()) throw Failure(flushed.error());
  }

 private:
  const pid_t owner_;
  std::unique_ptr<PostGenerator> generator_;
};

Code CodeOf(const std::string& name) {
  for (int number = 0; number <= static_cast<int>(Code::kInternal); ++number) {
    if (CodeName(static_cast<Code>(number)) == name) return static_cast<Code>(number);
  }
  return Code::kInternal;
}

void BindParts(py::module_& module) {
  py::class_<PartJob, std::shared_ptr<PartJob>>(module, "PartJob")
      .def_property_readonly("kind", &PartJob::kind)
      .def_property_readonly("ended", &PartJob::ended)
      .def("arguments", &PartJob::Arguments)
      .def("seconds_left", &PartJob::SecondsLeft)
      .def("answer", &PartJob::Answer, py::arg("answer"))
      .def(
          "fail",
          [](PartJob& job, const std::string& code, const std::string& message) {
            WithoutGil([&] { job.Fail(Error(CodeOf(code), message)); });
          },
          py::arg("code"), py::arg("message"));

  py::class_<PartQueue, std::shared_ptr<PartQueue>>(module, "PartQueue")
      .def(py::init<>())
      .def_property_readonly("event_fd", &PartQueue::event_fd)
      .def("take", &PartQueue::Take)
      .def("close", [](PartQueue& queue) { WithoutGil([&] { queue.Close(); }); });
}

void BindGenerator(py::module_& module) {
  py::class_<PythonCall>(module, "Call")
      .def_property_readonly("id", &PythonCall::id)
      .def("cancel", &PythonCall::Cancel)
      .def("wait", &PythonCall::Wait);

  py::class_<PythonEventQueue>(module, "EventQueue")
      .def(py::init<>())
      .def_property_readonly("event_fd", &PythonEventQueue::event_fd)
      .def("next", &PythonEventQueue::Next, py::arg("timeout_ms"), py::arg("capacity"))
      .def("hold", &PythonEventQueue::Hold, py::arg("call_id"))
      .def("release", &PythonEventQueue::Release, py::arg("call_id"));

  py::class_<PythonGenerator>(module, "Generator")
      .def(py::init<const std::string&, std::shared_ptr<PartQueue>, bool, bool, bool>(),
           py::arg("options_json"), py::arg("parts") = nullptr, py::arg("own_llm") = false,
           py::arg("own_cache") = false, py::arg("own_store") = false)
      .def("start", &PythonGenerator::Start, py::arg("request_json"), py::arg("queue") = nullptr,
           py::arg("all_events") = false, py::arg("restarts") = false)
      .def("close", &PythonGenerator::Close, py::arg("drain_ms"))
      .def("metrics", &PythonGenerator::Metrics)
      .def("diagnose", &PythonGenerator::Diagnose, py::arg("timeout_ms"))
      .def("refresh_profiles", &PythonGenerator::RefreshProfiles)
      .def("list_spool", &PythonGenerator::ListSpool, py::arg("timeout_ms"))
      .def("flush_spool", &PythonGenerator::FlushSpool, py::arg("timeout_ms"))
      .def("migrate", &PythonGenerator::Migrate, py::arg("timeout_ms"));
}

}  // namespace

PYBIND11_MODULE(_core_of_main_interpreter, module) {
  py::register_exception<Failure>(module, "Failure");
  BindParts(module);
  BindGenerator(module);
  module.def("schema", [] { return py::bytes(SchemaJson()); });
  module.def("prices", [] { return py::bytes(PricesJson()); });
  module.def("threads_without_gil", [] { return threads_without_gil.load(); });
  module.attr("version") = POSTGEN_VERSION;
}

}  // namespace postgen::python

// What `import postgen._core` calls. pybind11 hangs in sub-interpreters of Python 3.11, hence this
// check before it is entered.
PyMODINIT_FUNC PyInit__core() {
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
    PyErr_SetString(PyExc_ImportError, "postgen does not support sub-interpreters");
    return nullptr;
  }
  return postgen::python::PyInit__core_of_main_interpreter();
}
