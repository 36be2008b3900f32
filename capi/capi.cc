// The functions of postgen/c.h: check the arguments, find what is behind the handle, and let the
// C++ library do the work.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "callbacks.h"
#include "engine.h"
#include "errors.h"
#include "guard.h"
#include "handles.h"
#include "objects.h"
#include "plugins.h"
#include "postgen/c.h"
#include "postgen/generator.h"
#include "postgen/json.h"
#include "postgen/version.h"

namespace postgen::capi {
namespace {

using std::chrono::milliseconds;

// So that no sum with a time overflows: about 30 years.
constexpr std::int64_t kLongestDrainMs = 1'000'000'000'000;

struct CallObject {
  using Handle = postgen_call;
  static constexpr HandleKind kKind = HandleKind::kCall;
  std::shared_ptr<Call> call;
  const postgen_generator* generator;
};

Failure Refuse(std::string message, std::string field) {
  return Failure(Error(Code::kInvalidRequest, std::move(message), std::move(field)));
}

Failure RefuseNull(const char* argument) {
  return Refuse(std::string(argument) + " is NULL", argument);
}

bool IsReadable(postgen_str text) { return text.ptr != nullptr || text.len == 0; }

std::string_view View(postgen_str text) {
  return text.len == 0 ? std::string_view() : std::string_view(text.ptr, text.len);
}

Failure Reentrant() {
  return Failure(
      Error(Code::kReentrant, "not allowed inside a callback: it would wait for the callback"));
}

// Runs `body` on the live engine behind `handle`.
template <typename Body>
Outcome WithEngine(const postgen_generator* handle, Body&& body) {
  const std::shared_ptr<Engine> engine = FindHandle<Engine>(handle);
  if (engine == nullptr) return Failure(DeadHandle<Engine>(handle));
  const Engine::Use use(engine.get());
  if (!use) return Failure(DeadHandle<Engine>(handle));
  return std::forward<Body>(body)(*engine);
}

Result<PostRequest> ReadRequest(postgen_str request_json) {
  if (!IsReadable(request_json)) {
    return Error(Code::kInvalidRequest, "request_json.ptr is NULL and its length is not 0",
                 "request_json");
  }
  return ParseRequest(View(request_json));
}

Result<Options> ReadOptions(postgen_str options_json) {
  if (!IsReadable(options_json)) {
    return Error(Code::kInvalidConfig, "options_json.ptr is NULL and its length is not 0",
                 "options_json");
  }
  const std::string_view document = View(options_json);
  return ParseOptions(document.empty() ? "{}" : document);
}

Outcome Create(postgen_str options_json, const postgen_plugins* tables, postgen_generator** out) {
  if (out == nullptr) return RefuseNull("out");
  Result<Options> options = ReadOptions(options_json);
  if (!options.ok()) return Failure(options.error());
  Result<Plugins> plugins = MakePlugins(tables);
  if (!plugins.ok()) return Failure(plugins.error());
  Result<std::unique_ptr<PostGenerator>> generator =
      PostGenerator::Create(*std::move(options), std::move(plugins->parts));
  if (!generator.ok()) return Failure(generator.error());
  postgen_generator* const handle = AddHandle(std::make_shared<Engine>(*std::move(generator)));
  for (const auto& user_data : plugins->user_data) user_data->Arm();
  *out = handle;
  return {};
}

Outcome Close(Engine& engine, std::int64_t drain_ms) {
  const std::int64_t drain = drain_ms < 0 ? kLongestDrainMs : std::min(drain_ms, kLongestDrainMs);
  const Status status = engine.generator().Close(milliseconds(drain));
  return status.ok() ? Outcome() : Failure(status.error());
}

void Destroy(std::shared_ptr<Engine> engine) {
  if (!InCallback()) return engine->Shutdown();
  // The callback has to return first, so another thread waits for it. Without a thread the engine
  // has to be given up, running: it cannot be ended from inside itself.
  auto* const waiting = new std::shared_ptr<Engine>(std::move(engine));
  StartThread([waiting] {
    (*waiting)->Shutdown();
    delete waiting;
  }).detach();
}

Outcome Generate(Engine& engine, postgen_str request_json, postgen_result** out) {
  Result<PostRequest> request = ReadRequest(request_json);
  if (!request.ok()) return Failure(request.error());
  const std::shared_ptr<const PostResult> result =
      engine.generator().Start(*std::move(request))->Wait();
  if (result == nullptr) return Reentrant();
  if (!result->ok()) return Failure(*result);
  *out = AddHandle(std::make_shared<ResultObject>(ResultObject{ResultToJson(*result)}));
  return {};
}

Outcome CheckFlags(std::uint32_t flags) {
  if ((flags & ~(POSTGEN_START_STREAM | POSTGEN_START_RESTARTS)) != 0) {
    return Refuse("flags has bits that this version of postgen does not know", "flags");
  }
  return {};
}

Outcome Start(Engine& engine, const postgen_generator* generator, postgen_str request_json,
              std::uint32_t flags, postgen_call** out) {
  if (Outcome outcome = CheckFlags(flags); outcome.has_value()) return outcome;
  Result<PostRequest> request = ReadRequest(request_json);
  if (!request.ok()) return Failure(request.error());
  const bool stream = (flags & POSTGEN_START_STREAM) != 0;
  const bool restarts = (flags & POSTGEN_START_RESTARTS) != 0;
  std::shared_ptr<Call> call = engine.generator().Start(
      *std::move(request), engine.events().NewObserver(stream), stream, restarts);
  *out = AddHandle(std::make_shared<CallObject>(CallObject{std::move(call), generator}));
  return {};
}

Outcome SetCallback(Engine& engine, const postgen_callback* table) {
  if (table == nullptr) {
    engine.SetCallback(nullptr);
    return {};
  }
  postgen_callback copy;
  if (Status status = CopyTable(table, "callback", &copy); !status.ok()) {
    return Failure(status.error());
  }
  if (copy.on_event == nullptr) {
    return Failure(
        Error(Code::kInvalidConfig, "callback.on_event is required and NULL", "callback.on_event"));
  }
  engine.SetCallback(&copy);
  return {};
}

template <typename T>
void DestroyHandle(typename T::Handle** handle) {
  GuardVoid([handle] { TakeHandleAndClear<T>(handle); });
}

}  // namespace
}  // namespace postgen::capi

