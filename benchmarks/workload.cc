#include "workload.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

namespace bench {
namespace {

[[noreturn]] void Refuse(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(2);
}

double NumberOf(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') Refuse(flag + " takes a number, not '" + text + "'");
  return value;
}

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// "VmRSS:" is the resident memory now, "VmHWM:" its peak. Not ru_maxrss, which remembers the
// process that started this one.
long MemoryKb(std::string_view line) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != line) continue;
    long kb = 0;
    status >> kb;
    return kb;
  }
  return 0;
}

double Quantile(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return static_cast<double>(values[static_cast<std::size_t>(rank)]);
}

void PrintQuantiles(const char* name, std::vector<float>& values) {
  std::printf(R"(, "%s": {"p50": %.4f, "p90": %.4f, "p99": %.4f, "max": %.4f})", name,
              Quantile(values, 0.5), Quantile(values, 0.9), Quantile(values, 0.99),
              Quantile(values, 1));
}

}  // namespace

Workload Workload::FromArguments(int argc, char** argv) {
  Workload workload;
  const std::map<std::string, std::string Workload::*> texts = {
      {"--url", &Workload::url}, {"--model", &Workload::model}, {"--prompt", &Workload::prompt}};
  const std::map<std::string, int Workload::*> counts = {{"--concurrency", &Workload::concurrency},
                                                         {"--calls", &Workload::calls},
                                                         {"--warmup", &Workload::warmup},
                                                         {"--max-tokens", &Workload::max_tokens}};
  const std::map<std::string, double Workload::*> numbers = {
      {"--spread-ms", &Workload::spread_ms},
      {"--ttft-ms", &Workload::ttft_ms},
      {"--tokens-per-s", &Workload::tokens_per_s},
      {"--tokens-per-chunk", &Workload::tokens_per_chunk}};
  const std::map<std::string, bool Workload::*> switches = {{"--stream", &Workload::stream},
                                                            {"--lateness", &Workload::lateness}};
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (const auto found = switches.find(flag); found != switches.end()) {
      workload.*found->second = true;
      continue;
    }
    if (i + 1 == argc) Refuse(flag + " is not known, or has no value");
    const std::string value = argv[++i];
    if (const auto text = texts.find(flag); text != texts.end()) {
      workload.*text->second = value;
    } else if (const auto count = counts.find(flag); count != counts.end()) {
      workload.*count->second = static_cast<int>(NumberOf(flag, value));
    } else if (const auto number = numbers.find(flag); number != numbers.end()) {
      workload.*number->second = NumberOf(flag, value);
    } else {
      Refuse(flag + " is not known");
    }
  }
  if (workload.url.empty()) Refuse("--url is required");
  if (workload.concurrency < 1 || workload.calls < workload.concurrency || workload.warmup < 0) {
    Refuse("at least one call at a time, and as many calls as places");
  }
  return workload;
}

TimePoint Workload::DueOf(int place, TimePoint start) const {
  return start + std::chrono::duration_cast<Clock::duration>(
                     std::chrono::duration<double, std::milli>(spread_ms * place / concurrency));
}

// The prompt is ours and needs no escaping.
std::string Workload::RequestBody(int tokens) const {
  std::string body = R"({"model":")" + model + R"(","messages":[{"role":"user","content":")" +
                     prompt + R"("}],"max_tokens":)" + std::to_string(tokens);
  if (stream) body += R"(,"stream":true,"stream_options":{"include_usage":true})";
  return body + "}";
}

void Turns::Begin(int count) {
  left_to_start_ = count;
  left_to_end_ = count;
}

bool Turns::Take() { return left_to_start_.fetch_sub(1) > 0; }

bool Turns::End() {
  if (left_to_end_.fetch_sub(1) > 1) return Take();
  done_.release();
  return false;
}

void Turns::Wait() { done_.acquire(); }

Recorder::Recorder(const Workload& workload)
    : workload_(workload), rss_before_kb_(MemoryKb("VmRSS:")), start_(Clock::now()) {}

TimePoint Recorder::Begin() {
  deltas = 0;
  bytes = 0;
  failures_ = 0;
  call_ms_.clear();
  late_ms_.clear();
  cpu_before_ = CpuOfProcess();
  start_ = Clock::now();
  return start_;
}

void Recorder::Delta(TimePoint call_start, std::int64_t number, TimePoint now) {
  // The first delta has one token.
  const double tokens = static_cast<double>(number) * workload_.tokens_per_chunk;
  const double due_ms = workload_.ttft_ms + tokens * 1000 / workload_.tokens_per_s;
  late_ms_.push_back(static_cast<float>(Milliseconds(now - call_start) - due_ms));
}

void Recorder::CallEnded(TimePoint call_start, TimePoint now, bool ok) {
  call_ms_.push_back(static_cast<float>(Milliseconds(now - call_start)));
  if (!ok) ++failures_;
}

void Recorder::Print(std::string_view driver, std::string_view version) {
  const double wall_s = Milliseconds(Clock::now() - start_) / 1000;
  const Cpu cpu = CpuOfProcess();
  const long rss_peak_kb = MemoryKb("VmHWM:");
  std::printf(R"({"driver": "%.*s", "version": "%.*s", "calls": %zu, "failures": %d, )",
              static_cast<int>(driver.size()), driver.data(), static_cast<int>(version.size()),
              version.data(), call_ms_.size(), failures_);
  std::printf(R"("wall_s": %.6f, "cpu_user_s": %.6f, "cpu_system_s": %.6f, )", wall_s,
              cpu.user_s - cpu_before_.user_s, cpu.system_s - cpu_before_.system_s);
  std::printf(R"("deltas": %lld, "bytes": %lld, "rss_before_kb": %ld, "rss_peak_kb": %ld, )",
              static_cast<long long>(deltas), static_cast<long long>(bytes), rss_before_kb_,
              rss_peak_kb);
  std::printf(R"("kb_per_call": %.3f)",
              static_cast<double>(rss_peak_kb - rss_before_kb_) / workload_.concurrency);
  PrintQuantiles("call_ms", call_ms_);
  if (workload_.lateness) PrintQuantiles("late_ms", late_ms_);
  std::puts("}");
}

Recorder::Cpu Recorder::CpuOfProcess() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return {seconds(usage.ru_utime), seconds(usage.ru_stime)};
}

}  // namespace bench
