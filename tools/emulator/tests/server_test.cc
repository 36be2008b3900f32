// The program itself, over sockets: what clients see of replies, faults, limits and its end.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "numbers.h"
#include "random.h"

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// A running emulator.
class Emulator {
 public:
  explicit Emulator(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {POSTGEN_EMULATOR_PROGRAM, "--exit-with-parent"});
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    REQUIRE(pipe2(in.data(), O_CLOEXEC) == 0);
    REQUIRE(pipe2(out.data(), O_CLOEXEC) == 0);
    process_ = fork();
    if (process_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      std::vector<char*> arguments;
      for (std::string& flag : flags) arguments.push_back(flag.data());
      arguments.push_back(nullptr);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    stdin_ = in[1];
    std::array<char, 256> line{};
    ssize_t size = read(out[0], line.data(), line.size());
    close(out[0]);
    if (size > 0) greeting_.assign(line.data(), static_cast<std::size_t>(size));
    std::size_t port = greeting_.rfind(':');
    if (port != std::string::npos) {
      auto number = greeting_.substr(port + 1, greeting_.find('/', port) - port - 1);
      port_ = emulator::ToNumber<std::uint16_t>(number).value_or(0);
    }
  }

  ~Emulator() {
    if (process_ > 0) End(SIGKILL);
  }

  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  // The exit status, or 1000 + the signal that ended it.
  int End(int signal) {
    kill(process_, signal);
    return Wait();
  }

  int EndByClosingStdin() {
    close(stdin_);
    stdin_ = -1;
    return Wait();
  }

  bool Alive() const { return kill(process_, 0) == 0 && waitpid(process_, nullptr, WNOHANG) == 0; }

  const std::string& greeting() const { return greeting_; }
  std::uint16_t port() const { return port_; }
  pid_t process() const { return process_; }

