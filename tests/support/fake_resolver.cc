#include "support/fake_resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include <condition_variable>
#include <map>
#include <mutex>

namespace postgen::testing {
namespace {

struct LookUps {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, int> times;  // by name
};

// Never destroyed: threads that hang outlive everything else.
LookUps& TheLookUps() {
  static auto* const lookups = new LookUps;
  return *lookups;
}

void Count(const std::string& name) {
  LookUps& lookups = TheLookUps();
  const std::lock_guard lock(lookups.mutex);
  ++lookups.times[name];
  lookups.changed.notify_all();
}

}  // namespace

int TimesLookedUp(const std::string& name) {
  LookUps& lookups = TheLookUps();
  const std::lock_guard lock(lookups.mutex);
  return lookups.times[name];
}

void WaitUntilHanging(int times) {
  LookUps& lookups = TheLookUps();
  std::unique_lock lock(lookups.mutex);
  lookups.changed.wait(lock, [&] { return lookups.times["hangs.test"] >= times; });
}

}  // namespace postgen::testing

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** result) {
  using Resolve = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto libc = reinterpret_cast<Resolve>(dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string name = node == nullptr ? "" : node;
  if (!name.empty()) postgen::testing::Count(name);
  if (name == "hangs.test") {
    while (true) pause();
  }
  if (name == "nowhere.test") return EAI_NONAME;
  if (name == "here.test") return libc("127.0.0.1", service, hints, result);
  if (name != "two.test") return libc(node, service, hints, result);
  const int first = libc("127.0.0.2", service, hints, result);
  if (first != 0) return first;
  addrinfo* last = *result;
  while (last->ai_next != nullptr) last = last->ai_next;
  return libc("127.0.0.1", service, hints, &last->ai_next);
}
