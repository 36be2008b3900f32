#include "plugins.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "handles.h"
#include "objects.h"
#include "postgen/json.h"

namespace postgen::capi {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class OpenReplies;

// What is behind a postgen_reply. Whoever takes it out of the registry ends it, so it ends once.
struct Reply {
  using Handle = postgen_reply;
  static constexpr HandleKind kKind = HandleKind::kReply;

  std::function<Status(std::string_view answer)> complete;  // an error: the answer is unreadable,
                                                            // and was passed on as such
  std::function<void(Error)> fail;
  TimePoint deadline = TimePoint::max();
  std::shared_ptr<OpenReplies> owner;
  // Last: its destruction waits for a cancellation that is under way.
  std::optional<CancelCallback<std::function<void()>>> on_cancel;
};

// A generator cancels what is overdue, too.
Error WhyCancelled(const Reply& reply) {
  if (steady_clock::now() < reply.deadline) return {Code::kCancelled, "the call was cancelled"};
  return {Code::kDeadline, "the plugin did not answer in time"};
}

// The replies that a part waits for.
class OpenReplies : public std::enable_shared_from_this<OpenReplies> {
 public:
  // Registers `reply` and hands it to `function`, which calls one of the caller's. A function that
  // throws fails the reply.
  void Ask(const std::shared_ptr<Reply>& reply, CancelToken cancel,
           const std::function<void(postgen_reply*)>& function);

  // Ends what is still open and waits for replies that others are just ending.
  void EndAll();

  // Ends `reply` by `end`, unless someone else has or does. False: there was nothing to end.
  template <typename End>
  static bool EndReply(postgen_reply* reply, End&& end) {
    const std::shared_ptr<Reply> taken = TakeHandle<Reply>(reply);
    if (taken == nullptr) return false;
    std::forward<End>(end)(*taken);
    taken->owner->Remove(reply);
    return true;
  }

 private:
  void Remove(postgen_reply* reply) {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_.erase(reply);
    if (open_.empty()) none_open_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable none_open_;
  std::set<postgen_reply*> open_;  // guarded by mutex_
};

void OpenReplies::Ask(const std::shared_ptr<Reply>& reply, CancelToken cancel,
                      const std::function<void(postgen_reply*)>& function) {
  reply->owner = shared_from_this();
  postgen_reply* const handle = AddHandle(reply);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_.insert(handle);
  }
  // Runs at once if the call is cancelled already.
  reply->on_cancel.emplace(std::move(cancel), [handle] {
    EndReply(handle, [](Reply& open) { open.fail(WhyCancelled(open)); });
  });
  if (FindHandle<Reply>(handle) == nullptr) return;
  if (!CallOut([&] { function(handle); })) {
    EndReply(handle, [](Reply& open) {
      open.fail(Error(Code::kInternal, "a function of the plugin threw an exception"));
    });
  }
}

void OpenReplies::EndAll() {
  std::unique_lock<std::mutex> lock(mutex_);
  const std::set<postgen_reply*> open = open_;
  lock.unlock();
  for (postgen_reply* reply : open) {
    EndReply(reply, [](Reply& r) { r.fail(Error(Code::kClosed, "the generator is closed")); });
  }
  lock.lock();
  none_open_.wait(lock, [this] { return open_.empty(); });
}

// A table, its user data and the replies that are open. To be shared by one part alone.
template <typename Table>
class Plugin {
 public:
  Plugin(const Table& table, std::shared_ptr<UserData> user_data)
      : table_(table), user_data_(std::move(user_data)) {}
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;
  ~Plugin() { replies_->EndAll(); }

  const Table* operator->() const { return &table_; }
  void* user_data() const { return user_data_->get(); }
  OpenReplies& replies() { return *replies_; }

