#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <curl/curl.h>
#include <openssl/ssl.h>

#include "llm/transport/curl_failure.h"
#include "llm/transport/http_transport.h"
#include "llm/transport/reply_head.h"
#include "llm/transport/secret_headers.h"
#include "llm/transport/wakeup_pair.h"
#include "runtime/fork_hold.h"

namespace postgen {
namespace {

// What may still come of a reply that its reader has finished with, so that the connection stays
// usable. A reply that goes on for longer costs its connection.
constexpr auto kDrainTime = std::chrono::milliseconds(250);
constexpr std::size_t kDrainBytes = std::size_t{64} << 10U;

// Idle connections are given up before a load balancer (commonly after 60 s) does it, and all of
// them in time to follow the provider's DNS and to see its present certificate.
constexpr long kMaxIdleSeconds = 55;
constexpr long kMaxConnectionSeconds = 600;
constexpr long kKeepAliveSeconds = 30;

// Enough HTTP/2 connections for a server that allows this many streams on each; common is 100.
// Without a cap, libcurl opens a connection for every stream beyond the first one's limit.
constexpr std::int64_t kStreamsPerConnection = 32;

// A reply whose body takes this many reads is a stream: its socket is one of many that are read as
// they come. Until then nothing of a reply waits for the others.
constexpr int kPiecesOfStream = 2;

// Shorter values are found by chance in words that hold no secret.
constexpr std::size_t kShortestSecret = 8;

// Each open transfer has a buffer of this size. A token's event has some 300 bytes; libcurl's own
// 16 KB would be two thirds of what a stream costs.
constexpr long kReadBytes = 2048;
// libcurl 7.88 stops reading an HTTP/2 connection whenever a frame of one stream does not fit, and
// with many streams some are not taken up again for long (seen with 1,000 through nghttpx).
constexpr long kHttp2ReadBytes = 16384;

// Easy handles kept for reuse, about 6 KB each.
constexpr std::size_t kIdleHandles = 64;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ShareDeleter {
  void operator()(CURLSH* share) const { curl_share_cleanup(share); }
};
struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using Multi = std::unique_ptr<CURLM, MultiDeleter>;
using Share = std::unique_ptr<CURLSH, ShareDeleter>;
using Url = std::unique_ptr<CURLU, UrlDeleter>;

// Never undone: others in the process may use libcurl.
bool InitLibcurl() {
  const ForkHold hold;  // a child would wait for a half-made static
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  return result == CURLE_OK;
}

// Sets options of one handle and remembers whether all were taken.
class EasySetter {
 public:
  explicit EasySetter(CURL* easy) : easy_(easy) {}

  template <typename T>
  void operator()(CURLoption option, T value) {
    const CURLcode result = curl_easy_setopt(easy_, option, value);
    if (result_ == CURLE_OK) result_ = result;
  }
  CURLcode result() const { return result_; }

 private:
  CURL* const easy_;
  CURLcode result_ = CURLE_OK;
};

// What is derived from the endpoint's URL.
struct Origin {
  Url url;               // parsed: libcurl need not do it for each call
  std::string host;      // for messages: "host" or "host:port"
  std::string root_url;  // "https://host:port/"
  bool tls = false;
};

Error BadUrl(const char* what) {
  return {Code::kInvalidConfig, std::string("llm.base_url ") + what, "llm.base_url"};
}

Error OutOfMemoryForUrl() { return {Code::kNomem, "out of memory while reading llm.base_url"}; }

// The part, or empty if it is not there.
std::string UrlPart(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

Result<Origin> ParseOrigin(const std::string& text) {
  Origin origin;
  origin.url.reset(curl_url());
  if (origin.url == nullptr) return OutOfMemoryForUrl();
  if (curl_url_set(origin.url.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) !=
      CURLUE_OK) {
    return BadUrl("is no URL of the form https://host/path");
  }
  const Url url(curl_url_dup(origin.url.get()));
  if (url == nullptr) return OutOfMemoryForUrl();
  const std::string scheme = UrlPart(url.get(), CURLUPART_SCHEME);
  if (scheme != "https" && scheme != "http") return BadUrl("must begin with https:// or http://");
  origin.tls = scheme == "https";
  origin.host = UrlPart(url.get(), CURLUPART_HOST);
  const std::string port = UrlPart(url.get(), CURLUPART_PORT);
  if (!port.empty()) origin.host += ":" + port;
  curl_url_set(url.get(), CURLUPART_PATH, "/", 0);
  curl_url_set(url.get(), CURLUPART_QUERY, nullptr, 0);
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  origin.root_url = UrlPart(url.get(), CURLUPART_URL);
  return origin;
}

long Milliseconds(Duration duration) {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<long>(
      std::clamp<std::int64_t>(count, 1, std::numeric_limits<std::int32_t>::max()));
}

// libcurl makes OpenSSL write the session's secrets to the file that the environment variable
// SSLKEYLOGFILE names; this runs after that and takes it back.
CURLcode OnSslContext(CURL* /*easy*/, void* context, void* /*user_data*/) {
  SSL_CTX_set_keylog_callback(static_cast<SSL_CTX*>(context), nullptr);
  return CURLE_OK;
}

bool NegotiatedHttp2(CURL* easy) {
  const curl_tlssessioninfo* session = nullptr;
  if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || session == nullptr ||
      session->backend != CURLSSLBACKEND_OPENSSL || session->internals == nullptr) {
    return false;
  }
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(static_cast<const SSL*>(session->internals), &name, &size);
  return size == 2 && name[0] == 'h' && name[1] == '2';
}

// Otherwise each small read of a stream sends a packet that says only that: a sixth of what the
// stream costs us, and the server's time as well. Linux forgets it where nothing else is to be
// acknowledged for long.
void AcknowledgeLate(curl_socket_t fd) {
  const int at_once = 0;
  setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, sizeof at_once);
}

class CurlTransport final : public HttpTransport {
 public:
  CurlTransport(HttpEndpoint endpoint, Origin origin, SecretHeaders headers, EventLoop* loop)
      : endpoint_(std::move(endpoint)),
        origin_(std::move(origin)),
        headers_(std::move(headers)),
        loop_(loop) {}
  ~CurlTransport() override;

