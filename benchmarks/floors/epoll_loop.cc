// The floor that the system sets: raw sockets on epoll, awake at once for every byte, nothing
// parsed but where a reply ends. With --lateness it counts deltas, which costs it time: not for the
// CPU figures.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
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

constexpr int kLongestWaitMs = 1000;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Place {
  int socket = -1;
  TimePoint start;
  std::int64_t deltas = 0;
  bool ok = false;       // the status line said 200
  bool chunked = false;  // ends with the empty chunk, else after `left` bytes
  std::int64_t left = 0;
  bool has_head = false;
};

// What follows the header `name` (lower case, as the emulator writes it) in a head.
std::string_view HeaderOf(std::string_view head, std::string_view name) {
  const std::size_t at = head.find(name);
  return at == std::string_view::npos ? std::string_view() : head.substr(at + name.size());
}

class EpollLoop {
 public:
  EpollLoop(const Workload& workload, Recorder* recorder)
      : workload_(workload), recorder_(recorder) {
    // http://HOST:PORT/PATH with a numeric host
    const std::size_t host = workload.url.find("//") + 2;
    const std::size_t colon = workload.url.find(':', host);
    const std::size_t slash = workload.url.find('/', host);
    address_.sin_family = AF_INET;
    address_.sin_port =
        htons(static_cast<std::uint16_t>(std::atoi(workload.url.substr(colon + 1, slash).c_str())));
    authority_ = workload.url.substr(host, slash - host);
    path_ = workload.url.substr(slash) + "/chat/completions";
    if (inet_pton(AF_INET, workload.url.substr(host, colon - host).c_str(), &address_.sin_addr) !=
        1) {
      Fail("epoll_loop: --url needs a numeric host");
    }
    places_.resize(static_cast<std::size_t>(workload.concurrency));
  }

  // Keeps every place busy until `calls` have ended.
  void Run(int calls, const std::string& body, TimePoint start, bool spread) {
    request_ = "POST " + path_ + " HTTP/1.1\r\nhost: " + authority_ +
               "\r\nauthorization: Bearer bench\r\ncontent-type: application/json\r\n"
               "content-length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body;
    left_to_start_ = calls;
    left_to_end_ = calls;
    for (std::size_t i = 0; i < places_.size() && left_to_start_ > 0; ++i, --left_to_start_) {
      places_[i].start = spread ? workload_.DueOf(static_cast<int>(i), start) : start;
      waiting_.push_back(&places_[i]);
    }
    std::array<epoll_event, 1024> events;
    while (left_to_end_ > 0) {
      StartDue();
      const int ready =
          epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), WaitMs());
      for (int i = 0; i < ready; ++i) {
        Read(static_cast<Place*>(events[static_cast<std::size_t>(i)].data.ptr));
      }
    }
  }

 private:
  void Connect(Place* place) {
    place->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(place->socket, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) !=
        0) {
      Fail("epoll_loop: connect");
    }
    const int on = 1;
    setsockopt(place->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = place;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, place->socket, &event);
  }

  void StartDue() {
    const TimePoint now = Clock::now();
    while (!waiting_.empty() && waiting_.front()->start <= now) {
      Place* place = waiting_.front();
      waiting_.pop_front();
      if (place->socket < 0) Connect(place);
      place->deltas = 0;
      place->has_head = false;
      if (send(place->socket, request_.data(), request_.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request_.size())) {
        Fail("epoll_loop: send");
      }
    }
  }

  void Read(Place* place) {
    const ssize_t size = recv(place->socket, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      close(place->socket);
      place->socket = -1;
      return End(place, false);
    }
    std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
    if (!place->has_head) bytes = ReadHead(place, bytes);
    recorder_->bytes += static_cast<std::int64_t>(bytes.size());
    place->left -= static_cast<std::int64_t>(bytes.size());
    if (workload_.lateness) CountDeltas(place, bytes);
    constexpr std::string_view kEmptyChunk = "\r\n0\r\n\r\n";
    if (place->chunked ? bytes.ends_with(kEmptyChunk) : place->left <= 0) End(place, place->ok);
  }

  // The emulator sends a head in one piece. What follows it.
  static std::string_view ReadHead(Place* place, std::string_view bytes) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t end = bytes.find(kEnd);
    if (end == std::string_view::npos) Fail("epoll_loop: a head in two pieces");
    const std::string_view head = bytes.substr(0, end);
    place->has_head = true;
    place->ok = head.starts_with("HTTP/1.1 200");
    const std::string_view length = HeaderOf(head, "\r\ncontent-length: ");
    place->chunked = length.empty();
    place->left = length.empty() ? 0 : std::atoll(length.data());
    return bytes.substr(end + kEnd.size());
  }

  void CountDeltas(Place* place, std::string_view bytes) {
    constexpr std::string_view kDelta = "{\"content\":\"";
    const TimePoint now = Clock::now();
    for (std::size_t at = bytes.find(kDelta); at != std::string_view::npos;
         at = bytes.find(kDelta, at + kDelta.size())) {
      recorder_->Delta(place->start, place->deltas++, now);
      ++recorder_->deltas;
    }
  }

  void End(Place* place, bool ok) {
    const TimePoint now = Clock::now();
    recorder_->CallEnded(place->start, now, ok);
    --left_to_end_;
    if (left_to_start_ == 0) return;
    --left_to_start_;
    place->start = now;
    waiting_.push_back(place);
    StartDue();
  }

  int WaitMs() const {
    if (waiting_.empty()) return kLongestWaitMs;
    const auto wait =
        std::chrono::ceil<std::chrono::milliseconds>(waiting_.front()->start - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, kLongestWaitMs));
  }

  const Workload& workload_;
  Recorder* const recorder_;
  sockaddr_in address_{};
  std::string authority_;
  std::string path_;
  std::string request_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Place> places_;
  std::deque<Place*> waiting_;  // by start
  int left_to_start_ = 0;
  int left_to_end_ = 0;
  std::array<char, 1 << 16> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  Recorder recorder(workload);
  EpollLoop loop(workload, &recorder);
  loop.Run(workload.warmup, workload.RequestBody(1), Clock::now(), /*spread=*/false);
  const TimePoint start = recorder.Begin();
  loop.Run(workload.calls, workload.RequestBody(workload.max_tokens), start, /*spread=*/true);
  utsname system{};
  uname(&system);
  recorder.Print("epoll loop", system.release);
  return 0;
}
