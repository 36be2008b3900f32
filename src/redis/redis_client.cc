#include "redis/redis_client.h"

#include <sys/epoll.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "runtime/blocking_calls.h"
#include "runtime/event_loop.h"
#include "runtime/host_addresses.h"
#include "runtime/mutex.h"
#include "runtime/random.h"

namespace postgen {
namespace {

// Arrays of replies do not nest deeper in any command of ours.
constexpr int kMaxDepth = 2;

RedisReply Convert(const redisReply* reply, int depth = 0) {
  RedisReply out;
  if (reply == nullptr) return out;
  switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.kind = RedisReply::Kind::kText;
      out.text.assign(reply->str, reply->len);
      break;
    case REDIS_REPLY_INTEGER:
      out.kind = RedisReply::Kind::kInteger;
      out.integer = reply->integer;
      break;
    case REDIS_REPLY_NIL: out.kind = RedisReply::Kind::kNil; break;
    case REDIS_REPLY_ARRAY:
      out.kind = RedisReply::Kind::kArray;
      for (std::size_t i = 0; depth < kMaxDepth && i < reply->elements; ++i) {
        out.elements.push_back(Convert(reply->element[i], depth + 1));
      }
      break;
    default: {
      // Only the word: the rest may repeat what was sent.
      out.kind = RedisReply::Kind::kError;
      const std::string_view text(reply->str, reply->len);
      out.text = text.substr(0, std::min<std::size_t>(text.find(' '), 32));
      break;
    }
  }
  return out;
}

std::string Said(const RedisReply& error) { return "Redis said " + error.text; }

}  // namespace

class RedisClient::Impl {
 public:
  explicit Impl(RedisTarget target) : target_(std::move(target)) {
    loop_.Post([this] { Connect(); });
  }

  void Run(std::vector<std::string> arguments, Callback done) {
    if (!ready_ || open_ >= kMaxOpen) {
      CountAway();
      return done({});
    }
    ++open_;
    loop_.Post(
        [this, arguments = std::move(arguments), guard = Guard(this, std::move(done))]() mutable {
          Send(arguments, std::move(guard));
        });
  }

  void IfLate(Duration limit, std::function<void()> late) {
    loop_.Post([this, limit, late = std::move(late)] {
      loop_.RunAt(loop_.Now() + limit, [this, until = sent_, late] {
        // Once more round the loop: what has come by now is read first.
        loop_.Post([this, until, late] {
          if (answered_ < until) late();
        });
      });
    });
  }

  void Stop() {
    // Ready when the task lets go of it, also where the loop has ended and does not run it.
    auto flushed = std::make_shared<std::promise<void>>();
    const std::future<void> done = flushed->get_future();
    loop_.Post([this, flushed = std::move(flushed)]() mutable {
      stopped_ = true;
      const bool connected = ready_.exchange(false);
      // Let go of by the last answer, or when the connection is given up.
      if (connected && answered_ < sent_) flushed_ = std::move(flushed);
    });
    done.wait();
    loop_.Post([this] { Drop("the client was stopped"); });
    loop_.Stop();
  }

  void WaitUntilTried(TimePoint limit) const {
    const MutexLock lock(&mutex_);
    while (view_.connects == 0 && view_.last_trouble.empty()) {
      if (tried_.wait_until(mutex_, limit) == std::cv_status::timeout) return;
    }
  }

  const std::string& shown() const { return target_.shown; }

  std::string Trouble(const RedisReply& reply) const {
    if (reply.kind == RedisReply::Kind::kError) return target_.shown + ": " + Said(reply);
    if (reply.kind != RedisReply::Kind::kAway) {
      return target_.shown + ": Redis answered something else than was asked";
    }
    const std::string away = Look().last_trouble;
    return away.empty() ? target_.shown + ": not connected yet" : away;
  }

  View Look() const {
    const MutexLock lock(&mutex_);
    View view = view_;
    view.connected = ready_;
    return view;
  }

