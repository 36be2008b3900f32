// The floor that libcurl sets: curl_multi_perform and curl_multi_poll, awake at once for every
// byte, nothing parsed. With --lateness it counts deltas, which costs it time: not for the CPU
// figures.
#include <curl/curl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "workload.h"

namespace {

using bench::Clock;
using bench::Recorder;
using bench::TimePoint;
using bench::Workload;

constexpr int kLongestPollMs = 1000;

struct Place {
  CURL* easy = nullptr;
  bool counts_deltas = false;
  TimePoint start;
  std::int64_t deltas = 0;
  Recorder* recorder = nullptr;
};

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto* place = static_cast<Place*>(user);
  const std::string_view bytes(data, size * count);
  place->recorder->bytes += static_cast<std::int64_t>(bytes.size());
  if (!place->counts_deltas) return bytes.size();
  constexpr std::string_view kDelta = "{\"content\":\"";
  const TimePoint now = Clock::now();
  for (std::size_t at = bytes.find(kDelta); at != std::string_view::npos;
       at = bytes.find(kDelta, at + kDelta.size())) {
    place->recorder->Delta(place->start, place->deltas++, now);
    ++place->recorder->deltas;
  }
  return bytes.size();
}

class CurlLoop {
 public:
  CurlLoop(const Workload& workload, Recorder* recorder)
      : workload_(workload), recorder_(recorder), url_(workload.ChatUrl()) {
    headers_ = curl_slist_append(headers_, "content-type: application/json");
    headers_ = curl_slist_append(headers_, "authorization: Bearer bench");
    headers_ = curl_slist_append(headers_, "expect:");
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(workload.concurrency));
    places_.resize(static_cast<std::size_t>(workload.concurrency));
    for (Place& place : places_) Prepare(&place);
  }

  // Keeps every place busy until `calls` have ended.
  void Run(int calls, const std::string& body, TimePoint start, bool spread) {
    body_ = &body;
    left_to_start_ = calls;
    left_to_end_ = calls;
    for (std::size_t i = 0; i < places_.size() && left_to_start_ > 0; ++i, --left_to_start_) {
      places_[i].start = spread ? workload_.DueOf(static_cast<int>(i), start) : start;
      waiting_.push_back(&places_[i]);
    }
    while (left_to_end_ > 0) {
      StartDue();
      int running = 0;
      curl_multi_perform(multi_, &running);
      TakeEnded();
      if (left_to_end_ > 0) curl_multi_poll(multi_, nullptr, 0, PollMs(), nullptr);
    }
  }

 private:
  void Prepare(Place* place) {
    place->easy = curl_easy_init();
    place->recorder = recorder_;
    place->counts_deltas = workload_.lateness;
    curl_easy_setopt(place->easy, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(place->easy, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(place->easy, CURLOPT_WRITEFUNCTION, &OnBody);
    curl_easy_setopt(place->easy, CURLOPT_WRITEDATA, place);
    curl_easy_setopt(place->easy, CURLOPT_PRIVATE, place);
    curl_easy_setopt(place->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(place->easy, CURLOPT_PROXY, "");
  }

  void StartDue() {
    const TimePoint now = Clock::now();
    while (!waiting_.empty() && waiting_.front()->start <= now) {
      Place* place = waiting_.front();
      waiting_.pop_front();
      place->deltas = 0;
      curl_easy_setopt(place->easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body_->size()));
      curl_easy_setopt(place->easy, CURLOPT_POSTFIELDS, body_->c_str());
      curl_multi_add_handle(multi_, place->easy);
    }
  }

  void TakeEnded() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const TimePoint now = Clock::now();
      const bool ok = message->data.result == CURLE_OK;
      Place* place = nullptr;
      long status = 0;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &place);
      curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
      curl_multi_remove_handle(multi_, place->easy);
      recorder_->CallEnded(place->start, now, ok && status == 200);
      --left_to_end_;
      if (left_to_start_ == 0) continue;
      --left_to_start_;
      place->start = now;
      waiting_.push_back(place);
      StartDue();
    }
  }

  int PollMs() const {
    if (waiting_.empty()) return kLongestPollMs;
    const auto wait =
        std::chrono::ceil<std::chrono::milliseconds>(waiting_.front()->start - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, kLongestPollMs));
  }

  const Workload& workload_;
  Recorder* const recorder_;
  const std::string url_;
  // Left to the end of the process.
  CURLM* const multi_ = curl_multi_init();
  curl_slist* headers_ = nullptr;
  std::vector<Place> places_;
  std::deque<Place*> waiting_;  // by start
  const std::string* body_ = nullptr;
  int left_to_start_ = 0;
  int left_to_end_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  curl_global_init(CURL_GLOBAL_ALL);
  Recorder recorder(workload);
  CurlLoop loop(workload, &recorder);
  loop.Run(workload.warmup, workload.RequestBody(1), Clock::now(), /*spread=*/false);
  const TimePoint start = recorder.Begin();
  loop.Run(workload.calls, workload.RequestBody(workload.max_tokens), start, /*spread=*/true);
  recorder.Print("libcurl multi loop", curl_version_info(CURLVERSION_NOW)->version);
  return 0;
}
