// What every C++ driver is told and how it reports, so that two drivers differ in their client
// alone.
//
//   DRIVER --url http://127.0.0.1:8080/v1 --concurrency 500 --calls 500 --stream --spread-ms 1000
//
// prints one line of JSON. `concurrency` calls are open at a time; the first of each place starts
// at its share of spread_ms, the next when the one before has ended. Times count from the intended
// start. CPU and wall time are those after the warm-up, which opens the connections.
#ifndef POSTGEN_BENCHMARKS_WORKLOAD_H_
#define POSTGEN_BENCHMARKS_WORKLOAD_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <semaphore>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

struct Workload {
  std::string url;  // as SDKs take it, with /v1
  std::string model = "gpt-4o-mini";
  std::string prompt = "台積電(2330)分析，600 字以內";
  int concurrency = 64;
  int calls = 1000;
  int warmup = 64;  // calls of one token before anything is measured, all at once
  int max_tokens = 300;
  bool stream = false;
  double spread_ms = 0;
  // The emulator's pace, of which deltas may be late. Lateness is kept only if asked for: it takes
  // memory and time.
  bool lateness = false;
  double ttft_ms = 400;
  double tokens_per_s = 80;
  double tokens_per_chunk = 1;

  // Prints the mistake and ends the process with status 2.
  static Workload FromArguments(int argc, char** argv);

  // `place` of concurrency, after `start`.
  TimePoint DueOf(int place, TimePoint start) const;

  std::string ChatUrl() const { return url + "/chat/completions"; }
  std::string RequestBody(int max_tokens) const;
};

// How many operations are still to start and to end, where the next starts as one ends, on whatever
// thread that is.
class Turns {
 public:
  // REQUIRES: count > 0, and none under way.
  void Begin(int count);
  // Whether there is one left to start.
  bool Take();
  // One has ended: whether another is to start in its place.
  bool End();
  // Until all have ended.
  void Wait();

 private:
  std::atomic<int> left_to_start_ = 0;
  std::atomic<int> left_to_end_ = 0;
  std::binary_semaphore done_{0};
};

// The measured part of a run. One thread at a time.
class Recorder {
 public:
  explicit Recorder(const Workload& workload);

  // After the warm-up. The start of the first call.
  TimePoint Begin();

  // `number` deltas of the call came before this one.
  void Delta(TimePoint call_start, std::int64_t number, TimePoint now);
  void CallEnded(TimePoint call_start, TimePoint now, bool ok);

  // Ends the measurement. `bytes` or `deltas` is 0 where the driver does not look.
  void Print(std::string_view driver, std::string_view version);

  std::int64_t deltas = 0;
  std::int64_t bytes = 0;  // of bodies

 private:
  struct Cpu {
    double user_s = 0;
    double system_s = 0;
  };
  static Cpu CpuOfProcess();

  const Workload& workload_;
  const long rss_before_kb_;
  TimePoint start_;
  Cpu cpu_before_;
  int failures_ = 0;
  std::vector<float> call_ms_;
  std::vector<float> late_ms_;
};

}  // namespace bench

#endif  // POSTGEN_BENCHMARKS_WORKLOAD_H_