  Status Init();

  TransferId Post(std::string body, HttpHandler* handler) override;
  TransferId Get(bool with_headers, HttpHandler* handler) override;
  void Cancel(TransferId id) override;
  void SetPaused(TransferId id, bool paused) override;
  void Finish(TransferId id) override;
  void Prewarm(int connections) override;
  bool HoldsSecret(std::string_view text) const override;

 private:
  enum class State {
    kLive,       // someone listens
    kDraining,   // nobody listens; what comes is dropped, for the connection's sake
    kCancelled,  // to be removed as soon as libcurl allows it
  };

  enum class Kind { kPost, kGet, kBareGet, kPrewarm };

  struct Transfer {
    CurlTransport* owner = nullptr;
    TransferId id = 0;
    State state = State::kLive;
    HttpHandler* handler = nullptr;  // not null while kLive
    std::string body;
    Easy easy;
    Kind kind = Kind::kPost;
    bool started = false;  // libcurl has `easy`
    bool connected = false;
    bool limits_connecting = false;  // we do, with `timer`; else libcurl does
    int local_port = 0;              // tells its connection from others that are open
    std::uint64_t connection = 0;    // from others ever
    bool shares_connection = false;  // there were others on it when this one came
    bool paused = false;
    ReplyHead head;
    std::size_t body_bytes = 0;
    std::size_t drained_bytes = 0;
    std::uint64_t last_read = 0;   // the number of the read that brought the newest piece
    int pieces = 0;                // reads that brought some of the body, up to kPiecesOfStream
    std::optional<Error> failure;  // why we broke it off
    TimerId timer = 0;
  };

  // Of a connection, whether in use or not.
  struct Socket {
    std::uint32_t events = 0;  // that it is watched for; 0: it is not
    bool relaxed = false;
    bool idle = false;  // libcurl does not wait for it
  };

  // libcurl's callbacks.
  static int OnSocket(CURL* easy, curl_socket_t fd, int what, void* self, void* socket_data);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);
  static curl_socket_t OnOpenSocket(void* transfer, curlsocktype purpose, curl_sockaddr* address);
  static int OnCloseSocket(void* self, curl_socket_t fd);
  static int OnPrerequest(void* transfer, char*, char*, int, int);
  static std::size_t OnHeader(char* data, std::size_t, std::size_t size, void* transfer);
  static std::size_t OnBody(char* data, std::size_t, std::size_t size, void* transfer);

  CURLcode SetConnectionOptions(CURL* easy);
  Result<Easy> NewEasy();
  Result<Easy> TakeEasy();
  CURLcode SetGetOptions(CURL* easy, Kind kind);
  TransferId Enqueue(std::unique_ptr<Transfer> transfer);
  bool HasIdleConnection() const;
  void LimitConnecting(Transfer* transfer);
  void OnReady(curl_socket_t fd, std::uint32_t events);
  void Leave(curl_socket_t fd, const Transfer* transfer);
  void Forget(curl_socket_t fd);
  void SetIdle(Socket* socket, bool idle);
  void StartWaiting();
  void Start(Transfer* transfer);
  Status TryStart(Transfer* transfer);
  void Drive(curl_socket_t fd, int ready);
  void Settle();
  void ApplyPause(TransferId id);
  void CountPiece(Transfer* transfer);
  void ArmCurlTimer();
  void End(Transfer* transfer, CURLcode result);
  HttpEnd Describe(const Transfer& transfer, CURLcode result) const;
  void Remove(TransferId id);
  void RemoveStream(const Transfer& transfer);
  void EnterConnection(Transfer* transfer, int local_port);
  void LeaveConnection(Transfer* transfer);
  void LimitConnections();

