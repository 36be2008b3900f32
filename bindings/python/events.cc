#include "events.h"

#include <postgen/json.h>

#include <utility>

namespace py = pybind11;

namespace postgen::python {
namespace {

// Keys and values that every delta has, made once. Never freed: the interpreter may be gone by
// then.
struct DeltaWords {
  PyObject* type = PyUnicode_InternFromString("type");
  PyObject* delta = PyUnicode_InternFromString("delta");
  PyObject* call_id = PyUnicode_InternFromString("call_id");
  PyObject* version_number = PyUnicode_InternFromString("version_number");
  PyObject* part = PyUnicode_InternFromString("part");
  PyObject* title = PyUnicode_InternFromString("title");
  PyObject* content = PyUnicode_InternFromString("content");
  PyObject* text = PyUnicode_InternFromString("text");
};

void Set(const py::dict& dict, PyObject* key, const py::handle& value) {
  if (PyDict_SetItem(dict.ptr(), key, value.ptr()) != 0) throw py::error_already_set();
}

py::dict DeltaToPython(const QueuedEvent& event) {
  static const DeltaWords words;
  py::dict dict;
  Set(dict, words.type, words.delta);
  Set(dict, words.call_id, py::int_(event.call_id));
  Set(dict, words.version_number, py::int_(event.version_number));
  Set(dict, words.part, event.part == Event::Part::kTitle ? words.title : words.content);
  Set(dict, words.text, py::str(event.text));
  return dict;
}

bool IsLast(const QueuedEvent& event) {
  return event.type == Event::Type::kPost || event.type == Event::Type::kError;
}

}  // namespace

void EventBatch::Pull(EventQueue* queue, std::chrono::milliseconds timeout, std::size_t capacity) {
  queue->Next(timeout, capacity, &events_);
  documents_.clear();
  for (const QueuedEvent& event : events_) {
    if (event.type != Event::Type::kDelta) documents_.push_back(EventToJson(event));
  }
}

py::list EventBatch::ToPython() const {
  py::list items(events_.size());
  py::object loads;
  auto document = documents_.begin();
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const QueuedEvent& event = events_[i];
    py::object shown;
    if (event.type == Event::Type::kDelta) {
      shown = DeltaToPython(event);
    } else {
      if (!loads) loads = py::module_::import("json").attr("loads");
      shown = loads(py::bytes(*document++));
    }
    items[i] = py::make_tuple(event.call_id, IsLast(event), std::move(shown));
  }
  return items;
}

}  // namespace postgen::python
