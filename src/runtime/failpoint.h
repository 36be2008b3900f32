// Named places where a test kills the process. Only in builds with POSTGEN_FAILPOINTS, which are
// never installed.
#ifndef POSTGEN_SRC_RUNTIME_FAILPOINT_H_
#define POSTGEN_SRC_RUNTIME_FAILPOINT_H_

#ifdef POSTGEN_FAILPOINTS

#include <atomic>
#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

namespace postgen {

struct ArmedFailpoint {
  std::string name;          // empty: none
  std::atomic<int> left{0};  // times it is still to be reached
};

inline ArmedFailpoint& TheFailpoint() {
  static ArmedFailpoint armed;
  return armed;
}

// `point`: "name", or "name:N" for the Nth time it is reached. Before any generator is made.
inline void ArmFailpoint(std::string_view point) {
  const std::size_t colon = point.find(':');
  int count = 1;
  if (colon != std::string_view::npos) {
    std::from_chars(point.data() + colon + 1, point.data() + point.size(), count);
  }
  TheFailpoint().name = point.substr(0, colon);
  TheFailpoint().left = count;
}

inline void Failpoint(std::string_view name) {
  if (name == TheFailpoint().name && --TheFailpoint().left == 0) (void)std::raise(SIGKILL);
}

}  // namespace postgen

#define POSTGEN_FAILPOINT(name) ::postgen::Failpoint(name)

#else

#define POSTGEN_FAILPOINT(name) static_cast<void>(0)

#endif

#endif  // POSTGEN_SRC_RUNTIME_FAILPOINT_H_