using namespace postgen::capi;  // NOLINT(google-build-using-namespace): this file is its door

postgen_code postgen_generator_create(postgen_str options_json, const postgen_plugins* plugins,
                                      postgen_generator** out, postgen_error** err) {
  return Guard(err, [&] { return Create(options_json, plugins, out); });
}

postgen_code postgen_generator_close(postgen_generator* generator, int64_t drain_ms,
                                     postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    if (InCallback()) return Reentrant();
    return WithEngine(generator, [&](Engine& engine) { return Close(engine, drain_ms); });
  });
}

void postgen_generator_destroy(postgen_generator** generator) {
  GuardVoid([&] {
    std::shared_ptr<Engine> engine = TakeHandleAndClear<Engine>(generator);
    if (engine != nullptr) Destroy(std::move(engine));
  });
}

postgen_code postgen_generate(postgen_generator* generator, postgen_str request_json,
                              postgen_result** out, postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    if (out == nullptr) return RefuseNull("out");
    if (InCallback()) return Reentrant();
    return WithEngine(generator,
                      [&](Engine& engine) { return Generate(engine, request_json, out); });
  });
}

postgen_code postgen_start(postgen_generator* generator, postgen_str request_json, uint32_t flags,
                           postgen_call** out, postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    if (out == nullptr) return RefuseNull("out");
    return WithEngine(generator, [&](Engine& engine) {
      return Start(engine, generator, request_json, flags, out);
    });
  });
}

uint64_t postgen_call_id(const postgen_call* call) {
  return GuardValue(uint64_t{0}, [&] {
    const std::shared_ptr<CallObject> object = FindHandle<CallObject>(call);
    return object == nullptr ? uint64_t{0} : object->call->id();
  });
}

void postgen_call_cancel(postgen_call* call) {
  GuardVoid([&] {
    const std::shared_ptr<CallObject> object = FindHandle<CallObject>(call);
    if (object == nullptr) return;
    // A call may outlive its generator; it has ended then.
    WithEngine(object->generator, [&](Engine&) -> Outcome {
      object->call->Cancel();
      return {};
    });
  });
}

