#include "parts.h"

#include <pybind11/stl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

#include "gil.h"

namespace py = pybind11;

namespace postgen::python {
namespace {

// As long as the engine waits for a cache.
constexpr std::chrono::milliseconds kCacheDeadline{20};

TimePoint Now() { return std::chrono::steady_clock::now(); }

Error Dropped() { return Error(Code::kInternal, "the Python part gave no answer"); }

template <typename T>
T Field(const py::dict& dict, const char* key, T absent) {
  if (!dict.contains(key)) return absent;
  py::object value = dict[key];
  return value.is_none() ? absent : value.cast<T>();
}

template <typename T>
std::optional<T> OptionalField(const py::dict& dict, const char* key) {
  return Field<std::optional<T>>(dict, key, std::nullopt);
}

// --- LLM client

class CompleteJob final : public PartJob, public std::enable_shared_from_this<CompleteJob> {
 public:
  CompleteJob(LlmRequest request, LlmSink sink)
      : PartJob(request.deadline),
        request_(std::move(request)),
        sink_(std::move(sink)),
        started_(Now()) {}

  ~CompleteJob() override { Fail(Dropped()); }

  // Cancelling ends the job at once and shows it to Python again.
  void CancelWith(const CancelToken& cancel, PartQueue* queue) {
    cancel_.emplace(cancel, [this, queue] {
      Fail(Error(Code::kCancelled, "the call was cancelled"));
      if (std::shared_ptr<CompleteJob> self = weak_from_this().lock()) queue->Push(self);
    });
  }

  const char* kind() const override { return "llm.complete"; }

  py::tuple Arguments() const override {
    return py::make_tuple(py::bytes(LlmRequestToJson(request_, Now())));
  }

  void Answer(const py::object& answer) override {
    const std::string document = answer.cast<std::string>();
    WithoutGil([&] {
      Result<LlmReply> reply = ParseLlmReply(document);
      if (reply.ok()) {
        Finish(*std::move(reply));
      } else {
        Fail(std::move(reply).error());
      }
    });
  }

  void Fail(Error error) override {
    LlmReply reply;
    error.details.attempts = 1;
    reply.error = std::move(error);
    Finish(std::move(reply));
  }

 private:
  void Finish(LlmReply reply) {
    if (!End()) return;
    reply.attempts = 1;
    reply.total_ms = std::chrono::duration<double, std::milli>(Now() - started_).count();
    if (reply.ok() && request_.stream && sink_.on_text) sink_.on_text(reply.text);
    sink_.on_done(std::move(reply));
  }

  const LlmRequest request_;
  const LlmSink sink_;
  const TimePoint started_;
  // Last: its destruction waits for a cancellation that is under way.
  std::optional<CancelCallback<std::function<void()>>> cancel_;
};

class PythonLlmClient final : public LlmClient {
 public:
  explicit PythonLlmClient(std::shared_ptr<PartQueue> queue) : queue_(std::move(queue)) {}

  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    auto job = std::make_shared<CompleteJob>(std::move(request), std::move(sink));
    job->CancelWith(cancel, queue_.get());
    if (!job->ended()) queue_->Push(std::move(job));
  }

  std::string provider() const override { return "custom"; }

 private:
  const std::shared_ptr<PartQueue> queue_;
};

// --- Cache

py::bytes KeyBytes(const CacheKey& key) {
  return py::bytes(reinterpret_cast<const char*>(key.data()), key.size());
}

class CacheGetJob final : public PartJob {
 public:
  CacheGetJob(const CacheKey& key, ResponseCache::GetCallback done)
      : PartJob(Now() + kCacheDeadline), key_(key), done_(std::move(done)) {}
  ~CacheGetJob() override { Fail(Dropped()); }

  const char* kind() const override { return "cache.get"; }
  py::tuple Arguments() const override { return py::make_tuple(KeyBytes(key_)); }

  void Answer(const py::object& answer) override {
    std::shared_ptr<const std::string> hit;
    if (!answer.is_none()) {
      hit = std::make_shared<const std::string>(std::string(answer.cast<py::bytes>()));
    }
    WithoutGil([&] { Finish(std::move(hit)); });
  }

  void Fail(Error) override { Finish(nullptr); }