  const HttpEndpoint endpoint_;
  const Origin origin_;
  const SecretHeaders headers_;
  EventLoop* const loop_;

  TimePoint curl_due_ = TimePoint::max();  // when libcurl wants to be called
  TimePoint curl_timer_due_;
  TimerId curl_timer_ = 0;
  std::uint64_t reads_ = 0;  // calls of libcurl for a socket
  bool is_stream_ = false;   // the present one brought a piece of a stream
  absl::flat_hash_map<curl_socket_t, Socket> sockets_;
  std::int64_t idle_sockets_ = 0;
  TimePoint newest_idle_;
  std::int64_t prewarms_ = 0;       // that have not ended
  std::int64_t connecting_ = 0;     // transfers that started and have no connection yet
  bool no_sockets_ = false;         // the system had none left when we last asked
  bool in_curl_ = false;            // handles must not be removed or added now
  bool multiplexed_ = false;        // the newest connection speaks HTTP/2
  bool limit_multiplexed_ = false;  // what the connection limit was set for
  Share share_;                     // TLS sessions, so that new connections resume them
  Multi multi_;
  std::vector<Easy> idle_;
  TransferId last_id_ = 0;
  std::int64_t started_ = 0;  // transfers that libcurl knows
  struct Connection {
    std::uint64_t id = 0;
    int transfers = 0;
  };
  absl::flat_hash_map<int, Connection> connections_;  // in use, by local port
  std::uint64_t last_connection_ = 0;
  absl::flat_hash_map<TransferId, std::unique_ptr<Transfer>> transfers_;
  std::deque<TransferId> waiting_;  // cancelled ones included
  std::vector<TransferId> doomed_;  // cancelled while in_curl_
  std::vector<TransferId> swayed_;  // paused or resumed while in_curl_
};

Status CurlTransport::Init() {
  share_.reset(curl_share_init());
  multi_.reset(curl_multi_init());
  if (share_ == nullptr || multi_ == nullptr) {
    return Error(Code::kNomem, "out of memory while starting libcurl");
  }
  CloseWakeupPairOnExec(multi_.get());
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  CURLM* multi = multi_.get();
  const auto max_connections = static_cast<long>(endpoint_.max_connections);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &CurlTransport::OnSocket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &CurlTransport::OnTimer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, max_connections);
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, max_connections);

  // Made now, so that an endpoint that libcurl refuses is refused here and not by the first call.
  Result<Easy> easy = NewEasy();
  if (!easy.ok()) return std::move(easy).error();
  idle_.push_back(std::move(easy).value());
  return {};
}

CurlTransport::~CurlTransport() {
  for (auto& [id, transfer] : transfers_) {
    loop_->CancelTimer(transfer->timer);
    if (transfer->easy != nullptr) curl_multi_remove_handle(multi_.get(), transfer->easy.get());
  }
  transfers_.clear();
  idle_.clear();
  multi_.reset();  // closes the connections, which comes back to OnSocket and OnCloseSocket
  share_.reset();
  loop_->CancelTimer(curl_timer_);
}

