// Functions of the caller's: how they are called, and the data that comes with them.
#ifndef POSTGEN_CAPI_CALLBACKS_H_
#define POSTGEN_CAPI_CALLBACKS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "guard.h"
#include "postgen/error.h"

namespace postgen::capi {

// Is this thread inside a function of the caller's? What would wait is refused there.
bool InCallback();

class CallbackScope {
 public:
  CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
  ~CallbackScope();
};

// Runs `function`, which calls one of the caller's. False: it threw (it may be C++ as well).
template <typename Function>
bool CallOut(Function&& function) {
  const CallbackScope scope;
  return GuardValue(false, [&function] {
    function();
    return true;
  });
}

// The user_data of a table and its destructor, which runs at the end of a UserData that was armed:
// a refused table leaves the data with the caller.
class UserData {
 public:
  UserData(void* data, void (*destroy)(void*)) : data_(data), destroy_(destroy) {}
  UserData(const UserData&) = delete;
  UserData& operator=(const UserData&) = delete;
  ~UserData() {
    if (armed_ && destroy_ != nullptr) CallOut([this] { destroy_(data_); });
  }

  void* get() const { return data_; }
  void Arm() { armed_ = true; }

 private:
  void* const data_;
  void (*const destroy_)(void*);
  bool armed_ = false;
};

// Copies the caller's table, which may come from a newer header: what this version does not know of
// must be zero. `name` is for messages. Fails with kInvalidConfig.
template <typename Table>
Status CopyTable(const Table* given, const char* name, Table* copy) {
  // No table will ever be larger; a size that was not set is not taken for one.
  constexpr std::uint32_t kMaxSize = 4096;
  const auto refuse = [name](const char* why) {
    return Error(Code::kInvalidConfig, std::string(name) + why, name);
  };
  std::uint32_t size = 0;
  std::memcpy(&size, given, sizeof(size));
  if (size < sizeof(Table)) return refuse(".struct_size is too small: set it to sizeof the table");
  if (size > kMaxSize) return refuse(".struct_size is too large: set it to sizeof the table");
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = sizeof(Table); i < size; ++i) {
    if (bytes[i] != 0) return refuse(" uses members that this version of postgen does not have");
  }
  std::memcpy(copy, given, sizeof(Table));
  if (copy->reserved != 0) return refuse(".reserved must be 0");
  return {};
}

// A thread that leaves all signals to the caller's threads. Throws std::system_error if there is
// none to be had.
std::thread StartThread(std::function<void()> body);

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_CALLBACKS_H_