 private:
  // A callback that is called exactly once, with kAway where nothing else came.
  class Guard {
   public:
    Guard(Impl* impl, Callback done) : impl_(impl), done_(std::move(done)) {}
    Guard(Guard&& other) noexcept
        : impl_(other.impl_), done_(std::exchange(other.done_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { Answer({}); }

    void Answer(RedisReply reply) {
      if (!done_) return;
      --impl_->open_;
      impl_->Count(reply);
      std::exchange(done_, nullptr)(std::move(reply));
    }

   private:
    Impl* impl_;
    Callback done_;
  };

  struct Command {
    Impl* impl;
    Guard guard;
    TimePoint due;
  };

  static Impl* Self(void* impl) { return static_cast<Impl*>(impl); }

  // --- hiredis's event hooks

  void Watch(std::uint32_t wanted) {
    if (wanted == watched_) return;
    watched_ = wanted;
    if (wanted == 0) return loop_.Unwatch(fd_);
    loop_.Watch(fd_, wanted, [this](std::uint32_t events) { OnReady(events); });
  }

  void OnReady(std::uint32_t events) {
    // Errors show in the next read or write; hiredis may free the context in either.
    const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    const bool readable = (events & EPOLLIN) != 0 || (broken && (watched_ & EPOLLIN) != 0);
    const bool writable = (events & EPOLLOUT) != 0 || (broken && (watched_ & EPOLLOUT) != 0);
    if (writable && context_ != nullptr) redisAsyncHandleWrite(context_);
    if (readable && context_ != nullptr) redisAsyncHandleRead(context_);
    if (context_ != nullptr && context_->c.reader->len > kMaxReplyBytes) {
      Drop("a reply was larger than we take");
    }
  }

  void Attach() {
    fd_ = context_->c.fd;
    context_->data = this;
    context_->ev.data = this;
    context_->ev.addRead = [](void* d) { Self(d)->Watch(Self(d)->watched_ | EPOLLIN); };
    context_->ev.delRead = [](void* d) { Self(d)->Watch(Self(d)->watched_ & ~EPOLLIN); };
    context_->ev.addWrite = [](void* d) { Self(d)->Watch(Self(d)->watched_ | EPOLLOUT); };
    context_->ev.delWrite = [](void* d) { Self(d)->Watch(Self(d)->watched_ & ~EPOLLOUT); };
    context_->ev.cleanup = [](void* d) { Self(d)->Watch(0); };
    redisAsyncSetConnectCallback(context_, [](const redisAsyncContext* c, int status) {
      // On failure hiredis frees the context after this.
      if (status != REDIS_OK) Self(c->data)->OnGone("the connection was refused");
    });
    redisAsyncSetDisconnectCallback(context_, [](const redisAsyncContext* c, int /*status*/) {
      Self(c->data)->OnGone("the connection was lost");
    });
  }

  // --- Connecting

  void Connect() {
    if (IsAddress(target_.host)) {
      addresses_ = {target_.host};
      return ConnectNext();
    }
    limit_ = loop_.RunAt(loop_.Now() + kConnectLimit, [this] {
      limit_ = 0;
      Retry("the host's name did not resolve in time");
    });
    // Until a resolver that hangs comes back no other one is set on it.
    if (looking_) return;
    looking_ = lookups_.Run([this, host = target_.host]() -> Task {
      return [this, found = LookUpAddresses(host)] { OnFound(found); };
    });
  }

  // Also what comes after the limit is used: a resolver may always take that long.
  void OnFound(const Result<std::vector<std::string>>& found) {
    looking_ = false;
    loop_.CancelTimer(std::exchange(limit_, 0));
    loop_.CancelTimer(std::exchange(retry_, 0));
    if (stopped_) return;
    if (!found.ok()) return Retry("the host's name did not resolve: " + found.error().message);
    addresses_.assign(found->begin(), found->end());
    ConnectNext();
  }

  void ConnectNext() {
    if (stopped_) return;
    const std::string address = std::move(addresses_.front());
    addresses_.pop_front();
    redisAsyncContext* const context = redisAsyncConnect(address.c_str(), target_.port);
    if (context == nullptr) return GiveUp("no memory for a connection");
    if (context->err != 0) {
      redisAsyncFree(context);
      return GiveUp("the address cannot be connected to");
    }
    context_ = context;
    Attach();
    limit_ =
        loop_.RunAt(loop_.Now() + kConnectLimit, [this] { Drop("it did not answer in time"); });
    Greet();
  }

  // Sent ahead of the connection; nothing else is sent before all of it was answered well.
  void Greet() {
    std::vector<std::vector<std::string>> greeting;
    if (!target_.password.empty()) {
      greeting.push_back({"AUTH", target_.password});
      if (!target_.user.empty()) greeting.back().insert(greeting.back().begin() + 1, target_.user);
    }
    if (target_.database != 0) greeting.push_back({"SELECT", std::to_string(target_.database)});
    greeting.push_back({"PING"});
    // Redis that is loading or wants a password says so to a read only.
    greeting.push_back({"GET", "postgen:hello"});
    greetings_ = greeting.size();
    for (const auto& command : greeting) {
      ++open_;
      Send(command, Guard(this, [this, step = command.front()](const RedisReply& reply) {
             OnGreeting(step, reply);
           }));
    }
  }

  void OnGreeting(const std::string& step, const RedisReply& reply) {
    if (reply.kind == RedisReply::Kind::kAway) return;  // OnGone tells
    // The first error is the reason: a failed AUTH has NOAUTH for all that follows.
    if (reply.kind == RedisReply::Kind::kError && refused_.empty()) {
      refused_ = Said(reply) + " to " + step;
    }
    if (--greetings_ > 0) return;
    if (!refused_.empty()) {
      // Not within hiredis's callback: it is reading this context.
      loop_.Post([this] {
        if (context_ != nullptr && !ready_) Drop("the greeting was refused");
      });
      return;
    }
    addresses_.clear();
    loop_.CancelTimer(limit_);
    limit_ = 0;
    pause_ = kFirstPause;
    ready_ = true;
    const MutexLock lock(&mutex_);
    ++view_.connects;
    tried_.notify_all();
  }

  // --- Commands

  void Send(const std::vector<std::string>& arguments, Guard guard) {
    if (context_ == nullptr) return;  // the guard answers
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string& argument : arguments) {
      texts.push_back(argument.data());
      sizes.push_back(argument.size());
    }
    auto command =
        std::make_unique<Command>(Command{this, std::move(guard), loop_.Now() + kReplyLimit});
    const auto on_reply = [](redisAsyncContext* /*c*/, void* reply, void* data) {
      const std::unique_ptr<Command> ended(static_cast<Command*>(data));
      ended->impl->OnAnswered();
      ended->guard.Answer(Convert(static_cast<const redisReply*>(reply)));
    };
    const TimePoint due = command->due;
    if (redisAsyncCommandArgv(context_, on_reply, command.get(), static_cast<int>(texts.size()),
                              texts.data(), sizes.data()) != REDIS_OK) {
      return;
    }
    static_cast<void>(command.release());  // hiredis answers each command it took, once
    ++sent_;
    due_.push_back(due);
    WatchOldest();
  }