// What makes a connection, the same for calls and for prewarming: only then are they shared.
CURLcode CurlTransport::SetConnectionOptions(CURL* easy) {
  EasySetter set(easy);
  set(CURLOPT_SHARE, share_.get());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);  // the key must not go where a reply says
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // never wait for a resolver that hangs
  set(CURLOPT_BUFFERSIZE, origin_.tls && endpoint_.allow_http2 ? kHttp2ReadBytes : kReadBytes);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
  set(CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds);
  set(CURLOPT_MAXAGE_CONN, kMaxIdleSeconds);
  set(CURLOPT_MAXLIFETIME_CONN, kMaxConnectionSeconds);
  set(CURLOPT_OPENSOCKETFUNCTION, &CurlTransport::OnOpenSocket);
  set(CURLOPT_CLOSESOCKETFUNCTION, &CurlTransport::OnCloseSocket);
  set(CURLOPT_CLOSESOCKETDATA, this);

  // Set even where they are empty: unset ones come from the environment.
  set(CURLOPT_PROXY, endpoint_.proxy.c_str());
  set(CURLOPT_NOPROXY, "");
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);

  long version = CURL_HTTP_VERSION_1_1;
  if (origin_.tls && endpoint_.allow_http2) version = CURL_HTTP_VERSION_2TLS;
  if (!origin_.tls && endpoint_.require_http2) {
    version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    // libcurl 7.88 fails (CURLE_HTTP2) each further request on such a connection.
    set(CURLOPT_FRESH_CONNECT, 1L);
    set(CURLOPT_FORBID_REUSE, 1L);
  }
  set(CURLOPT_HTTP_VERSION, version);
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_PIPEWAIT, 1L);

  const long tls_version = CURL_SSLVERSION_TLSv1_2;  // or later
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, tls_version);
  set(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
  set(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
  set(CURLOPT_PROXY_SSLVERSION, tls_version);
  set(CURLOPT_SSL_CTX_FUNCTION, &OnSslContext);
  // The CA file alone: a folder beside it would be trusted as well, and libcurl reads the CA file
  // anew for every connection unless it is the only source.
  set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  set(CURLOPT_PROXY_CAPATH, static_cast<const char*>(nullptr));
  if (!endpoint_.ca_file.empty()) {
    set(CURLOPT_CAINFO, endpoint_.ca_file.c_str());
    set(CURLOPT_PROXY_CAINFO, endpoint_.ca_file.c_str());
  }
  return set.result();
}

Result<Easy> CurlTransport::NewEasy() {
  Easy easy(curl_easy_init());
  if (easy == nullptr) return Error(Code::kNomem, "out of memory for a transfer");
  CURLcode result = SetConnectionOptions(easy.get());
  if (result == CURLE_OK) {
    EasySetter set(easy.get());
    set(CURLOPT_CURLU, origin_.url.get());
    set(CURLOPT_POST, 1L);
    set(CURLOPT_HTTPHEADER, headers_.list());
    set(CURLOPT_ACCEPT_ENCODING, static_cast<const char*>(nullptr));
    set(CURLOPT_PREREQFUNCTION, &CurlTransport::OnPrerequest);
    set(CURLOPT_HEADERFUNCTION, &CurlTransport::OnHeader);
    set(CURLOPT_WRITEFUNCTION, &CurlTransport::OnBody);
    result = set.result();
  }
  if (result == CURLE_OUT_OF_MEMORY) return Error(Code::kNomem, "out of memory for a transfer");
  if (result != CURLE_OK) {
    return Error(Code::kInvalidConfig,
                 "this libcurl does not support an option that postgen needs (code " +
                     std::to_string(static_cast<int>(result)) +
                     "): it must be 7.85 or later, with OpenSSL and HTTP/2");
  }
  return easy;
}

Result<Easy> CurlTransport::TakeEasy() {
  if (idle_.empty()) return NewEasy();
  Easy easy = std::move(idle_.back());
  idle_.pop_back();
  return easy;
}

// On top of NewEasy's.
CURLcode CurlTransport::SetGetOptions(CURL* easy, Kind kind) {
  EasySetter set(easy);
  const bool prewarm = kind == Kind::kPrewarm;
  set(CURLOPT_CURLU, static_cast<CURLU*>(nullptr));
  set(CURLOPT_URL, prewarm ? origin_.root_url.c_str() : endpoint_.probe_url.c_str());
  set(CURLOPT_HTTPGET, 1L);
  set(CURLOPT_HTTPHEADER, kind == Kind::kGet ? headers_.list() : nullptr);
  if (!prewarm) return set.result();
  set(CURLOPT_NOBODY, 1L);
  set(CURLOPT_TIMEOUT_MS, 2 * Milliseconds(endpoint_.connect_timeout));
  return set.result();
}

TransferId CurlTransport::Enqueue(std::unique_ptr<Transfer> transfer) {
  const TransferId id = ++last_id_;
  transfer->owner = this;
  transfer->id = id;
  transfers_.emplace(id, std::move(transfer));
  waiting_.push_back(id);
  if (!in_curl_) StartWaiting();
  return id;
}

TransferId CurlTransport::Post(std::string body, HttpHandler* handler) {
  auto transfer = std::make_unique<Transfer>();
  transfer->handler = handler;
  transfer->body = std::move(body);
  return Enqueue(std::move(transfer));
}

TransferId CurlTransport::Get(bool with_headers, HttpHandler* handler) {
  auto transfer = std::make_unique<Transfer>();
  transfer->kind = with_headers ? Kind::kGet : Kind::kBareGet;
  transfer->handler = handler;
  return Enqueue(std::move(transfer));
}

void CurlTransport::Prewarm(int connections) {
  if (!origin_.tls) return;
  // A call never waits for the last place that a HEAD may hold.
  const auto wanted = std::min<std::int64_t>(connections, endpoint_.max_connections - 1);
  for (auto n = std::max(static_cast<std::int64_t>(sockets_.size()), prewarms_); n < wanted; ++n) {
    ++prewarms_;
    auto transfer = std::make_unique<Transfer>();
    transfer->state = State::kDraining;
    transfer->kind = Kind::kPrewarm;
    Enqueue(std::move(transfer));
  }
}

bool CurlTransport::HoldsSecret(std::string_view text) const {
  for (const curl_slist* line = headers_.list(); line != nullptr; line = line->next) {
    const std::string_view header(line->data);
    const std::string_view value = header.substr(header.rfind(' ') + 1);  // behind "Bearer "
    if (value.size() >= kShortestSecret && text.find(value) != std::string_view::npos) return true;
  }
  return false;
}

void CurlTransport::Cancel(TransferId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end() || found->second->state == State::kCancelled) return;
  found->second->state = State::kCancelled;
  if (in_curl_) {
    doomed_.push_back(id);
    return;
  }
  Remove(id);
  StartWaiting();
}

