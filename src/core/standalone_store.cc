// NewPostStore: a built-in store beside a thread of its own.
#include <utility>

#include "postgen/json.h"
#include "runtime/event_loop.h"
#include "store/stores.h"

namespace postgen {
namespace {

class StandaloneStore final : public PostStore {
 public:
  StandaloneStore(std::unique_ptr<EventLoop> loop, std::unique_ptr<PostStore> store)
      : loop_(std::move(loop)), store_(std::move(store)) {}

  void Check(TimePoint deadline, DoneCallback done) override {
    store_->Check(deadline, std::move(done));
  }
  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    store_->Put(std::move(row), deadline, std::move(done));
  }
  void Get(std::string post_id, TimePoint deadline, RowCallback done) override {
    store_->Get(std::move(post_id), deadline, std::move(done));
  }
  void Migrate(TimePoint deadline, MigrateCallback done) override {
    store_->Migrate(deadline, std::move(done));
  }

 private:
  const std::unique_ptr<EventLoop> loop_;
  const std::unique_ptr<PostStore> store_;  // goes before its loop
};

}  // namespace

Result<std::unique_ptr<PostStore>> NewPostStore(const StoreOptions& store) {
  Options options;
  options.llm.provider = "template";  // which needs no key
  options.store = store;
  options.store.spool = "none:";
  options.profiles.url = "none:";
  if (Status valid = ValidateOptions(&options); !valid.ok()) return valid.error();
  auto loop = std::make_unique<EventLoop>("postgen-store");
  if (const Status& running = loop->status(); !running.ok()) return running.error();
  auto opened = OpenStores(options.store, options.profiles, loop.get());
  if (!opened.ok()) return std::move(opened).error();
  if (opened->posts == nullptr) {
    return Error(Code::kInvalidConfig, "store.url: names no store", "store.url");
  }
  return std::unique_ptr<PostStore>(
      std::make_unique<StandaloneStore>(std::move(loop), std::move(opened->posts)));
}

}  // namespace postgen
