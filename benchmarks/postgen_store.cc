// postgen's PostgreSQL store from C++: PostStore, as NewPostStore makes it. The next row is put
// where the last one ended, on the store's own thread.
#include <postgen/post_store.h>
#include <postgen/version.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "workload.h"

namespace {

using bench::Clock;
using bench::Recorder;
using bench::TimePoint;
using bench::Turns;
using bench::Workload;

constexpr int kPool = 10;
constexpr auto kDeadline = std::chrono::minutes(2);

// Much like what the app writes of a post of 600 words.
postgen::PostRow Row() {
  postgen::PostRow row;
  row.created_at = std::chrono::system_clock::now();
  row.session_id = 1763900000123;
  row.kol_serial = 208;
  row.kol_nickname = "KOL-208";
  row.kol_persona = "technical";
  row.stock_code = "2330";
  row.stock_name = "台積電";
  row.title = "台積電法說會重點整理";
  for (int i = 0; i < 60; ++i) row.content += "外資連三日買超，量增。";
  row.content_md = row.content;
  row.commodity_tags = R"([{"type":"Market","key":"TWA00","bullOrBear":0}])";
  row.generation_params =
      R"({"method":"manual","kol_persona":"technical","content_style":"chart_analysis",)"
      R"("target_audience":"active_traders","max_words":600,"posting_type":"analysis",)"
      R"("trigger_type":"custom_stocks","generation_mode":"manual","postgen":{"model":"gpt-4o-mini",)"
      R"("usage":{"prompt_tokens":2034,"completion_tokens":2410,"cached_tokens":1536},)"
      R"("cost_usd":0.00167,"request_ids":["req_7f3a","req_91bc","req_c5d0","req_e2f4","req_08a6"]}})";
  row.trigger_type = "custom_stocks";
  row.generation_mode = "manual";
  return row;
}

class PutLoop {
 public:
  PutLoop(Recorder* recorder, postgen::PostStore* store) : recorder_(recorder), store_(store) {}

  // Keeps `concurrency` rows under way until `rows` have ended. REQUIRES: rows > 0.
  void Run(int concurrency, int rows) {
    turns_.Begin(rows);
    for (int i = 0; i < concurrency && turns_.Take(); ++i) Start();
    turns_.Wait();
  }

 private:
  void Start() {
    const TimePoint start = Clock::now();
    postgen::PostRow row = row_;
    row.post_id = prefix_ + std::to_string(next_id_++);
    store_->Put(std::move(row), start + kDeadline,
                [this, start](const postgen::Status& status) { OnEnd(start, status); });
  }

  void OnEnd(TimePoint start, const postgen::Status& status) {
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
    recorder_->CallEnded(start, Clock::now(), status.ok());
    if (turns_.End()) Start();
  }

  Recorder* const recorder_;
  postgen::PostStore* const store_;
  const postgen::PostRow row_ = Row();
  const std::string prefix_ = std::to_string(Clock::now().time_since_epoch().count()) + "-bench-";
  std::atomic<std::int64_t> next_id_ = 0;
  Turns turns_;
};

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  Recorder recorder(workload);
  postgen::StoreOptions options;
  options.url = workload.url;
  options.pool_min = options.pool_max = kPool;
  auto store = postgen::NewPostStore(options);
  if (!store.ok()) {
    std::fprintf(stderr, "%s\n", store.error().message.c_str());
    return 2;
  }
  PutLoop loop(&recorder, store->get());
  loop.Run(workload.concurrency, workload.warmup);
  recorder.Begin();
  loop.Run(workload.concurrency, workload.calls);
  recorder.Print("postgen, C++", POSTGEN_VERSION);
  return 0;
}