void CurlTransport::SetPaused(TransferId id, bool paused) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end() || found->second->paused == paused) return;
  long version = 0;
  if (found->second->started) {
    curl_easy_getinfo(found->second->easy.get(), CURLINFO_HTTP_VERSION, &version);
  }
  if (version > CURL_HTTP_VERSION_1_1) return;
  found->second->paused = paused;
  swayed_.push_back(id);
  if (!in_curl_) Settle();
}

void CurlTransport::ApplyPause(TransferId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end() || !found->second->started) return;
  in_curl_ = true;
  curl_easy_pause(found->second->easy.get(),
                  found->second->paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
  in_curl_ = false;
}

void CurlTransport::Finish(TransferId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end() || found->second->state != State::kLive) return;
  Transfer& transfer = *found->second;
  if (!transfer.started) return Cancel(id);
  transfer.state = State::kDraining;
  transfer.timer = loop_->RunAt(loop_->Now() + kDrainTime, [this, id] { Cancel(id); });
  SetPaused(id, false);
}

void CurlTransport::StartWaiting() {
  while (!waiting_.empty() && started_ < endpoint_.max_connections) {
    const auto found = transfers_.find(waiting_.front());
    waiting_.pop_front();
    if (found != transfers_.end()) Start(found->second.get());
  }
}

// A transfer that cannot be started ends through the loop: never from within Post.
void CurlTransport::Start(Transfer* transfer) {
  Status started = TryStart(transfer);
  if (started.ok()) return;
  transfer->failure = std::move(started).error();
  transfer->timer = loop_->RunAt(loop_->Now(), [this, transfer] { End(transfer, CURLE_OK); });
}

Status CurlTransport::TryStart(Transfer* transfer) {
  const bool post = transfer->kind == Kind::kPost;
  Result<Easy> taken = post ? TakeEasy() : NewEasy();
  if (!taken.ok()) return std::move(taken).error();
  transfer->easy = std::move(taken).value();
  CURL* easy = transfer->easy.get();
  EasySetter set(easy);
  transfer->limits_connecting = HasIdleConnection();
  const long connect_ms = transfer->limits_connecting ? 0 : Milliseconds(endpoint_.connect_timeout);
  set(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
  set(CURLOPT_PRIVATE, transfer);
  set(CURLOPT_OPENSOCKETDATA, transfer);
  set(CURLOPT_PREREQDATA, transfer);
  set(CURLOPT_HEADERDATA, transfer);
  set(CURLOPT_WRITEDATA, transfer);
  set(CURLOPT_POSTFIELDS, transfer->body.data());
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->body.size()));
  const bool ready =
      set.result() == CURLE_OK && (post || SetGetOptions(easy, transfer->kind) == CURLE_OK);
  if (!ready || curl_multi_add_handle(multi_.get(), easy) != CURLM_OK) {
    return Error(Code::kNomem, "out of memory for a transfer to " + origin_.host, origin_.host);
  }
  transfer->started = true;
  ++started_;
  ++connecting_;
  if (transfer->limits_connecting) LimitConnecting(transfer);
  return {};
}

// Will the next transfer find a connection for itself?
bool CurlTransport::HasIdleConnection() const {
  return !multiplexed_ && idle_sockets_ > connecting_ &&
         loop_->Now() - newest_idle_ < std::chrono::seconds(kMaxIdleSeconds);
}

// libcurl keeps a timer for each transfer that it is to limit, also when the connection stands, and
// sorts them all with each read of any: half of its share of what a stream costs. Where a
// connection is there already, the limit is ours therefore; libcurl's is needed where a host has
// several addresses, of which each gets its part of the time.
void CurlTransport::LimitConnecting(Transfer* transfer) {
  transfer->timer = loop_->RunAt(loop_->Now() + endpoint_.connect_timeout, [this, transfer] {
    transfer->timer = 0;
    End(transfer, CURLE_OPERATION_TIMEDOUT);
    StartWaiting();
  });
}