void postgen_call_destroy(postgen_call** call) { DestroyHandle<CallObject>(call); }

int postgen_generator_event_fd(const postgen_generator* generator) {
  return GuardValue(-1, [&] {
    int fd = -1;
    WithEngine(generator, [&](Engine& engine) -> Outcome {
      fd = engine.events().event_fd();
      return {};
    });
    return fd;
  });
}

size_t postgen_generator_next_events(postgen_generator* generator, int64_t timeout_ms,
                                     postgen_event* events, size_t capacity) {
  return GuardValue(size_t{0}, [&] {
    size_t count = 0;
    if (events == nullptr || capacity == 0) return count;
    WithEngine(generator, [&](Engine& engine) -> Outcome {
      count = engine.Pull(InCallback() ? 0 : timeout_ms, events, capacity);
      return {};
    });
    return count;
  });
}

postgen_code postgen_set_callback(postgen_generator* generator, const postgen_callback* callback,
                                  postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    if (InCallback()) return Reentrant();
    return WithEngine(generator, [&](Engine& engine) { return SetCallback(engine, callback); });
  });
}

postgen_str postgen_result_json(const postgen_result* result) {
  return GuardValue(postgen_str{}, [&] {
    const std::shared_ptr<ResultObject> object = FindHandle<ResultObject>(result);
    return object == nullptr ? postgen_str{} : Borrow(object->json);
  });
}

void postgen_result_destroy(postgen_result** result) { DestroyHandle<ResultObject>(result); }

postgen_code postgen_error_code(const postgen_error* error) {
  if (error == nullptr) return POSTGEN_OK;
  return GuardValue(postgen_code{POSTGEN_INTERNAL}, [&] {
    const std::shared_ptr<ErrorObject> object = FindHandle<ErrorObject>(error);
    return object == nullptr ? postgen_code{POSTGEN_INVALID_REQUEST}
                             : static_cast<postgen_code>(object->code);
  });
}

postgen_str postgen_error_json(const postgen_error* error) {
  return GuardValue(postgen_str{}, [&] {
    const std::shared_ptr<ErrorObject> object = FindHandle<ErrorObject>(error);
    return object == nullptr ? postgen_str{} : Borrow(object->json);
  });
}

void postgen_error_destroy(postgen_error** error) { DestroyHandle<ErrorObject>(error); }

postgen_str postgen_string_get(const postgen_string* string) {
  return GuardValue(postgen_str{}, [&] {
    const std::shared_ptr<StringObject> object = FindHandle<StringObject>(string);
    return object == nullptr ? postgen_str{} : Borrow(object->text);
  });
}

void postgen_string_destroy(postgen_string** string) { DestroyHandle<StringObject>(string); }

postgen_code postgen_metrics(postgen_generator* generator, postgen_string** out,
                             postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    if (out == nullptr) return RefuseNull("out");
    return WithEngine(generator, [&](Engine& engine) -> Outcome {
      *out =
          AddHandle(std::make_shared<StringObject>(StringObject{engine.generator().MetricsJson()}));
      return {};
    });
  });
}

uint32_t postgen_abi_version(void) { return POSTGEN_ABI_VERSION; }

const char* postgen_version(void) { return POSTGEN_VERSION; }

postgen_code postgen_reply_complete(postgen_reply* reply, postgen_str answer, postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    if (IsReadable(answer)) return CompleteReply(reply, View(answer));
    FailReply(reply, postgen::Error(postgen::Code::kProtocol, "the plugin's answer is NULL"));
    return RefuseNull("answer.ptr");
  });
}

postgen_code postgen_reply_fail(postgen_reply* reply, postgen_code code, postgen_str message,
                                postgen_error** err) {
  return Guard(err, [&]() -> Outcome {
    std::string text(IsReadable(message) ? View(message) : std::string_view());
    if (text.empty()) text = "the plugin failed";
    return FailReply(reply, postgen::Error(static_cast<postgen::Code>(code), std::move(text)));
  });
}
