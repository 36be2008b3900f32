// Named places where a test kills the process: POSTGEN_FAILPOINT=name or name:N (the Nth time it is
// reached). Only in builds with POSTGEN_FAILPOINTS, which are never installed.
#ifndef POSTGEN_SRC_RUNTIME_FAILPOINT_H_
#define POSTGEN_SRC_RUNTIME_FAILPOINT_H_

#ifdef POSTGEN_FAILPOINTS

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

namespace postgen {

inline void Failpoint(std::string_view name) {
  static std::atomic<int> reached{0};
  const char* const wanted = std::getenv("POSTGEN_FAILPOINT");
  if (wanted == nullptr) return;
  std::string_view point = wanted;
  int count = 1;
  if (const std::size_t colon = point.find(':'); colon != std::string_view::npos) {
    count = std::atoi(std::string(point.substr(colon + 1)).c_str());
    point = point.substr(0, colon);
  }
  if (point == name && ++reached == count) (void)std::raise(SIGKILL);
}

}  // namespace postgen

#define POSTGEN_FAILPOINT(name) ::postgen::Failpoint(name)

#else

#define POSTGEN_FAILPOINT(name) static_cast<void>(0)

#endif

#endif  // POSTGEN_SRC_RUNTIME_FAILPOINT_H_