// Lets libcurl do what it can do now.
void CurlTransport::Drive(curl_socket_t fd, int ready) {
  int running = 0;
  ++reads_;
  is_stream_ = false;
  in_curl_ = true;
  curl_multi_socket_action(multi_.get(), fd, ready, &running);
  in_curl_ = false;
  const auto socket = is_stream_ ? sockets_.find(fd) : sockets_.end();
  if (socket != sockets_.end()) {
    socket->second.relaxed = true;
    loop_->Relax(fd);
    AcknowledgeLate(fd);
  }
  Settle();
}

// What handlers asked for meanwhile and could not have, and what has ended.
void CurlTransport::Settle() {
  for (std::size_t i = 0; i < swayed_.size(); ++i) ApplyPause(swayed_[i]);
  swayed_.clear();
  for (const TransferId id : doomed_) Remove(id);
  doomed_.clear();
  LimitConnections();

  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    End(transfer, message->data.result);
  }
  StartWaiting();
}

void CurlTransport::CountPiece(Transfer* transfer) {
  if (transfer->pieces == kPiecesOfStream || transfer->last_read == reads_) return;
  transfer->last_read = reads_;
  is_stream_ = ++transfer->pieces == kPiecesOfStream;
}

// The last step of a transfer that was not cancelled; its handler may start and cancel others.
void CurlTransport::End(Transfer* transfer, CURLcode result) {
  HttpHandler* handler = transfer->state == State::kLive ? transfer->handler : nullptr;
  const HttpEnd end = handler != nullptr ? Describe(*transfer, result) : HttpEnd();
  Remove(transfer->id);
  if (handler != nullptr) handler->OnEnd(end);
}

HttpEnd CurlTransport::Describe(const Transfer& transfer, CURLcode result) const {
  HttpEnd end;
  if (transfer.failure) {
    end.error = transfer.failure;
  } else {
    // libcurl takes a connection that is closed inside the head for the end of the reply.
    if (result == CURLE_OK && !transfer.head.complete()) result = CURLE_GOT_NOTHING;
    // libcurl says the same of a server that refuses.
    if (result == CURLE_COULDNT_CONNECT && no_sockets_) {
      end.error = Error(Code::kNomem, "the system has no socket left for a call to " + origin_.host,
                        origin_.host);
    } else if (result != CURLE_OK) {
      end.error = CurlFailure(result, {transfer.connected, transfer.head.complete()}, origin_.host);
    }
  }
  if (!transfer.started) return end;
  long new_connections = 0;
  long request_bytes = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_NUM_CONNECTS, &new_connections);
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_REQUEST_SIZE, &request_bytes);
  end.reused_connection = transfer.connected && new_connections == 0 && !transfer.shares_connection;
  end.connection = transfer.connection;
  end.request_sent = request_bytes > 0;
  return end;
}

void CurlTransport::Remove(TransferId id) {
  auto node = transfers_.extract(id);
  if (node.empty()) return;
  Transfer& transfer = *node.mapped();
  if (transfer.kind == Kind::kPrewarm) --prewarms_;
  loop_->CancelTimer(transfer.timer);
  if (!transfer.started) return;
  LeaveConnection(&transfer);
  if (!transfer.connected) --connecting_;
  if (transfer.state == State::kCancelled && multiplexed_) {
    RemoveStream(transfer);
  } else {
    curl_multi_remove_handle(multi_.get(), transfer.easy.get());
  }
  --started_;
  if (transfer.kind == Kind::kPost && idle_.size() < kIdleHandles)
    idle_.push_back(std::move(transfer.easy));
}

// libcurl since 7.88 keeps the RST_STREAM of a stream that it gave up until the connection moves
// again (curl issue 17611): the provider would go on writing, and billing. A connection without
// other streams is closed therefore; with others, whatever waits is sent when one of them is paused
// and resumed.
void CurlTransport::RemoveStream(const Transfer& transfer) {
  CURL* easy = transfer.easy.get();
  curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);  // no effect while others use the connection
  curl_multi_remove_handle(multi_.get(), easy);
  curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 0L);
  if (!connections_.contains(transfer.local_port)) return;
  for (const auto& [id, other] : transfers_) {
    if (!other->connected || other->local_port != transfer.local_port) continue;
    curl_easy_pause(other->easy.get(), CURLPAUSE_RECV);
    curl_easy_pause(other->easy.get(), CURLPAUSE_CONT);
    return;
  }
}

// A second time if the connection turned out to be closed and the request goes out on a new one.
void CurlTransport::EnterConnection(Transfer* transfer, int local_port) {
  LeaveConnection(transfer);
  Connection& connection = connections_[local_port];
  if (connection.transfers == 0) connection.id = ++last_connection_;
  transfer->shares_connection = connection.transfers > 0;
  transfer->local_port = local_port;
  transfer->connection = connection.id;
  ++connection.transfers;
}