  // Replies come in the order of the commands.
  void OnAnswered() {
    ++answered_;
    if (!due_.empty()) due_.pop_front();
    if (answered_ == sent_) flushed_.reset();
  }

  // One timer, for the oldest command that is open; while connecting there is another limit.
  void WatchOldest() {
    if (oldest_ != 0 || due_.empty()) return;
    oldest_ = loop_.RunAt(due_.front(), [this] {
      oldest_ = 0;
      // Once more round the loop: what has come by now is read first.
      loop_.Post([this] {
        if (due_.empty() || oldest_ != 0 || greetings_ > 0) return;
        if (due_.front() <= loop_.Now()) return Drop("it did not answer in time");
        WatchOldest();
      });
    });
  }

  // --- The end of a connection

  void Drop(const std::string& why) {
    redisAsyncContext* const context = context_;
    OnGone(why);
    if (context != nullptr) redisAsyncFree(context);  // answers what is open with nothing
  }

  void OnGone(const std::string& why) {
    if (context_ == nullptr) return;
    context_ = nullptr;
    ready_ = false;
    // What was said before it went is the reason, as of one client too many.
    const std::string said = std::exchange(refused_, "");
    due_.clear();
    flushed_.reset();
    loop_.CancelTimer(std::exchange(limit_, 0));
    loop_.CancelTimer(std::exchange(oldest_, 0));
    if (said.empty()) return GiveUp(why);
    addresses_.clear();  // others of the same host would say the same
    Retry(said);
  }