 private:
  const Table table_;
  const std::shared_ptr<UserData> user_data_;
  const std::shared_ptr<OpenReplies> replies_ = std::make_shared<OpenReplies>();
};

// --- LLM client ---------------------------------------------------------------------------------

class PluginLlmClient final : public LlmClient {
 public:
  PluginLlmClient(const postgen_llm_plugin& table, std::shared_ptr<UserData> user_data)
      : plugin_(table, std::move(user_data)),
        name_(table.name.len == 0 ? "custom" : std::string(table.name.ptr, table.name.len)) {}

  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    const TimePoint started = steady_clock::now();
    const auto finish = [started, done = std::move(sink.on_done)](LlmReply reply) {
      reply.attempts = 1;
      reply.total_ms =
          std::chrono::duration<double, std::milli>(steady_clock::now() - started).count();
      if (reply.error.has_value()) reply.error->details.attempts = reply.attempts;
      done(std::move(reply));
    };
    const auto fail = [finish](Error error) {
      LlmReply reply;
      reply.error = std::move(error);
      finish(std::move(reply));
    };
    auto reply = std::make_shared<Reply>();
    reply->deadline = request.deadline;
    reply->fail = fail;
    reply->complete = [finish, fail](std::string_view answer) -> Status {
      Result<LlmReply> parsed = ParseLlmReply(answer);
      if (parsed.ok()) {
        finish(*std::move(parsed));
        return {};
      }
      fail(parsed.error());
      return parsed.error();
    };
    const std::string document = LlmRequestToJson(request, started);
    plugin_.replies().Ask(reply, std::move(cancel), [&](postgen_reply* handle) {
      plugin_->complete(plugin_.user_data(), Borrow(document), handle);
    });
  }

  std::string provider() const override { return name_; }

 private:
  Plugin<postgen_llm_plugin> plugin_;
  const std::string name_;
};

// --- Cache --------------------------------------------------------------------------------------

std::string Hex(const CacheKey& key) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(key.size() * 2);
  for (const unsigned byte : key) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

class PluginCache final : public ResponseCache {
 public:
  PluginCache(const postgen_cache_plugin& table, std::shared_ptr<UserData> user_data)
      : plugin_(table, std::move(user_data)) {}

  void Get(const CacheKey& key, GetCallback done) override {
    auto reply = std::make_shared<Reply>();
    reply->fail = [done](const Error&) { done(nullptr); };
    reply->complete = [done](std::string_view value) -> Status {
      done(value.empty() ? nullptr : std::make_shared<const std::string>(value));
      return {};
    };
    const std::string name = Hex(key);
    plugin_.replies().Ask(reply, CancelToken(), [&](postgen_reply* handle) {
      plugin_->get(plugin_.user_data(), Borrow(name), handle);
    });
  }

  void Put(const CacheKey& key, std::string value, milliseconds ttl) override {
    const std::string name = Hex(key);
    const std::int64_t ttl_ms = std::max<std::int64_t>(ttl.count(), 0);
    CallOut([&] { plugin_->put(plugin_.user_data(), Borrow(name), Borrow(value), ttl_ms); });
  }

  void Erase(const CacheKey& key) override { Put(key, "", milliseconds(0)); }

 private:
  Plugin<postgen_cache_plugin> plugin_;
};

// --- Store --------------------------------------------------------------------------------------

class PluginStore final : public PostStore {
 public:
  PluginStore(const postgen_store_plugin& table, std::shared_ptr<UserData> user_data)
      : plugin_(table, std::move(user_data)) {}

  void Check(TimePoint /*deadline*/, DoneCallback done) override {
    if (plugin_->check == nullptr) return done({});
    plugin_.replies().Ask(Answered(done), CancelToken(), [&](postgen_reply* handle) {
      plugin_->check(plugin_.user_data(), handle);
    });
  }

  void Put(PostRow row, TimePoint /*deadline*/, DoneCallback done) override {
    const std::string document = PostRowToJson(row);
    plugin_.replies().Ask(Answered(done), CancelToken(), [&](postgen_reply* handle) {
      plugin_->put(plugin_.user_data(), Borrow(document), handle);
    });
  }

  void Get(std::string /*post_id*/, TimePoint /*deadline*/, RowCallback done) override {
    done(Error(Code::kStore, "a store plugin keeps posts and does not read them back"));
  }

