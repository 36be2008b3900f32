// Measures what an emulator can carry: keeps N streams open against it, one request after the other
// on each connection, and reports how many deltas came, how late they were, and what CPU both sides
// took. Run the emulator with a fixed pace (no sigma), and give the same pace here:
//
//   postgen-emulator --port 8080 --ttft-ms 400 --tokens-per-s 80 &
//   postgen-emulator-load --port 8080 --pid $! --streams 500 --seconds 20
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "numbers.h"

namespace {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using emulator::ToNumber;

struct Options {
  double port = 0;
  double pid = 0;
  double streams = 500;
  double seconds = 20;
  double warmup_s = 5;
  double ttft_ms = 400;
  double tokens_per_s = 80;
  double tokens_per_chunk = 1;
  double words = 400;
  double poll_ms = 0;  // pause between two looks at the sockets; 0: wakes up for every event
};

struct Flag {
  std::string_view name;
  double Options::*member;
};

constexpr Flag kFlags[] = {
    {"--port", &Options::port},
    {"--pid", &Options::pid},
    {"--streams", &Options::streams},
    {"--seconds", &Options::seconds},
    {"--warmup-s", &Options::warmup_s},
    {"--ttft-ms", &Options::ttft_ms},
    {"--tokens-per-s", &Options::tokens_per_s},
    {"--tokens-per-chunk", &Options::tokens_per_chunk},
    {"--words", &Options::words},
    {"--poll-ms", &Options::poll_ms},
};

bool ParseFlags(int argc, char** argv, Options* options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    auto flag = std::find_if(std::begin(kFlags), std::end(kFlags),
                             [&](const Flag& f) { return f.name == argv[i]; });
    auto value = ToNumber<double>(argv[i + 1]);
    if (flag == std::end(kFlags) || !value) return false;
    options->*flag->member = *value;
  }
  return argc % 2 == 1 && options->port > 0 && options->streams >= 1;
}

// User and system CPU seconds of a process.
double CpuSeconds(long pid) {
  std::ifstream file("/proc/" + emulator::ToText(pid) + "/stat");
  std::string stat((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double OwnCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Stream {
 public:
  Stream(const Options& options, int epoll) : options_(options), epoll_(epoll) {}

  // Connects and sends the first request.
  bool Open(const std::string& request) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return false;
    int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = this;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event);
    return Ask(request);
  }

  struct Progress {
    std::int64_t deltas = 0;
    std::optional<double> late_ms;  // of the last delta
    bool finished = false;
    bool failed = false;
  };

  Progress Read(TimePoint now) {
    static std::array<char, 1 << 18> buffer;
    Progress progress;
    ssize_t size = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size <= 0) {
      progress.failed = size == 0 || (errno != EAGAIN && errno != EINTR);
      return progress;
    }
    std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
    // The role's delta has "role" before its content, so it does not match.
    constexpr std::string_view kDelta = "{\"content\":\"";
    for (std::size_t at = bytes.find(kDelta); at != std::string_view::npos;
         at = bytes.find(kDelta, at + kDelta.size())) {
      ++progress.deltas;
    }
    deltas_ += progress.deltas;
    if (progress.deltas > 0) progress.late_ms = LateMs(now);
    constexpr std::string_view kEnd = "\r\n0\r\n\r\n";
    progress.finished =
        bytes.size() >= kEnd.size() && bytes.substr(bytes.size() - kEnd.size()) == kEnd;
    return progress;
  }

  bool Ask(const std::string& request) {
    deltas_ = 0;
    asked_ = Clock::now();
    return send(socket_, request.data(), request.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(request.size());
  }

 private:
  // How long after its time the newest delta came. The first delta has one token.
  double LateMs(TimePoint now) const {
    double tokens = static_cast<double>(deltas_ - 1) * options_.tokens_per_chunk;
    double due_ms = options_.ttft_ms + tokens * 1000 / options_.tokens_per_s;
    return std::chrono::duration<double, std::milli>(now - asked_).count() - due_ms;
  }

  const Options& options_;
  const int epoll_;
  int socket_ = -1;
  TimePoint asked_;
  std::int64_t deltas_ = 0;
};

double Percentile(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return static_cast<double>(values[static_cast<std::size_t>(rank)]);
}

std::string RequestText(const Options& options) {
  std::string body =
      R"json({"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":")json"
      "台積電(2330)分析，" +
      emulator::ToText(static_cast<int>(options.words)) + R"json( 字以內"}]})json";
  return "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer k\r\n"
         "content-type: application/json\r\ncontent-length: " +
         emulator::ToText(body.size()) + "\r\n\r\n" + body;
}

