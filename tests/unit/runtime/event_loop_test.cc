#include "runtime/event_loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/notification.h"

namespace postgen {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::Notification;
using testing::RunOn;

// A descriptor that is readable once it is signalled.
class Signal {
 public:
  Signal() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Signal() { close(fd_); }
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  int fd() const { return fd_; }
  void Raise() const { eventfd_write(fd_, 1); }
  void Clear() const {
    eventfd_t count = 0;
    eventfd_read(fd_, &count);
  }

 private:
  const int fd_;
};

TEST_CASE("tasks run in order on a thread of their own") {
  EventLoop loop("order");
  REQUIRE(loop.status().ok());
  CHECK(!loop.InThread());
  std::vector<int> ran;
  for (int n = 0; n < 1000; ++n) loop.Post([&ran, n] { ran.push_back(n); });
  bool in_thread = false;
  RunOn(&loop, [&] { in_thread = loop.InThread(); });
  CHECK(in_thread);
  REQUIRE(ran.size() == 1000);
  for (int n = 0; n < 1000; ++n) CHECK(ran[static_cast<std::size_t>(n)] == n);
}

TEST_CASE("a task posted from a task runs later, and is not lost while the loop goes to sleep") {
  EventLoop loop("nested");
  Notification done;
  std::string ran;
  loop.Post([&] {
    loop.Post([&] {
      ran += 'b';
      done.Notify();
    });
    ran += 'a';
  });
  done.Wait();
  CHECK(ran == "ab");
}

TEST_CASE("no task of many threads is lost") {
  constexpr int kThreads = 4;
  constexpr int kTasks = 20000;
  EventLoop loop("many");
  int ran = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; n < kTasks; ++n) loop.Post([&] { ++ran; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  RunOn(&loop, [] {});
  CHECK(ran == kThreads * kTasks);
}

TEST_CASE("a loop that stays awake has its tasks, timers and descriptors, and sleeps afterwards") {
  EventLoop loop("awake");
  const Signal signal;
  Notification timer_ran;
  Notification signalled;
  RunOn(&loop, [&] {
    loop.StayAwakeUntil(loop.Now() + std::chrono::hours(1));
    loop.RunAt(loop.Now() + milliseconds(1), [&] { timer_ran.Notify(); });
    loop.Watch(signal.fd(), EPOLLIN, [&](std::uint32_t) {
      loop.Unwatch(signal.fd());
      signalled.Notify();
    });
  });
  timer_ran.Wait();
  signal.Raise();
  signalled.Wait();
  RunOn(&loop, [&] { loop.StayAwakeUntil(loop.Now()); });
  // Only a loop that sleeps is taken off its processor of its own accord.
  const auto sleeps = [&] {
    rusage usage{};
    RunOn(&loop, [&] { getrusage(RUSAGE_THREAD, &usage); });
    return usage.ru_nvcsw;
  };
  const auto before = sleeps();
  while (sleeps() == before) {
  }
}

TEST_CASE("a task is destroyed when it has run, not with the last of its batch") {
  EventLoop loop("held");
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  bool gone = false;
  RunOn(&loop, [&] {
    loop.Post([held = std::move(held)] {});
    loop.Post([&] { gone = watched.expired(); });
  });
  RunOn(&loop, [] {});
  CHECK(gone);
}

TEST_CASE("Stop runs what was posted, drops the rest, and may be called twice") {
  auto kept = std::make_shared<int>(1);
  EventLoop loop("stop");
  bool ran = false;
  bool timer_ran = false;
  RunOn(&loop, [&] {
    loop.RunAt(loop.Now() + std::chrono::hours(1), [&timer_ran, kept] { timer_ran = true; });
  });
  loop.Post([&] { ran = true; });
  loop.Stop();
  loop.Stop();
  CHECK(ran);
  CHECK(kept.use_count() == 1);
  loop.Post([&ran, kept] { ran = false; });
  CHECK(ran);
  CHECK(!timer_ran);
  CHECK(kept.use_count() == 1);
  CHECK(!loop.InThread());
}

// Relaxed descriptors on a loop whose tick never ends by itself; each counts its callbacks.
class Relaxed {
 public:
  explicit Relaxed(std::size_t count) : signals_(count), calls_(count, 0) {
    RunOn(&loop_, [&] {
      for (std::size_t n = 0; n < count; ++n) {
        loop_.Watch(signals_[n].fd(), EPOLLIN, [this, n](std::uint32_t) {
          signals_[n].Clear();
          ++calls_[n];
        });
        loop_.Relax(signals_[n].fd());
      }
    });
  }

  EventLoop* loop() { return &loop_; }
  const Signal& signal(std::size_t n) const { return signals_[n]; }
  void Unwatch(std::size_t n) {
    RunOn(&loop_, [&] { loop_.Unwatch(signals_[n].fd()); });
  }

  // The callbacks so far, after the loop has looked at what it watches a few times.
  int Calls() {
    for (int turn = 0; turn < 3; ++turn) RunOn(&loop_, [] {});
    int calls = 0;
    RunOn(&loop_, [&] {
      for (const int n : calls_) calls += n;
    });
    return calls;
  }

 private:
  std::vector<Signal> signals_;
  std::vector<int> calls_;
  EventLoop loop_{"relaxed", std::chrono::hours(1)};
};

TEST_CASE("few relaxed descriptors are handled at once") {
  Relaxed relaxed(EventLoop::kManyRelaxed - 1);
  for (int n = 1; n <= 5; ++n) {
    relaxed.signal(0).Raise();
    CHECK(relaxed.Calls() == n);
  }
}

TEST_CASE("many relaxed descriptors wait for the tick, and nothing else does") {
  Relaxed relaxed(EventLoop::kManyRelaxed);
  relaxed.signal(0).Raise();  // after silence, the first one is handled at once and begins a tick
  CHECK(relaxed.Calls() == 1);
  for (std::size_t n = 0; n < EventLoop::kManyRelaxed; ++n) relaxed.signal(n).Raise();
  CHECK(relaxed.Calls() == 1);

  const Signal urgent;
  Notification heard;
  RunOn(relaxed.loop(), [&] {
    relaxed.loop()->Watch(urgent.fd(), EPOLLIN, [&](std::uint32_t) {
      urgent.Clear();
      heard.Notify();
    });
  });
  urgent.Raise();
  heard.Wait();
  Notification timer;
  RunOn(relaxed.loop(),
        [&] { relaxed.loop()->RunAt(relaxed.loop()->Now(), [&] { timer.Notify(); }); });
  timer.Wait();
  CHECK(relaxed.Calls() == 1);

  SUBCASE("one that is watched anew waits no longer") {
    int calls = 0;
    RunOn(relaxed.loop(), [&] {
      relaxed.loop()->Watch(relaxed.signal(0).fd(), EPOLLIN, [&](std::uint32_t) {
        relaxed.signal(0).Clear();
        ++calls;
      });
    });
    // And as the others are few now, neither do they.
    CHECK(relaxed.Calls() == static_cast<int>(EventLoop::kManyRelaxed));
    RunOn(relaxed.loop(), [&] { CHECK(calls == 1); });
  }
  SUBCASE("when they are few again, all are handled at once") {
    relaxed.Unwatch(0);
    CHECK(relaxed.Calls() == static_cast<int>(EventLoop::kManyRelaxed));
    relaxed.signal(1).Raise();
    CHECK(relaxed.Calls() == static_cast<int>(EventLoop::kManyRelaxed) + 1);
  }
}

TEST_CASE("the end of a tick handles all that became ready in it") {
  constexpr int kCount = 3 * static_cast<int>(EventLoop::kManyRelaxed);
  std::vector<Signal> signals(kCount);
  Notification all;
  int left = kCount;
  EventLoop loop("tick");
  RunOn(&loop, [&] {
    for (const Signal& signal : signals) {
      loop.Watch(signal.fd(), EPOLLIN, [&](std::uint32_t) {
        signal.Clear();
        if (--left == 0) all.Notify();
      });
      loop.Relax(signal.fd());
    }
  });
  for (const Signal& signal : signals) signal.Raise();
  all.Wait();
}

TEST_CASE("timers fire in order of time, equal ones in the order they were set, never early") {
  EventLoop loop("timers");
  Notification done;
  std::string ran;
  bool early = false;
  loop.Post([&] {
    const TimePoint start = loop.Now();
    const auto at = [&](int ms, char name) {
      const TimePoint when = start + milliseconds(ms);
      return loop.RunAt(when, [&, when, name] {
        early = early || loop.Now() < when;
        ran += name;
        if (name == 'e') done.Notify();
      });
    };
    at(9, 'e');
    at(3, 'c');
    at(3, 'd');
    const TimerId cancelled = at(2, 'x');
    at(1, 'b');
    at(-100000, 'a');
    loop.CancelTimer(cancelled);
    loop.CancelTimer(cancelled);
    loop.CancelTimer(0);
  });
  done.Wait();
  CHECK(ran == "abcde");
  CHECK(!early);
}

TEST_CASE("the earliest representable instant is the past, the latest is never") {
  EventLoop loop("extremes");
  Notification done;
  bool wrong = false;
  loop.Post([&] {
    loop.RunAt(TimePoint::max(), [&] { wrong = true; });
    loop.RunAt(TimePoint::min(), [&] { done.Notify(); });
  });
  done.Wait();
  CHECK(!wrong);
}

TEST_CASE("a timer that sets itself again in the past lets tasks and descriptors have their turn") {
  EventLoop loop("fair");
  const Signal signal;
  Notification done;
  std::atomic<bool> stop = false;
  std::function<void()> again = [&] {
    if (!stop) loop.RunAt(TimePoint(), [&] { again(); });
  };
  loop.Post([&] {
    again();
    loop.Watch(signal.fd(), EPOLLIN, [&](std::uint32_t) {
      loop.Unwatch(signal.fd());
      done.Notify();
    });
  });
  RunOn(&loop, [&] { signal.Raise(); });
  done.Wait();
  stop = true;
  loop.Stop();  // before what the timer refers to goes
}

TEST_CASE("an earlier timer set while the loop sleeps for a later one is in time") {
  EventLoop loop("rearm");
  RunOn(&loop, [&] { loop.RunAt(loop.Now() + std::chrono::hours(1), [] {}); });
  Notification done;
  loop.Post([&] { loop.RunAt(loop.Now() + microseconds(300), [&] { done.Notify(); }); });
  done.Wait();
}

TEST_CASE("a watched descriptor is reported while it is ready and watched") {
  EventLoop loop("watch");
  const Signal signal;
  int reports = 0;
  Notification thrice;
  RunOn(&loop, [&] {
    loop.Watch(signal.fd(), EPOLLIN, [&](std::uint32_t events) {
      CHECK((events & EPOLLIN) != 0);
      if (++reports < 3) return;  // level-triggered: it comes again
      signal.Clear();
      thrice.Notify();
    });
  });
  signal.Raise();
  thrice.Wait();
  RunOn(&loop, [&] {
    CHECK(reports == 3);
    loop.Unwatch(signal.fd());
    loop.Unwatch(signal.fd());
    signal.Raise();
  });
  RunOn(&loop, [] {});
  RunOn(&loop, [&] { CHECK(reports == 3); });
}

TEST_CASE("unwatching takes back events that were reported in the same batch") {
  EventLoop loop("batch");
  const std::array<Signal, 8> signals;
  int reports = 0;
  Notification first;
  RunOn(&loop, [&] {
    for (const Signal& signal : signals) {
      signal.Raise();
      loop.Watch(signal.fd(), EPOLLIN, [&](std::uint32_t) {
        for (const Signal& other : signals) loop.Unwatch(other.fd());
        ++reports;
        first.Notify();
      });
    }
  });
  first.Wait();
  RunOn(&loop, [&] { CHECK(reports == 1); });
}

TEST_CASE("a callback may replace itself, and its captures stay valid until it returns") {
  EventLoop loop("replace");
  const Signal signal;
  Notification done;
  std::string seen;
  RunOn(&loop, [&] {
    const std::string text(100, 'x');
    loop.Watch(signal.fd(), EPOLLIN, [&, text](std::uint32_t) {
      loop.Watch(signal.fd(), EPOLLIN, [&](std::uint32_t) {
        loop.Unwatch(signal.fd());
        done.Notify();
      });
      seen = text;
    });
  });
  signal.Raise();
  done.Wait();
  CHECK(seen == std::string(100, 'x'));
}

TEST_CASE("a descriptor number that was closed and comes again can be watched again") {
  EventLoop loop("reopen");
  Notification done;
  RunOn(&loop, [&] {
    const int fd = eventfd(0, EFD_CLOEXEC);
    loop.Watch(fd, EPOLLIN, [](std::uint32_t) { FAIL("reported after close"); });
    close(fd);
    const int again = eventfd(1, EFD_CLOEXEC);
    REQUIRE(again == fd);
    loop.Watch(again, EPOLLIN, [&, again](std::uint32_t) {
      loop.Unwatch(again);
      close(again);
      done.Notify();
    });
  });
  done.Wait();
}

TEST_CASE("the thread bears its name and blocks every signal") {
  EventLoop loop("a-name-that-is-too-long");
  sigset_t blocked;
  char name[16] = "";
  RunOn(&loop, [&] {
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    pthread_getname_np(pthread_self(), name, sizeof name);
  });
  for (const int signal : {SIGPIPE, SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGPROF}) {
    CHECK(sigismember(&blocked, signal) == 1);
  }
  sigset_t ours;
  pthread_sigmask(SIG_BLOCK, nullptr, &ours);
  CHECK(sigismember(&ours, SIGTERM) == 0);
  CHECK(std::string(name) == "a-name-that-is-");
}

// Of this process.
std::set<int> OpenDescriptors() {
  std::set<int> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    open.insert(std::atoi(entry.path().filename().c_str()));
  }
  std::erase_if(open, [](int fd) { return fcntl(fd, F_GETFD) < 0; });  // the iterator's own
  return open;
}

TEST_CASE("descriptors are close-on-exec and are given back") {
  const std::set<int> before = OpenDescriptors();
  {
    EventLoop loop("fds");
    int ours = 0;
    for (const int fd : OpenDescriptors()) {
      if (before.count(fd) > 0) continue;
      ++ours;
      CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK(ours == 4);
  }
  CHECK(OpenDescriptors() == before);
}

TEST_CASE("without descriptors left, the loop says so and drops what it is given") {
  { REQUIRE(EventLoop("some").status().ok()); }
  const int lowest_free = dup(STDIN_FILENO);
  close(lowest_free);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;  // one more can be opened
  setrlimit(RLIMIT_NOFILE, &tight);
  bool ran = false;
  {
    EventLoop loop("none");
    setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE(!loop.status().ok());
    CHECK(loop.status().error().code == Code::kNomem);
    loop.Post([&] { ran = true; });
    loop.Stop();
  }
  CHECK(!ran);
}

}  // namespace
}  // namespace postgen
