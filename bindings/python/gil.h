// Leaving Python for a while.
#ifndef POSTGEN_BINDINGS_PYTHON_GIL_H_
#define POSTGEN_BINDINGS_PYTHON_GIL_H_

#include <Python.h>

#include <atomic>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace postgen::python {

// Threads that are inside WithoutGil(). The exit handler waits for it to become 0, so that no
// thread asks for the GIL of an interpreter that is gone.
inline std::atomic<int> threads_without_gil{0};

// Runs `work`, which must not touch Python, without the GIL and returns what it returns.
//
// Not pybind11's gil_scoped_release: while the interpreter exits, taking the GIL back may unwind
// the thread by force, which must not happen in a destructor.
template <typename Work>
auto WithoutGil(Work&& work) {
  using Answer = decltype(work());
  using Kept = std::conditional_t<std::is_void_v<Answer>, std::monostate, Answer>;
  std::optional<Kept> answer;
  std::exception_ptr thrown;
  ++threads_without_gil;
  PyThreadState* state = PyEval_SaveThread();
  try {
    if constexpr (std::is_void_v<Answer>) {
      work();
    } else {
      answer.emplace(work());
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  PyEval_RestoreThread(state);
  --threads_without_gil;
  if (thrown) std::rethrow_exception(thrown);
  if constexpr (!std::is_void_v<Answer>) return *std::move(answer);
}

}  // namespace postgen::python

#endif  // POSTGEN_BINDINGS_PYTHON_GIL_H_