void CurlTransport::LeaveConnection(Transfer* transfer) {
  const auto found = connections_.find(transfer->local_port);
  if (found != connections_.end() && --found->second.transfers == 0) connections_.erase(found);
}

// HTTP/2 shares connections and needs few; where the server speaks HTTP/1.1, each transfer needs
// one.
void CurlTransport::LimitConnections() {
  if (limit_multiplexed_ == multiplexed_) return;
  limit_multiplexed_ = multiplexed_;
  const std::int64_t all = endpoint_.max_connections;
  const std::int64_t limit =
      multiplexed_ ? (all + kStreamsPerConnection - 1) / kStreamsPerConnection : all;
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(limit));
}

int CurlTransport::OnSocket(CURL* easy, curl_socket_t fd, int what, void* self,
                            void* /*socket_data*/) {
  auto* transport = static_cast<CurlTransport*>(self);
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  Transfer* transfer = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
  if (events == 0) {
    transport->Leave(fd, transfer);
    return 0;
  }
  if (transfer != nullptr) transfer->pieces = 0;  // watched anew, it is no longer relaxed
  // Others are libcurl's own, for its resolver, and close without our hearing of it.
  const auto found = transport->sockets_.find(fd);
  if (found != transport->sockets_.end()) {
    Socket& socket = found->second;
    transport->SetIdle(&socket, false);
    if (socket.events == events && !socket.relaxed) return 0;
    socket.events = events;
    socket.relaxed = false;
  }
  transport->loop_->Watch(
      fd, events, [transport, fd](std::uint32_t reported) { transport->OnReady(fd, reported); });
  return 0;
}

// libcurl does not wait for the socket any more.
void CurlTransport::Leave(curl_socket_t fd, const Transfer* transfer) {
  const auto found = sockets_.find(fd);
  if (found == sockets_.end()) return loop_->Unwatch(fd);
  // What was not connected libcurl 7.88 has closed already, without a word, and the system may give
  // its number away.
  const bool stands = transfer != nullptr && transfer->connected;
  if (!stands) return Forget(fd);
  Socket& socket = found->second;
  SetIdle(&socket, !transfer->paused);
  // An idle one is watched on: nearly always the next transfer waits for the same.
  if (socket.idle && !socket.relaxed && socket.events == EPOLLIN) return;
  socket.events = 0;
  socket.relaxed = false;
  loop_->Unwatch(fd);
}

void CurlTransport::Forget(curl_socket_t fd) {
  const auto found = sockets_.find(fd);
  if (found == sockets_.end()) return;
  SetIdle(&found->second, false);
  sockets_.erase(found);
  loop_->Unwatch(fd);
}

void CurlTransport::SetIdle(Socket* socket, bool idle) {
  if (idle) newest_idle_ = loop_->Now();
  if (socket->idle != idle) idle_sockets_ += idle ? 1 : -1;
  socket->idle = idle;
}

void CurlTransport::OnReady(curl_socket_t fd, std::uint32_t events) {
  const auto socket = sockets_.find(fd);
  if (socket != sockets_.end() && socket->second.idle) {
    // The server has closed it, which libcurl finds out when it wants to use it.
    SetIdle(&socket->second, false);
    socket->second.events = 0;
    loop_->Unwatch(fd);
    return;
  }
  int ready = 0;
  if ((events & EPOLLIN) != 0) ready |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) ready |= CURL_CSELECT_OUT;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) ready |= CURL_CSELECT_ERR;
  Drive(fd, ready);
}

int CurlTransport::OnTimer(CURLM* /*multi*/, long timeout_ms, void* self) {
  auto* transport = static_cast<CurlTransport*>(self);
  transport->curl_due_ = timeout_ms < 0
                             ? TimePoint::max()
                             : transport->loop_->Now() + std::chrono::milliseconds(timeout_ms);
  transport->ArmCurlTimer();
  return 0;
}

// libcurl moves its timer with nearly every read. Ours is moved only when something is due earlier;
// when it comes too early it looks again.
void CurlTransport::ArmCurlTimer() {
  if (curl_due_ == TimePoint::max() || (curl_timer_ != 0 && curl_timer_due_ <= curl_due_)) return;
  loop_->CancelTimer(curl_timer_);
  curl_timer_due_ = curl_due_;
  // Not at once even for 0: libcurl must not be entered from its own callback.
  curl_timer_ = loop_->RunAt(curl_due_, [this] {
    curl_timer_ = 0;
    if (loop_->Now() < curl_due_) return ArmCurlTimer();
    curl_due_ = TimePoint::max();
    Drive(CURL_SOCKET_TIMEOUT, 0);
  });
}