 private:
  void Finish(std::shared_ptr<const std::string> hit) {
    if (End()) done_(std::move(hit));
  }

  const CacheKey key_;
  const ResponseCache::GetCallback done_;
};

class CacheSetJob final : public PartJob {
 public:
  CacheSetJob(const CacheKey& key, std::string value, std::chrono::milliseconds ttl)
      : PartJob(TimePoint::max()), key_(key), value_(std::move(value)), ttl_(ttl) {}

  const char* kind() const override { return "cache.set"; }
  py::tuple Arguments() const override {
    return py::make_tuple(KeyBytes(key_), py::bytes(value_),
                          std::chrono::duration<double>(ttl_).count());
  }
  void Answer(const py::object&) override { End(); }
  void Fail(Error) override { End(); }

 private:
  const CacheKey key_;
  const std::string value_;
  const std::chrono::milliseconds ttl_;
};

class PythonCache final : public ResponseCache {
 public:
  explicit PythonCache(std::shared_ptr<PartQueue> queue) : queue_(std::move(queue)) {}

  void Get(const CacheKey& key, GetCallback done) override {
    queue_->Push(std::make_shared<CacheGetJob>(key, std::move(done)));
  }
  void Put(const CacheKey& key, std::string value, std::chrono::milliseconds ttl) override {
    if (ttl.count() > 0) {
      queue_->Push(std::make_shared<CacheSetJob>(key, std::move(value), ttl));
    }
  }
  // An empty value that is due to be forgotten: the protocol has no third method.
  void Erase(const CacheKey& key) override {
    queue_->Push(std::make_shared<CacheSetJob>(key, "", std::chrono::milliseconds(0)));
  }

 private:
  const std::shared_ptr<PartQueue> queue_;
};

// --- Store

WallTime FromSeconds(double seconds) {
  return WallTime(
      std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(seconds)));
}

PostRow RowFromDict(const py::dict& dict) {
  PostRow row;
  row.post_id = dict["post_id"].cast<std::string>();
  row.created_at = FromSeconds(Field<double>(dict, "created_at", 0));
  row.session_id = OptionalField<std::int64_t>(dict, "session_id");
  row.kol_serial = Field<std::int64_t>(dict, "kol_serial", 0);
  row.kol_nickname = Field<std::string>(dict, "kol_nickname", "");
  row.kol_persona = Field<std::string>(dict, "kol_persona", "");
  row.stock_code = Field<std::string>(dict, "stock_code", "");
  row.stock_name = Field<std::string>(dict, "stock_name", "");
  row.title = Field<std::string>(dict, "title", "");
  row.content = Field<std::string>(dict, "content", "");
  row.content_md = Field<std::string>(dict, "content_md", "");
  row.status = Field<std::string>(dict, "status", "draft");
  row.commodity_tags = Field<std::string>(dict, "commodity_tags", "");
  row.generation_params = Field<std::string>(dict, "generation_params", "");
  row.alternative_versions = OptionalField<std::string>(dict, "alternative_versions");
  row.trigger_type = Field<std::string>(dict, "trigger_type", "");
  row.generation_mode = Field<std::string>(dict, "generation_mode", "");
  row.topic_id = OptionalField<std::string>(dict, "topic_id");
  row.topic_title = OptionalField<std::string>(dict, "topic_title");
  row.has_trending_topic = Field<bool>(dict, "has_trending_topic", false);
  row.topic_content = OptionalField<std::string>(dict, "topic_content");
  return row;
}

// What the three store jobs share: a callback that takes a Result<T>.
template <typename T, typename Callback>
class StoreJob : public PartJob {
 public:
  StoreJob(TimePoint deadline, Callback done) : PartJob(deadline), done_(std::move(done)) {}
  ~StoreJob() override { Fail(Dropped()); }

  void Fail(Error error) final { Finish(std::move(error)); }

 protected:
  void Succeed(Result<T> result) {
    WithoutGil([&] { Finish(std::move(result)); });
  }

 private:
  void Finish(Result<T> result) {
    if (End()) done_(std::move(result));
  }

  const Callback done_;
};

class StorePutJob final : public StoreJob<void, PostStore::DoneCallback> {
 public:
  StorePutJob(PostRow row, TimePoint deadline, PostStore::DoneCallback done)
      : StoreJob(deadline, std::move(done)), row_(std::move(row)) {}

