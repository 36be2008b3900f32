// A TCP proxy before the test server that misbehaves when told to.
#ifndef POSTGEN_TESTS_INTEGRATION_POSTGRES_PROXY_H_
#define POSTGEN_TESTS_INTEGRATION_POSTGRES_PROXY_H_

#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace postgen {

class PostgresProxy {
 public:
  // Listens on a free port of 127.0.0.1 and forwards to host:port there.
  explicit PostgresProxy(const std::string& port);
  ~PostgresProxy();
  PostgresProxy(const PostgresProxy&) = delete;
  PostgresProxy& operator=(const PostgresProxy&) = delete;

  std::string port() const { return port_; }

  // Closes every connection and accepts no more, as a server that was stopped.
  void Stop();
  // Accepts again, on the same port.
  void Restart();
  // Forwards nothing in either direction, and says nothing, as a network that is gone.
  void Freeze();
  // The next time a client sends `text`, forwards it, waits for the server's answer, and closes the
  // connection instead of passing the answer on.
  void LoseAnswerTo(const std::string& text);
  // Waits until an answer was lost.
  void WaitUntilLost();
  // Connections accepted so far.
  int accepted();

 private:
  struct Link {
    int client = -1;
    int server = -1;
    bool losing = false;
    bool open() const { return client >= 0; }
  };

  void Run();
  void Listen();
  void Accept();
  void FromClient(Link* link);
  void FromServer(Link* link);
  static void Close(Link* link);
  void Wake();

  const std::string server_port_;
  std::string port_;
  int wake_[2] = {-1, -1};
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable changed_;
  int listener_ = -1;
  std::list<Link> links_;
  std::string lose_after_;
  bool frozen_ = false;
  bool ending_ = false;
  int accepted_ = 0;
  int lost_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_TESTS_INTEGRATION_POSTGRES_PROXY_H_
