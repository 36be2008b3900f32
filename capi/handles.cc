#include "handles.h"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <unordered_map>

namespace postgen::capi::internal {
namespace {

static_assert(sizeof(std::uintptr_t) == 8, "handles need 64 bits");

// A handle is 0x5047 | number (44 bits) | kind (4 bits). No address of a 64-bit process begins like
// this.
constexpr std::uintptr_t kMark = std::uintptr_t{0x5047} << 48U;
constexpr std::uintptr_t kMarkMask = std::uintptr_t{0xFFFF} << 48U;
constexpr unsigned kKindBits = 4;
constexpr std::uintptr_t kKindMask = (std::uintptr_t{1} << kKindBits) - 1;

std::uintptr_t BitsOf(const void* handle) { return reinterpret_cast<std::uintptr_t>(handle); }

bool IsNameOf(HandleKind kind, std::uintptr_t bits) {
  return (bits & kMarkMask) == kMark && (bits & kKindMask) == static_cast<std::uintptr_t>(kind);
}

std::uintptr_t NumberOf(std::uintptr_t bits) { return (bits & ~kMarkMask) >> kKindBits; }

const char* NounOf(HandleKind kind) {
  switch (kind) {
    case HandleKind::kGenerator: return "generator";
    case HandleKind::kCall: return "call";
    case HandleKind::kResult: return "result";
    case HandleKind::kError: return "error";
    case HandleKind::kString: return "string";
    case HandleKind::kReply: return "reply";
  }
  return "object";
}

// The live handles of one process. After fork() the parent's registry may be locked for ever, so
// the child begins one of its own and looks at no more of the parent's than the last number.
class Registry {
 public:
  static Registry& Get();

  std::uintptr_t Add(HandleKind kind, std::shared_ptr<void> object) {
    const std::uintptr_t number = next_.fetch_add(1, std::memory_order_relaxed);
    const std::uintptr_t bits = kMark | (number << kKindBits) | static_cast<std::uintptr_t>(kind);
    const std::lock_guard<std::mutex> lock(mutex_);
    live_.emplace(bits, std::move(object));
    return bits;
  }

  std::shared_ptr<void> Find(std::uintptr_t bits) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(bits);
    return found == live_.end() ? nullptr : found->second;
  }

  std::shared_ptr<void> Take(std::uintptr_t bits) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(bits);
    if (found == live_.end()) return nullptr;
    std::shared_ptr<void> object = std::move(found->second);
    live_.erase(found);
    return object;
  }

  bool IsFromParent(std::uintptr_t bits) const { return NumberOf(bits) < first_; }

 private:
  Registry(pid_t pid, std::uintptr_t first) : pid_(pid), first_(first), next_(first) {}

  const pid_t pid_;
  const std::uintptr_t first_;
  std::atomic<std::uintptr_t> next_;
  std::mutex mutex_;
  std::unordered_map<std::uintptr_t, std::shared_ptr<void>> live_;  // guarded by mutex_
};

// Never destroyed: handles may be used while static objects are.
Registry& Registry::Get() {
  static std::atomic<Registry*> current{nullptr};
  const pid_t pid = ::getpid();
  Registry* registry = current.load(std::memory_order_acquire);
  while (registry == nullptr || registry->pid_ != pid) {
    const std::uintptr_t first =
        registry == nullptr ? 1 : registry->next_.load(std::memory_order_relaxed);
    auto fresh = std::unique_ptr<Registry>(new Registry(pid, first));
    if (current.compare_exchange_strong(registry, fresh.get(), std::memory_order_acq_rel)) {
      registry = fresh.release();
    }
  }
  return *registry;
}

}  // namespace

const void* AddHandle(HandleKind kind, std::shared_ptr<void> object) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it is a name; nobody follows it.
  return reinterpret_cast<const void*>(Registry::Get().Add(kind, std::move(object)));
}

std::shared_ptr<void> FindHandle(HandleKind kind, const void* handle) {
  const std::uintptr_t bits = BitsOf(handle);
  return IsNameOf(kind, bits) ? Registry::Get().Find(bits) : nullptr;
}

std::shared_ptr<void> TakeHandle(HandleKind kind, const void* handle) {
  const std::uintptr_t bits = BitsOf(handle);
  return IsNameOf(kind, bits) ? Registry::Get().Take(bits) : nullptr;
}

Error DeadHandle(HandleKind kind, const void* handle) {
  const std::string noun = NounOf(kind);
  const std::uintptr_t bits = BitsOf(handle);
  if (IsNameOf(kind, bits) && Registry::Get().IsFromParent(bits)) {
    return {Code::kForked,
            "this " + noun + " was made in another process; make a new one after fork()", noun};
  }
  const std::string why =
      handle == nullptr ? " is NULL" : " was destroyed, has ended or never came from postgen";
  return {Code::kInvalidRequest, "the " + noun + " handle" + why, noun};
}

}  // namespace postgen::capi::internal