// libcurl's own socket() is not close-on-exec.
curl_socket_t CurlTransport::OnOpenSocket(void* user_data, curlsocktype /*purpose*/,
                                          curl_sockaddr* address) {
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  auto* transfer = static_cast<Transfer*>(user_data);
  CurlTransport* transport = transfer->owner;
  transport->no_sockets_ =
      fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS);
  if (fd < 0) return CURL_SOCKET_BAD;
  transport->Forget(fd);  // what had this number
  transport->sockets_.emplace(fd, Socket());
  if (std::exchange(transfer->connected, false)) ++transport->connecting_;
  // The connection that was there has turned out to be closed.
  if (transfer->limits_connecting && transfer->timer == 0) transport->LimitConnecting(transfer);
  return fd;
}

int CurlTransport::OnCloseSocket(void* self, curl_socket_t fd) {
  static_cast<CurlTransport*>(self)->Forget(fd);
  return close(fd);
}

// The connection stands, TLS included, and nothing of the request has been written.
int CurlTransport::OnPrerequest(void* user_data, char* /*remote_ip*/, char* /*local_ip*/,
                                int /*remote_port*/, int local_port) {
  auto* transfer = static_cast<Transfer*>(user_data);
  CurlTransport* transport = transfer->owner;
  if (!transfer->connected) --transport->connecting_;
  transfer->connected = true;
  if (transfer->limits_connecting) {
    transport->loop_->CancelTimer(std::exchange(transfer->timer, 0));
  }
  transport->EnterConnection(transfer, local_port);
  if (transport->origin_.tls) {
    transport->multiplexed_ = NegotiatedHttp2(transfer->easy.get());
    if (transport->endpoint_.require_http2 && !transport->multiplexed_) {
      transfer->failure = Error(
          Code::kProtocol,
          transport->origin_.host + " does not speak HTTP/2: set " + "llm.http_version to auto",
          "llm.http_version");
      return CURL_PREREQFUNC_ABORT;
    }
  }
  if (transfer->state == State::kLive) transfer->handler->OnConnected();
  return transfer->state == State::kCancelled ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

std::size_t CurlTransport::OnHeader(char* data, std::size_t /*one*/, std::size_t size,
                                    void* user_data) {
  auto* transfer = static_cast<Transfer*>(user_data);
  switch (transfer->head.Push({data, size})) {
    case ReplyHead::Line::kMore: break;
    case ReplyHead::Line::kTooLarge:
      transfer->failure = Error(
          Code::kProtocol, transfer->owner->origin_.host + " sent a reply head that is too large",
          transfer->owner->origin_.host);
      return CURL_WRITEFUNC_ERROR;
    case ReplyHead::Line::kComplete:
      if (transfer->state == State::kLive) transfer->handler->OnHead(transfer->head.head());
      transfer->head.DropHeaders();
      break;
  }
  return transfer->state == State::kCancelled ? CURL_WRITEFUNC_ERROR : size;
}

std::size_t CurlTransport::OnBody(char* data, std::size_t /*one*/, std::size_t size,
                                  void* user_data) {
  auto* transfer = static_cast<Transfer*>(user_data);
  if (transfer->paused) return CURL_WRITEFUNC_PAUSE;  // and comes again
  if (transfer->state == State::kLive) {
    const HttpEndpoint& endpoint = transfer->owner->endpoint_;
    transfer->body_bytes += size;
    if (transfer->body_bytes > endpoint.max_reply_bytes) {
      transfer->failure =
          Error(Code::kTooLarge,
                transfer->owner->origin_.host + " sent more than llm.max_reply_bytes (" +
                    std::to_string(endpoint.max_reply_bytes) + ")",
                "llm.max_reply_bytes");
      return CURL_WRITEFUNC_ERROR;
    }
    transfer->owner->CountPiece(transfer);
    transfer->handler->OnBody({data, size});
  } else {
    transfer->drained_bytes += size;
    if (transfer->drained_bytes > kDrainBytes) return CURL_WRITEFUNC_ERROR;
  }
  return transfer->state == State::kCancelled ? CURL_WRITEFUNC_ERROR : size;
}

}  // namespace

Result<std::unique_ptr<HttpTransport>> NewCurlTransport(HttpEndpoint endpoint, EventLoop* loop) {
  if (!InitLibcurl()) return Error(Code::kInternal, "libcurl could not be initialised");
  Result<Origin> origin = ParseOrigin(endpoint.url);
  if (!origin.ok()) return std::move(origin).error();
  Result<SecretHeaders> headers = SecretHeaders::Take(&endpoint.headers);
  if (!headers.ok()) return std::move(headers).error();
  auto transport = std::make_unique<CurlTransport>(std::move(endpoint), std::move(origin).value(),
                                                   std::move(headers).value(), loop);
  Status ready = transport->Init();
  if (!ready.ok()) return std::move(ready).error();
  return std::unique_ptr<HttpTransport>(std::move(transport));
}

}  // namespace postgen