struct Totals {
  std::int64_t deltas = 0;
  std::int64_t replies = 0;
  std::vector<float> late_ms;
};

int Run(const Options& options) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::string request = RequestText(options);
  std::vector<Stream> streams(static_cast<std::size_t>(options.streams), Stream(options, epoll));

  Totals totals;
  std::size_t opened = 0;
  TimePoint start = Clock::now();
  auto since_start = [&start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  double cpu_before = 0;
  double own_before = 0;
  double measured_from = 0;
  bool measuring = false;
  while (since_start() < options.warmup_s + options.seconds) {
    // Opened over the first half of the warm-up, so that the streams are out of step.
    double share = std::min(1.0, since_start() / std::max(options.warmup_s / 2, 1e-3));
    for (; opened < static_cast<std::size_t>(share * options.streams); ++opened) {
      if (!streams[opened].Open(request)) {
        std::perror("postgen-emulator-load: cannot connect");
        return 1;
      }
    }
    if (!measuring && since_start() >= options.warmup_s) {
      measuring = true;
      totals = Totals();
      cpu_before = CpuSeconds(static_cast<long>(options.pid));
      own_before = OwnCpuSeconds();
      measured_from = since_start();
    }
    if (options.poll_ms > 0) {
      std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(options.poll_ms));
    }
    std::array<epoll_event, 8192> events;
    int ready = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 10);
    TimePoint now = Clock::now();
    for (int i = 0; i < ready; ++i) {
      auto* stream = static_cast<Stream*>(events[static_cast<std::size_t>(i)].data.ptr);
      Stream::Progress progress = stream->Read(now);
      totals.deltas += progress.deltas;
      if (progress.late_ms) totals.late_ms.push_back(static_cast<float>(*progress.late_ms));
      if (progress.finished) {
        ++totals.replies;
        if (!stream->Ask(request)) progress.failed = true;
      }
      if (progress.failed) {
        std::fputs("postgen-emulator-load: a stream was broken off\n", stderr);
        return 1;
      }
    }
  }
  double seconds = since_start() - measured_from;
  double cpu = (CpuSeconds(static_cast<long>(options.pid)) - cpu_before) / seconds;
  double own = (OwnCpuSeconds() - own_before) / seconds;
  auto deltas = static_cast<double>(totals.deltas);
  std::printf(
      "streams %.0f  deltas/s %.0f  replies/s %.1f  late p50 %.2f ms  p99 %.2f ms  max %.2f ms  "
      "emulator %.3f cores (%.2f us a delta)  load driver %.3f cores\n",
      options.streams, deltas / seconds, static_cast<double>(totals.replies) / seconds,
      Percentile(totals.late_ms, 0.5), Percentile(totals.late_ms, 0.99),
      Percentile(totals.late_ms, 1), cpu, deltas > 0 ? cpu * seconds / deltas * 1e6 : 0, own);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ParseFlags(argc, argv, &options)) {
    std::fputs("usage: postgen-emulator-load --port N [--pid N] [--streams N] [--seconds N]",
               stderr);
    std::fputs(" [--warmup-s N] [--ttft-ms N] [--tokens-per-s N] [--tokens-per-chunk N]", stderr);
    std::fputs(" [--words N] [--poll-ms N]\n", stderr);
    return 2;
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  return Run(options);
}