  const char* kind() const override { return "store.put"; }
  py::tuple Arguments() const override { return py::make_tuple(py::bytes(PostRowToJson(row_))); }
  void Answer(const py::object&) override { Succeed(Status()); }

 private:
  const PostRow row_;
};

class StoreGetJob final : public StoreJob<std::optional<PostRow>, PostStore::RowCallback> {
 public:
  StoreGetJob(std::string post_id, TimePoint deadline, PostStore::RowCallback done)
      : StoreJob(deadline, std::move(done)), post_id_(std::move(post_id)) {}

  const char* kind() const override { return "store.get"; }
  py::tuple Arguments() const override { return py::make_tuple(post_id_); }
  void Answer(const py::object& answer) override {
    std::optional<PostRow> row;
    if (!answer.is_none()) row = RowFromDict(answer.cast<py::dict>());
    Succeed(std::move(row));
  }

 private:
  const std::string post_id_;
};

class StoreMigrateJob final
    : public StoreJob<std::vector<std::string>, PostStore::MigrateCallback> {
 public:
  using StoreJob::StoreJob;

  const char* kind() const override { return "store.migrate"; }
  py::tuple Arguments() const override { return py::make_tuple(); }
  void Answer(const py::object& answer) override {
    Succeed(answer.cast<std::vector<std::string>>());
  }
};

class PythonStore final : public PostStore {
 public:
  explicit PythonStore(std::shared_ptr<PartQueue> queue) : queue_(std::move(queue)) {}

  // The protocol has no such question: a Python store says what it cannot do when it is asked to.
  void Check(TimePoint, DoneCallback done) override { done(Status()); }

  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    queue_->Push(std::make_shared<StorePutJob>(std::move(row), deadline, std::move(done)));
  }
  void Get(std::string post_id, TimePoint deadline, RowCallback done) override {
    queue_->Push(std::make_shared<StoreGetJob>(std::move(post_id), deadline, std::move(done)));
  }
  void Migrate(TimePoint deadline, MigrateCallback done) override {
    queue_->Push(std::make_shared<StoreMigrateJob>(deadline, std::move(done)));
  }

 private:
  const std::shared_ptr<PartQueue> queue_;
};

}  // namespace

py::object PartJob::SecondsLeft() const {
  if (deadline_ == TimePoint::max()) return py::none();
  double seconds = std::chrono::duration<double>(deadline_ - Now()).count();
  return py::float_(seconds > 0 ? seconds : 0.0);
}

PartQueue::PartQueue() : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_fd_ < 0) throw std::runtime_error("no descriptor left for the parts of a generator");
}

PartQueue::~PartQueue() { close(event_fd_); }

void PartQueue::Push(std::shared_ptr<PartJob> job) {
  bool refused = false;
  {
    std::lock_guard lock(mutex_);
    refused = closed_;
    if (!refused) jobs_.push_back(job);
  }
  if (refused) {
    job->Fail(Error(Code::kClosed, "the generator is closed"));
    return;
  }
  (void)eventfd_write(event_fd_, 1);  // cannot fail: the counter is emptied long before it is full
}

std::vector<std::shared_ptr<PartJob>> PartQueue::Take() {
  std::lock_guard lock(mutex_);
  eventfd_t ignored = 0;
  (void)eventfd_read(event_fd_, &ignored);  // EAGAIN: nothing waits
  return std::exchange(jobs_, {});
}

void PartQueue::Close() {
  std::vector<std::shared_ptr<PartJob>> open;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    open = std::exchange(jobs_, {});
  }
  for (const std::shared_ptr<PartJob>& job : open) {
    job->Fail(Error(Code::kClosed, "the generator is closed"));
  }
}

std::unique_ptr<LlmClient> NewPythonLlmClient(std::shared_ptr<PartQueue> queue) {
  return std::make_unique<PythonLlmClient>(std::move(queue));
}

std::unique_ptr<ResponseCache> NewPythonCache(std::shared_ptr<PartQueue> queue) {
  return std::make_unique<PythonCache>(std::move(queue));
}

std::unique_ptr<PostStore> NewPythonStore(std::shared_ptr<PartQueue> queue) {
  return std::make_unique<PythonStore>(std::move(queue));
}

}  // namespace postgen::python
