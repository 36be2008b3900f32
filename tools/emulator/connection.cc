#include "connection.h"

#include <algorithm>
#include <boost/beast/http.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "api_error.h"
#include "clock.h"
#include "pacer.h"
#include "reply_builder.h"
#include "reply_script.h"
#include "service.h"
#include "transport.h"

namespace emulator {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::uint64_t kMaxBodyBytes = 4 << 20;
constexpr std::uint32_t kMaxHeaderBytes = 64 << 10;
// How long, and for how many bytes, a closed connection still reads what the client had under way.
// Closing sooner would turn into RST and could destroy the reply before it is read.
constexpr Duration kLinger = std::chrono::seconds(2);
constexpr std::size_t kMaxLingerBytes = 64 << 20;

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

class Connection final : public Transport::Client,
                         public Pacer::Task,
                         public std::enable_shared_from_this<Connection> {
 public:
  // `left` is called once, when the connection is closed.
  Connection(std::shared_ptr<Transport> transport, std::uint64_t id, bool tls, Service& service,
             Pacer& pacer, std::function<void()> left)
      : id_(id),
        tls_(tls),
        service_(service),
        pacer_(pacer),
        transport_(std::move(transport)),
        left_(std::move(left)) {}

  void Start() {
    service_.ledger().ConnectionOpened();
    transport_->Start(weak_from_this());
  }

  void OnOpen() override {
    if (tls_) service_.ledger().TlsEstablished();
    NextRequest();
    KeepReading();
  }

  void OnBytes(std::string_view bytes) override {
    read_pending_ = false;
    switch (phase_) {
      case Phase::kReading:
        pacer_.Cancel(*this);  // no longer idle
        inbox_ += bytes;
        ParseRequest();
        break;
      case Phase::kReplying:
        // Pipelined: kept until its turn, and no further reading, which holds the client back.
        inbox_ += bytes;
        return;
      case Phase::kLingering:
        lingered_bytes_ += bytes.size();
        if (lingered_bytes_ > kMaxLingerBytes) return Close();
        break;
      case Phase::kClosed: return;
    }
    if (phase_ != Phase::kClosed) KeepReading();
  }

  void OnEnd() override {
    if (phase_ == Phase::kReplying && exchange_) FinishExchange(/*aborted=*/true);
    Close();
  }

  void OnWritable() override {
    if (std::exchange(blocked_, false) && phase_ == Phase::kReplying) Play(Clock::now());
  }

  void OnDue(TimePoint now) override {
    switch (phase_) {
      case Phase::kReplying: Play(now); break;
      case Phase::kReading:    // idle for too long
      case Phase::kLingering:  // the client does not close
        Close();
        break;
      case Phase::kClosed: break;
    }
  }

 private:
  enum class Phase { kReading, kReplying, kLingering, kClosed };
  using Parser = http::request_parser<http::string_body>;

  // A read is under way while a reply is played, too: that is how a client that leaves is noticed.
  void KeepReading() {
    if (std::exchange(read_pending_, true)) return;
    transport_->ReadMore();
  }

  void NextRequest() {
    phase_ = Phase::kReading;
    continue_sent_ = false;
    parser_.emplace();
    parser_->eager(true);
    parser_->body_limit(kMaxBodyBytes);
    parser_->header_limit(kMaxHeaderBytes);
    if (std::int64_t idle_ms = service_.settings().idle_close_ms; idle_ms > 0) {
      pacer_.Schedule(shared_from_this(), Clock::now() + FromMs(static_cast<double>(idle_ms)));
    }
  }

  void ParseRequest() {
    while (!inbox_.empty() && !parser_->is_done()) {
      boost::system::error_code error;
      std::size_t used = parser_->put(asio::buffer(inbox_), error);
      inbox_.erase(0, used);
      if (error == http::error::need_more) break;
      if (error) return RefuseBytes(error);
    }
    if (parser_->is_done()) return AnswerRequest();
    if (parser_->is_header_done() && !continue_sent_ && AwaitsContinue()) {
      continue_sent_ = true;
      transport_->Write("HTTP/1.1 100 Continue\r\n\r\n");
    }
  }

  bool AwaitsContinue() const {
    return boost::beast::iequals(parser_->get()[http::field::expect], "100-continue");
  }

  void RefuseBytes(const boost::system::error_code& error) {
    int status = error == http::error::body_limit     ? 413
                 : error == http::error::header_limit ? 431
                                                      : 400;
    auto exchange = std::make_shared<Exchange>();
    ApiError refusal = BadHttpError(status);
    exchange->script = ErrorReply(refusal, /*keep_alive=*/false);
    exchange_ = std::move(exchange);
    StartReply();
  }

  void AnswerRequest() {
    HttpRequest request = TakeRequest();
    phase_ = Phase::kReplying;
    std::weak_ptr<Connection> weak = weak_from_this();
    exchange_ = service_.Accept(request, id_, Clock::now(), [weak] {
      if (auto self = weak.lock()) self->StartReply();
    });
    if (!exchange_->waiting) StartReply();
  }

  HttpRequest TakeRequest() {
    bool keep_alive = parser_->keep_alive();
    http::request<http::string_body> message = parser_->release();
    HttpRequest request;
    request.method = std::string(View(message.method_string()));
    std::string_view target = View(message.target());
    request.path = std::string(target.substr(0, target.find('?')));
    auto header = [&message](std::string_view name) -> std::optional<std::string> {
      auto field = message.find(boost::beast::string_view(name.data(), name.size()));
      if (field == message.end()) return std::nullopt;
      return std::string(View(field->value()));
    };
    request.authorization = header("authorization");
    // Azure's way of giving a key.
    if (auto key = header("api-key"); key && !request.authorization) {
      request.authorization = "Bearer " + *key;
    }
    request.fault = header("x-emulator-fault");
    request.body = std::move(message.body());
    request.http10 = message.version() < 11;
    request.keep_alive = keep_alive;
    return request;
  }

  void StartReply() {
    if (phase_ == Phase::kClosed) return;
    phase_ = Phase::kReplying;
    blocked_ = false;
    sent_ = 0;
    next_step_ = 0;
    rounds_ = 0;
    start_ = Clock::now();
    Play(start_);
  }

  // Sends what is due and arranges for the rest.
  void Play(TimePoint now) {
    const ReplyScript& script = exchange_->script;
    Duration elapsed = now - start_;
    while (next_step_ < script.steps.size() && script.steps[next_step_].due <= elapsed) {
      ++next_step_;
    }
    std::size_t due_end = next_step_ == 0 ? 0 : script.steps[next_step_ - 1].end;
    if (!Send(std::string_view(script.bytes).substr(sent_, due_end - sent_))) return;
    if (next_step_ < script.steps.size()) {
      pacer_.Schedule(shared_from_this(), start_ + script.steps[next_step_].due);
    } else if (script.loop) {
      PlayRound(now);
    } else {
      EndReply();
    }
  }

  // True if all of `bytes` went out; else Play goes on once the transport takes more.
  bool Send(std::string_view bytes) {
    std::size_t most = exchange_->script.byte_by_byte ? 1 : bytes.size();
    while (!bytes.empty()) {
      std::string_view piece = bytes.substr(0, most);
      std::size_t taken = transport_->Write(piece);
      sent_ += taken;
      bytes.remove_prefix(taken);
      if (taken < piece.size()) {
        blocked_ = true;
        return false;
      }
    }
    return true;
  }

  void PlayRound(TimePoint now) {
    const ReplyScript& script = exchange_->script;
    TimePoint end_of_steps = start_ + script.steps.back().due;
    TimePoint due = end_of_steps + script.loop->interval * ++rounds_;
    sent_ = script.loop->begin;
    pacer_.Schedule(shared_from_this(), std::max(due, now));
  }

  void EndReply() {
    Ending ending = exchange_->script.ending;
    if (ending == Ending::kHold) return;  // OnEnd finishes it
    FinishExchange(/*aborted=*/false);
    switch (ending) {
      case Ending::kKeepAlive: ReadNext(); break;
      case Ending::kClose: Linger(/*polite=*/true); break;
      case Ending::kCut: Linger(/*polite=*/false); break;
      case Ending::kReset:
        transport_->Reset();
        Leave();
        break;
      case Ending::kHold: break;
    }
  }

  void ReadNext() {
    NextRequest();
    if (!inbox_.empty()) ParseRequest();
    if (phase_ == Phase::kReading) KeepReading();
  }

  void Linger(bool polite) {
    phase_ = Phase::kLingering;
    transport_->FinishWriting(polite);
    pacer_.Schedule(shared_from_this(), Clock::now() + kLinger);
    KeepReading();
  }

  void FinishExchange(bool aborted) {
    auto exchange = std::exchange(exchange_, nullptr);
    service_.Finish(*exchange, aborted, Clock::now());
  }

  void Close() {
    if (phase_ == Phase::kClosed) return;
    transport_->Close();
    Leave();
  }

  void Leave() {
    phase_ = Phase::kClosed;
    pacer_.Cancel(*this);
    service_.ledger().ConnectionClosed();
    left_();
  }

  const std::uint64_t id_;
  const bool tls_;
  Service& service_;
  Pacer& pacer_;
  const std::shared_ptr<Transport> transport_;
  const std::function<void()> left_;

  Phase phase_ = Phase::kReading;
  bool read_pending_ = false;

  // The request being read.
  std::string inbox_;
  std::optional<Parser> parser_;
  bool continue_sent_ = false;
  std::size_t lingered_bytes_ = 0;

  // The reply being played.
  std::shared_ptr<Exchange> exchange_;
  bool blocked_ = false;  // the transport took less than it was given
  TimePoint start_{};
  std::size_t sent_ = 0;
  std::size_t next_step_ = 0;
  std::int64_t rounds_ = 0;
};

}  // namespace

struct Connections::Open {
  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> by_id;
};

Connections::Connections(Service& service, Pacer& pacer)
    : service_(service), pacer_(pacer), open_(std::make_unique<Open>()) {}

Connections::~Connections() = default;

void Connections::Serve(std::shared_ptr<Transport> transport, bool tls) {
  std::uint64_t id = ++last_id_;
  auto connection =
      std::make_shared<Connection>(std::move(transport), id, tls, service_, pacer_,
                                   [open = open_.get(), id] { open->by_id.erase(id); });
  open_->by_id.emplace(id, connection);
  connection->Start();
}

}  // namespace emulator
