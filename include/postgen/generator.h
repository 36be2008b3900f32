// PostGenerator: the engine. It owns one reactor thread, on which all calls of all posts run, and
// one store thread.
//
//   postgen::Options options;
//   options.llm.api_key = key;
//   options.store.url = "sqlite:posts.db";
//   auto generator = postgen::PostGenerator::Create(options);  // a Result<unique_ptr<...>>
//   if (!generator.ok()) return Fail(generator.error());
//
//   postgen::PostRequest request;
//   request.stock_code = "2330";
//   request.stock_name = "台積電";
//   request.kol_serial = 208;
//   postgen::Result<postgen::PostResult> post = (*generator)->Generate(request);
//
// A generator is for the process that made it: after fork() every call in the child is
// Code::kForked.
#ifndef POSTGEN_GENERATOR_H_
#define POSTGEN_GENERATOR_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postgen/export.h"
#include "postgen/llm_client.h"
#include "postgen/observer.h"
#include "postgen/options.h"
#include "postgen/post_store.h"
#include "postgen/profile_store.h"
#include "postgen/response_cache.h"
#include "postgen/types.h"

namespace postgen {

// Own implementations in place of those that the options name; null members keep the options' ones.
struct Parts {
  std::unique_ptr<LlmClient> llm;
  std::unique_ptr<ResponseCache> cache;
  std::unique_ptr<PostStore> store;
  std::unique_ptr<ProfileStore> profiles;
};

// One running or finished post. Thread-safe. Dropping the last reference does not cancel it.
class POSTGEN_EXPORT Call {
 public:
  virtual ~Call() = default;

  virtual std::uint64_t id() const = 0;  // unique within the process, never 0

  // Asks the post to end. It then ends as Code::kCancelled, unless it had ended already. Returns at
  // once.
  virtual void Cancel() = 0;

  // Waits for the end. Not on the reactor thread (from an observer): there it returns null at once.
  virtual std::shared_ptr<const PostResult> Wait() = 0;

  // As Wait(), for at most `timeout`; null: still running.
  virtual std::shared_ptr<const PostResult> WaitFor(std::chrono::milliseconds timeout) = 0;
};

// A post that waits in the spool for the store.
struct SpooledPostInfo {
  PostRow row;
  std::string refusal;  // why the store will not have it; empty: it waits for the store
};

// One line of PostGenerator::Diagnose.
struct Diagnosis {
  enum class Level { kOk, kWarning, kError };
  std::string
      subject;  // "llm", "store" (its schema included), "profiles", "cache", "shared", "budget"
  Level level = Level::kOk;
  std::string message;  // what was found and, unless kOk, what to do
};

class POSTGEN_EXPORT PostGenerator {
 public:
  // Checks the options and starts the threads; opens no connection. Fails with Code::kInvalidConfig
  // naming the option, or Code::kNomem where the system has no thread or descriptor left.
  // Thread-safe.
  static Result<std::unique_ptr<PostGenerator>> Create(Options options, Parts parts = {});

  PostGenerator(const PostGenerator&) = delete;
  PostGenerator& operator=(const PostGenerator&) = delete;
  // Cancels what is running, waits for it to end, then stops the threads. Not on the reactor
  // thread.
  virtual ~PostGenerator() = default;

  // Makes one post and waits for it. The error of a failed post; use Start() for the report of its
  // versions. Not on the reactor thread: Code::kReentrant there. Thread-safe.
  virtual Result<PostResult> Generate(PostRequest request) = 0;

  // Starts one post; never null. A request that is refused ends at once, through the same call and
  // events. `observer` may be null; it is kept until its last event. `stream` asks for deltas.
  // `restarts` allows a version whose text broke off to be written anew: its deltas so far are then
  // taken back by a version_reset; without it such a version has failed. Thread-safe.
  virtual std::shared_ptr<Call> Start(PostRequest request,
                                      std::shared_ptr<Observer> observer = nullptr,
                                      bool stream = false, bool restarts = false) = 0;

  // Takes no new posts (Code::kClosed), lets running ones finish for `drain`, then cancels the
  // rest. Returns when all have ended. Idempotent, thread-safe; not on the reactor thread
  // (Code::kReentrant).
  virtual Status Close(std::chrono::milliseconds drain) = 0;

  // Counters since Create() as one JSON object; an empty one after fork(). Thread-safe.
  virtual std::string MetricsJson() const = 0;

  // Checks key, provider, store, schema, profiles and cache without paying for anything. Blocks
  // for about `timeout` at the most. Thread-safe.
  virtual std::vector<Diagnosis> Diagnose(std::chrono::milliseconds timeout) = 0;

  // The profiles that are cached are read anew at their next use. Returns at once. Thread-safe.
  virtual void RefreshProfiles() = 0;

  // The posts that wait in the spool, those that dead processes left included, oldest first; none
  // where there is no spool; Code::kInvalidConfig where there should be one and this user has no
  // home folder for it. Blocks for about `timeout` at the most. Thread-safe.
  virtual Result<std::vector<SpooledPostInfo>> ListSpool(std::chrono::milliseconds timeout) = 0;

  // Moves what waits in the spool to the store now, and tries once more what the store refused
  // before. Success: nothing is left in it. Where the store still refuses posts, they stay, and the
  // error (Code::kStore) names their count and the first refusal. Without a spool as ListSpool().
  // Blocks for about `timeout` at the most. Thread-safe.
  virtual Status FlushSpool(std::chrono::milliseconds timeout) = 0;

  // Creates or completes the tables of the store; one line for each change. Blocks. Thread-safe.
  virtual Result<std::vector<std::string>> Migrate(std::chrono::milliseconds timeout) = 0;

 protected:
  PostGenerator() = default;
};

}  // namespace postgen

#endif  // POSTGEN_GENERATOR_H_