 private:
  int Wait() {
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    if (stdin_ >= 0) close(stdin_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  pid_t process_ = -1;
  int stdin_ = -1;
  std::string greeting_;
  std::uint16_t port_ = 0;
};

enum class End { kClosed, kReset, kSilent };

// A plain connection.
class Client {
 public:
  explicit Client(const Emulator& server)
      : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~Client() { Close(); }

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // Reads until `end` is in what was received, the peer ends, or nothing comes for `patience`; ten
  // times that in all.
  End Receive(std::string_view end, milliseconds patience = 5000ms) {
    std::array<char, 65536> chunk{};
    auto deadline = Clock::now() + 10 * patience;
    while ((end.empty() || !Contains(received_, end)) && Clock::now() < deadline) {
      pollfd ready{socket_, POLLIN, 0};
      if (poll(&ready, 1, static_cast<int>(patience.count())) == 0) return End::kSilent;
      ssize_t size = recv(socket_, chunk.data(), chunk.size(), 0);
      if (size == 0) return End::kClosed;
      if (size < 0) return errno == ECONNRESET ? End::kReset : End::kClosed;
      received_.append(chunk.data(), static_cast<std::size_t>(size));
    }
    return End::kSilent;
  }

  // What has been received since the last Take.
  std::string Take() { return std::exchange(received_, {}); }
  const std::string& received() const { return received_; }
  int socket_handle() const { return socket_; }

 private:
  int socket_;
  std::string received_;
};

std::string Post(const std::string& path, const std::string& body,
                 const std::string& headers = "") {
  return "POST " + path + " HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n" + headers +
         "content-length: " + emulator::ToText(body.size()) + "\r\n\r\n" + body;
}

std::string ChatBody(bool stream) {
  return std::string(R"({"model":"gpt-4o-mini","stream":)") + (stream ? "true" : "false") +
         R"json(,"messages":[{"role":"user","content":"台積電(2330) 80 字以內"}]})json";
}

std::string Chat(bool stream, const std::string& fault = "") {
  return Post("/v1/chat/completions", ChatBody(stream),
              fault.empty() ? "" : "x-emulator-fault: " + fault + "\r\n");
}

// The body of GET `path`, on a connection of its own.
std::string Get(const Emulator& server, const std::string& path) {
  Client client(server);
  client.Send("GET " + path + " HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  client.Receive("");
  std::string reply = client.Take();
  std::size_t body = reply.find("\r\n\r\n");
  return body == std::string::npos ? "" : reply.substr(body + 4);
}

std::int64_t Total(const Emulator& server, const std::string& key) {
  std::string ledger = Get(server, "/ledger");
  std::size_t at = ledger.find("\"" + key + "\":");
  return at == std::string::npos ? -1 : std::atoll(ledger.c_str() + at + key.size() + 3);
}

std::int64_t ResidentKb(pid_t process) {
  std::ifstream status("/proc/" + emulator::ToText(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

// Waits for a total of the ledger; machines that run tests may be slow.
bool Reaches(const Emulator& server, const std::string& key, std::int64_t value) {
  auto deadline = Clock::now() + 10s;
  while (Total(server, key) != value) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

const std::vector<std::string> kFast = {"--ttft-ms", "5", "--tokens-per-s", "20000"};
constexpr std::string_view kEndOfChunks = "\r\n0\r\n\r\n";

}  // namespace

TEST_CASE("it says where it listens and ends cleanly") {
  Emulator server(kFast);
  CHECK(server.greeting().rfind("postgen-emulator listening on http://127.0.0.1:", 0) == 0);
  CHECK(server.greeting().find("/v1\n") != std::string::npos);
  CHECK(Get(server, "/health") == R"({"status":"ok"})");
  CHECK(server.End(SIGTERM) == 0);

  Emulator interrupted(kFast);
  CHECK(interrupted.End(SIGINT) == 0);
  Emulator orphan(kFast);
  CHECK(orphan.EndByClosingStdin() == 0);
  Emulator wrong({"--port", "x"});
  CHECK(wrong.greeting().empty());
  CHECK(wrong.EndByClosingStdin() == 2);
}

TEST_CASE("it ends in the middle of streams, too") {
  Emulator server({"--ttft-ms", "1", "--tokens-per-s", "50"});
  Client streaming(server);
  streaming.Send(Chat(true));
  streaming.Receive("data:");
  Client waiting(server);
  waiting.Send(Chat(false));
  CHECK(server.End(SIGTERM) == 0);
}

TEST_CASE("one connection serves many requests, also sent at once or byte by byte") {
  Emulator server(kFast);
  Client client(server);
  client.Send(Chat(false));
  client.Receive("\"system_fingerprint\"");
  CHECK(Contains(client.Take(), "HTTP/1.1 200 OK"));
  client.Send(Chat(true));
  client.Receive(kEndOfChunks);
  CHECK(Contains(client.Take(), "data: [DONE]"));

  client.Send(Chat(true) + Chat(true) + "GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
  client.Receive(R"({"status":"ok"})");
  std::string replies = client.Take();
  CHECK(replies.find("data: [DONE]") != replies.rfind("data: [DONE]"));

  for (char c : Chat(false)) client.Send({&c, 1});
  client.Receive("\"system_fingerprint\"");
  CHECK(Contains(client.Take(), "HTTP/1.1 200 OK"));
  CHECK(Total(server, "connections_accepted") == 2);
  CHECK(Total(server, "completed") == 5);
}

TEST_CASE("HTTP/1.0 and connection: close end with the connection; 100-continue is answered") {
  Emulator server(kFast);
  Client old(server);
  std::string request = Chat(true);
  request.replace(request.find("HTTP/1.1"), 8, "HTTP/1.0");
  old.Send(request);
  CHECK(old.Receive("") == End::kClosed);
  CHECK(Contains(old.received(), "data: [DONE]"));
  CHECK_FALSE(Contains(old.received(), "transfer-encoding"));

  Client closing(server);
  closing.Send(Post("/v1/chat/completions", ChatBody(false), "connection: close\r\n"));
  CHECK(closing.Receive("") == End::kClosed);
  CHECK(Contains(closing.received(), "connection: close"));

  Client expecting(server);
  std::string body = ChatBody(false);
  std::string head = Post("/v1/chat/completions", body, "expect: 100-continue\r\n");
  head.resize(head.size() - body.size());
  expecting.Send(head);
  expecting.Receive("100 Continue\r\n\r\n");
  CHECK(expecting.received() == "HTTP/1.1 100 Continue\r\n\r\n");
  expecting.Send(body);
  expecting.Receive("\"system_fingerprint\"");
  CHECK(Contains(expecting.received(), "HTTP/1.1 200 OK"));
}

TEST_CASE("tokens come at their pace") {
  Emulator server({"--ttft-ms", "200", "--tokens-per-s", "100"});
  Client client(server);
  auto start = Clock::now();
  client.Send(Chat(true));
  client.Receive("\"content\":\"");
  double first = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  client.Receive(kEndOfChunks);
  double whole = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  auto tokens = static_cast<double>(Total(server, "completion_tokens"));
  CHECK(first >= 200);
  CHECK(first < 5000);
  CHECK(whole >= 200 + tokens * 10 - 1);
  CHECK(whole < 200 + tokens * 10 + 5000);
}

TEST_CASE("bad HTTP and oversize requests are refused, whatever they are") {
  Emulator server(kFast);
  auto answer = [&](const std::string& bytes) {
    Client client(server);
    client.Send(bytes);
    client.Receive("");
    return client.Take().substr(0, 12);
  };
  CHECK(answer("nonsense\r\n\r\n") == "HTTP/1.1 400");
  CHECK(answer("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n") == "HTTP/1.1 400");
  CHECK(answer(Post("/v1/chat/completions", std::string((4 << 20) + 1, ' '))) == "HTTP/1.1 413");
  CHECK(answer("GET / HTTP/1.1\r\nx: " + std::string(70'000, 'x') + "\r\n\r\n") == "HTTP/1.1 431");

  emulator::Rng rng(1);
  for (int round = 0; round < 100; ++round) {
    std::string bytes = rng.Chance(0.5) ? Chat(rng.Chance(0.5)) : "";
    for (std::size_t i = rng.Below(20) + 1; i > 0; --i) {
      std::size_t at = rng.Below(bytes.size() + 1);
      bytes.insert(at, 1, static_cast<char>(rng.Below(256)));
    }
    Client client(server);
    client.Send(bytes);
    shutdown(client.socket_handle(), SHUT_WR);
    client.Receive("", 1000ms);
  }
  CHECK(server.Alive());
  CHECK(Get(server, "/health") == R"({"status":"ok"})");
  CHECK(Total(server, "in_flight") == 0);
}

TEST_CASE("a client that leaves is noticed and its tokens are counted") {
  Emulator server({"--ttft-ms", "10", "--tokens-per-s", "10"});
  {
    Client client(server);
    client.Send(Chat(true));
    client.Receive("\"content\":\"");
    std::this_thread::sleep_for(500ms);
  }
  CHECK(Reaches(server, "aborted_by_client", 1));
  std::int64_t tokens = Total(server, "completion_tokens");
  CHECK(tokens >= 5);
  CHECK(tokens < 60);  // it would have been about 70

  Client whole(server);
  whole.Send(Chat(false));
  CHECK(Reaches(server, "in_flight", 1));
  whole.Close();
  CHECK(Reaches(server, "aborted_by_client", 2));
  CHECK(Reaches(server, "in_flight", 0));
  CHECK(Reaches(server, "connections_open", 1));  // the one that asks
}

TEST_CASE("faults of the connection") {
  Emulator server(kFast);
  // What comes until `end`, or for as long as a fault that stays silent is given.
  auto play = [&](const std::string& fault, bool stream, std::string_view end,
                  milliseconds patience = 5000ms) {
    Client client(server);
    client.Send(Chat(stream, fault));
    End how = client.Receive(end, patience);
    return std::pair(how, client.Take());
  };
  for (bool stream : {false, true}) {
    CAPTURE(stream);
    auto ending = [&](const char* fault) { return play(fault, stream, "").first; };
    CHECK(ending("reset") == End::kReset);
    CHECK(ending("reset-after=3") == End::kReset);
    CHECK(ending("chunked-cut=3") == End::kClosed);
    CHECK(ending("eof-cut=3") == End::kClosed);
    CHECK(ending("close-after") == End::kClosed);
    CHECK(ending("http-garbage") == End::kClosed);
    CHECK(ending("content-length-too-large") == End::kClosed);

    auto [stalled, nothing] = play("stall", stream, "", 300ms);
    CHECK(stalled == End::kSilent);
    CHECK(nothing.empty());
    auto [silent, head] = play("stall-headers", stream, "\r\n\r\n");
    CHECK(head.substr(head.size() - 4) == "\r\n\r\n");
    CHECK(play("stall-after=3", stream, "", 300ms).first == End::kSilent);

    CHECK(Contains(play("trailing-bytes", stream, "").second, "bytes after the body"));
    CHECK(Contains(play("html", stream, "</html>").second, "text/html"));
    // Never ends: several rounds come.
    std::string round = stream ? "\r\n: keep-alive\n\n\r\ne" : "\r\n\n\r\n1";
    std::string comments = play("comments", stream, round).second;
    CHECK(Contains(comments, round));
  }
  auto stream = [&](const char* fault) { return play(fault, true, kEndOfChunks).second; };
  CHECK(Contains(stream("byte-by-byte"), "data: [DONE]"));
  CHECK(Contains(stream("crlf"), "}\r\n\r\ndata: "));
  CHECK(Contains(stream("cr"), "}\r\rdata: "));
  CHECK(Contains(stream("bom"),
                 "\xEF\xBB\xBF"
                 "data: "));
  CHECK(Contains(stream("big-event=1000000"), std::string(1'000'000, 'a')));
  CHECK(Contains(play("slow-close", true, "[DONE]").second, "[DONE]"));
  CHECK_FALSE(Contains(play("slow-close", true, kEndOfChunks, 300ms).second, kEndOfChunks));
  CHECK(Contains(play("status=204", false, "\r\n\r\n").second, "204 No Content\r\n"));
}

TEST_CASE("a client that does not read holds its stream up, and nothing piles up") {
  Emulator server({"--ttft-ms", "0", "--tokens-per-s", "0", "--tick-ms", "0.1"});
  Client client(server);
  client.Send(Chat(true, "endless"));
  client.Receive("data:");
  std::int64_t before = ResidentKb(server.process());
  std::this_thread::sleep_for(700ms);
  CHECK(ResidentKb(server.process()) - before < 4096);
  client.Take();
  client.Receive("data:");
  CHECK(Contains(client.received(), "data:"));
  CHECK(Get(server, "/health") == R"({"status":"ok"})");
}

TEST_CASE("idle connections are closed when asked for") {
  Emulator server({"--idle-close-ms", "100"});
  Client client(server);
  auto start = Clock::now();
  CHECK(client.Receive("") == End::kClosed);
  CHECK(Clock::now() - start >= 95ms);
}

TEST_CASE("calls above the limit wait their turn") {
  Emulator server({"--concurrency", "2", "--fixed-ms", "100"});
  auto holding = std::make_unique<Client>(server);
  auto leaving = std::make_unique<Client>(server);
  for (Client* client : {holding.get(), leaving.get()}) client->Send(Chat(true, "stall"));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->Send(Chat(i % 2 == 0));
  }
  CHECK(Reaches(server, "queued", 4));
  auto start = Clock::now();
  leaving.reset();  // leaves one place, so the four come one after the other
  for (auto& client : clients) client->Receive("finish_reason\":\"stop\"");
  CHECK(Clock::now() - start >= 395ms);
  CHECK(Reaches(server, "completed", 4));
  CHECK(Total(server, "queued") == 0);
  CHECK(Total(server, "max_in_flight") == 6);
}

TEST_CASE("TLS with a certificate that the written authority vouches for") {
  std::string authority = "emulator_test_authority.pem";
  Emulator server({"--tls", "--tls-ca-out", authority, "--ttft-ms", "5", "--tokens-per-s", "2000"});
  CHECK(Contains(server.greeting(), "https://127.0.0.1:"));
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                            SSL_CTX_free);
  REQUIRE(SSL_CTX_load_verify_locations(context.get(), authority.c_str(), nullptr) == 1);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  for (const char* name : {"localhost", "127.0.0.1", "example.org"}) {
    Client client(server);
    std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context.get()), SSL_free);
    bool by_address = name[0] == '1';
    if (by_address) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()), name);
    } else {
      SSL_set1_host(tls.get(), name);
    }
    SSL_set_fd(tls.get(), client.socket_handle());
    bool ours = name[0] != 'e';
    REQUIRE((SSL_connect(tls.get()) == 1) == ours);
    if (!ours) continue;
    for (bool stream : {true, false}) {
      std::string request = Chat(stream);
      REQUIRE(SSL_write(tls.get(), request.data(), static_cast<int>(request.size())) > 0);
      std::string reply;
      std::array<char, 16384> chunk{};
      while (!Contains(reply, stream ? kEndOfChunks : "\"system_fingerprint\"")) {
        int size = SSL_read(tls.get(), chunk.data(), static_cast<int>(chunk.size()));
        REQUIRE(size > 0);
        reply.append(chunk.data(), static_cast<std::size_t>(size));
      }
      CHECK(Contains(reply, "HTTP/1.1 200 OK"));
    }
  }
  std::remove(authority.c_str());
  CHECK(server.End(SIGTERM) == 0);
}
