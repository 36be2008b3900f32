#include "llm/transport/wakeup_pair.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <vector>

namespace postgen {
namespace {

struct DirCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};

int SocketOption(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// Bytes that wait to be read here, or at the other end; -1: cannot be told.
int Waiting(int fd, unsigned long request) {
  int bytes = -1;
  return ioctl(fd, request, &bytes) == 0 ? bytes : -1;
}

bool IsQuiet(int fd) { return Waiting(fd, FIONREAD) == 0 && Waiting(fd, TIOCOUTQ) == 0; }

bool IsInheritedUnixStream(int fd) {
  const int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0 && SocketOption(fd, SO_DOMAIN) == AF_UNIX &&
         SocketOption(fd, SO_TYPE) == SOCK_STREAM;
}

std::vector<int> QuietInheritedUnixStreams() {
  std::vector<int> found;
  const std::unique_ptr<DIR, DirCloser> directory(opendir("/proc/self/fd"));
  if (directory == nullptr) return found;
  while (const dirent* entry = readdir(directory.get())) {
    const int fd = std::atoi(entry->d_name);  // "." and ".." are no sockets' names: 0 at worst
    if (IsInheritedUnixStream(fd) && IsQuiet(fd)) found.push_back(fd);
  }
  return found;
}

}  // namespace

void CloseWakeupPairOnExec(CURLM* multi) {
  const std::vector<int> candidates = QuietInheritedUnixStreams();
  if (curl_multi_wakeup(multi) != CURLM_OK) return;
  std::vector<int> woken;
  for (const int fd : candidates) {
    if (Waiting(fd, FIONREAD) == 1 || Waiting(fd, TIOCOUTQ) > 0) woken.push_back(fd);
  }
  curl_multi_poll(multi, nullptr, 0, 0, nullptr);  // takes the byte
  for (const int fd : woken) {
    if (IsQuiet(fd)) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

}  // namespace postgen