  // An address: the host may have another one.
  void GiveUp(const std::string& why) {
    if (addresses_.empty()) return Retry(why);
    // Not at once: hiredis has yet to let go of the context of this one.
    loop_.Post([this] { ConnectNext(); });
  }

  void Retry(const std::string& why) {
    {
      const MutexLock lock(&mutex_);
      view_.last_trouble = target_.shown + ": " + why;
      tried_.notify_all();
    }
    if (stopped_) return;
    const auto pause = pause_ - std::chrono::milliseconds(static_cast<std::int64_t>(
                                    rng_() % static_cast<std::uint64_t>(pause_.count() / 2)));
    pause_ = std::min(pause_ * 2, kLongestPause);
    retry_ = loop_.RunAt(loop_.Now() + pause, [this] {
      retry_ = 0;
      Connect();
    });
  }

  void CountAway() {
    const MutexLock lock(&mutex_);
    ++view_.away;
  }

  void Count(const RedisReply& reply) {
    if (reply.kind == RedisReply::Kind::kAway) return CountAway();
    if (reply.kind != RedisReply::Kind::kError) return;
    const MutexLock lock(&mutex_);
    // A server of any kind cannot fill our memory with words.
    if (view_.errors.size() < 32 || view_.errors.count(reply.text) > 0) ++view_.errors[reply.text];
  }

  const RedisTarget target_;

  std::atomic<bool> ready_ = false;
  std::atomic<int> open_ = 0;

  mutable Mutex mutex_;
  mutable CondVar tried_;
  View view_ ABSL_GUARDED_BY(mutex_);

  // On the loop's thread only.
  Rng rng_{RandomSeed()};
  redisAsyncContext* context_ = nullptr;
  int fd_ = -1;
  std::uint32_t watched_ = 0;
  bool stopped_ = false;
  std::deque<std::string> addresses_;  // that are still to be tried for this connection
  bool looking_ = false;               // is a look-up under way?
  TimerId limit_ = 0;                  // of the look-up, or of the connection that is being made
  TimerId retry_ = 0;
  TimerId oldest_ = 0;
  std::size_t greetings_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;                   // or given up with their connection
  std::shared_ptr<std::promise<void>> flushed_;  // who stops the client waits for it
  std::string refused_;
  std::deque<TimePoint> due_;
  std::chrono::milliseconds pause_ = kFirstPause;

  EventLoop loop_{"postgen-redis"};  // its thread uses all of the above
  BlockingCalls lookups_{&loop_, /*max_calls=*/1};
};

RedisClient::RedisClient(RedisTarget target) : impl_(std::make_unique<Impl>(std::move(target))) {}
RedisClient::~RedisClient() { Stop(); }
void RedisClient::Run(std::vector<std::string> arguments, Callback done) {
  impl_->Run(std::move(arguments), std::move(done));
}
void RedisClient::IfLate(Duration limit, std::function<void()> late) {
  impl_->IfLate(limit, std::move(late));
}
void RedisClient::Stop() { impl_->Stop(); }
void RedisClient::WaitUntilTried(TimePoint limit) const { impl_->WaitUntilTried(limit); }
const std::string& RedisClient::shown() const { return impl_->shown(); }
std::string RedisClient::Trouble(const RedisReply& reply) const { return impl_->Trouble(reply); }
RedisClient::View RedisClient::Look() const { return impl_->Look(); }

}  // namespace postgen