  void Migrate(TimePoint /*deadline*/, MigrateCallback done) override {
    done(Error(Code::kStore, "a store plugin makes its own tables"));
  }

 private:
  static std::shared_ptr<Reply> Answered(const DoneCallback& done) {
    auto reply = std::make_shared<Reply>();
    reply->fail = [done](Error error) { done(std::move(error)); };
    reply->complete = [done](std::string_view /*answer*/) -> Status {
      done({});
      return {};
    };
    return reply;
  }

  Plugin<postgen_store_plugin> plugin_;
};

// --- Tables -------------------------------------------------------------------------------------

Error Missing(const char* function) {
  return {Code::kInvalidConfig, std::string(function) + " is required and NULL", function};
}

// Copies `table`, checks it with `check` and makes the part of type T.
template <typename T, typename Table, typename Part, typename Check>
Status AddPlugin(const Table* table, const char* name, Check check, std::unique_ptr<Part>* part,
                 Plugins* plugins) {
  if (table == nullptr) return {};
  Table copy;
  if (Status status = CopyTable(table, name, &copy); !status.ok()) return status;
  if (Status status = check(copy); !status.ok()) return status;
  plugins->user_data.push_back(std::make_shared<UserData>(copy.user_data, copy.destroy));
  *part = std::make_unique<T>(copy, plugins->user_data.back());
  return {};
}

Status CheckLlm(const postgen_llm_plugin& table) {
  if (table.complete == nullptr) return Missing("plugins.llm.complete");
  if (table.name.ptr == nullptr && table.name.len != 0) return Missing("plugins.llm.name");
  return {};
}

Status CheckCache(const postgen_cache_plugin& table) {
  if (table.get == nullptr) return Missing("plugins.cache.get");
  if (table.put == nullptr) return Missing("plugins.cache.put");
  return {};
}

Status CheckStore(const postgen_store_plugin& table) {
  return table.put == nullptr ? Status(Missing("plugins.store.put")) : Status();
}

bool IsFailure(Code code) { return code > Code::kOk && code <= Code::kInternal; }

}  // namespace

Result<Plugins> MakePlugins(const postgen_plugins* tables) {
  Plugins plugins;
  if (tables == nullptr) return plugins;
  postgen_plugins copy;
  Status status = CopyTable(tables, "plugins", &copy);
  if (status.ok()) {
    status =
        AddPlugin<PluginLlmClient>(copy.llm, "plugins.llm", CheckLlm, &plugins.parts.llm, &plugins);
  }
  if (status.ok()) {
    status = AddPlugin<PluginCache>(copy.cache, "plugins.cache", CheckCache, &plugins.parts.cache,
                                    &plugins);
  }
  if (status.ok()) {
    status = AddPlugin<PluginStore>(copy.store, "plugins.store", CheckStore, &plugins.parts.store,
                                    &plugins);
  }
  if (!status.ok()) return status.error();
  return plugins;
}

Outcome CompleteReply(postgen_reply* reply, std::string_view answer) {
  Status status;
  const bool ended =
      OpenReplies::EndReply(reply, [&](Reply& open) { status = open.complete(answer); });
  if (!ended) return Failure(DeadHandle<Reply>(reply));
  if (status.ok()) return {};
  // To the post it is the plugin's protocol that failed; to the plugin, its own argument.
  return Failure(
      Error(Code::kInvalidRequest, status.error().message, status.error().details.field));
}

Outcome FailReply(postgen_reply* reply, Error error) {
  const bool known = IsFailure(error.code);
  if (!known) {
    error =
        Error(Code::kInternal, "the plugin failed with a code that postgen does not know", "code");
  }
  const bool ended = OpenReplies::EndReply(reply, [&](Reply& open) { open.fail(error); });
  if (!ended) return Failure(DeadHandle<Reply>(reply));
  if (known) return {};
  return Failure(Error(Code::kInvalidRequest, "not the code of a failure", "code"));
}

}  // namespace postgen::capi
