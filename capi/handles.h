// Handles: names for objects, given out instead of their addresses, so that a NULL, stale or
// foreign one is told from a live one without being followed. Names are never used twice in a
// process and lie outside of every address space, so no address is ever taken for one.
//
// A class T that can be behind a handle has
//   using Handle = postgen_xyz;                 // the C type
//   static constexpr HandleKind kKind = ...;    // part of the name
//
// All functions are thread-safe.
#ifndef POSTGEN_CAPI_HANDLES_H_
#define POSTGEN_CAPI_HANDLES_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "postgen/error.h"

namespace postgen::capi {

enum class HandleKind : std::uintptr_t {
  kGenerator = 1,
  kCall = 2,
  kResult = 3,
  kError = 4,
  kString = 5,
  kReply = 6,
};

namespace internal {

const void* AddHandle(HandleKind kind, std::shared_ptr<void> object);
std::shared_ptr<void> FindHandle(HandleKind kind, const void* handle);
std::shared_ptr<void> TakeHandle(HandleKind kind, const void* handle);
Error DeadHandle(HandleKind kind, const void* handle);

}  // namespace internal

template <typename T>
typename T::Handle* AddHandle(std::shared_ptr<T> object) {
  return static_cast<typename T::Handle*>(
      const_cast<void*>(internal::AddHandle(T::kKind, std::move(object))));
}

// The object; null if there is none.
template <typename T>
std::shared_ptr<T> FindHandle(const typename T::Handle* handle) {
  return std::static_pointer_cast<T>(internal::FindHandle(T::kKind, handle));
}

// As FindHandle, and the handle is dead from now on. Of several callers one gets the object.
template <typename T>
std::shared_ptr<T> TakeHandle(const typename T::Handle* handle) {
  return std::static_pointer_cast<T>(internal::TakeHandle(T::kKind, handle));
}

// Takes the object of *handle and sets that to NULL; null if there is none.
template <typename T>
std::shared_ptr<T> TakeHandleAndClear(typename T::Handle** handle) {
  if (handle == nullptr) return nullptr;
  return TakeHandle<T>(std::exchange(*handle, nullptr));
}

// Why FindHandle found nothing: kForked or kInvalidRequest.
template <typename T>
Error DeadHandle(const typename T::Handle* handle) {
  return internal::DeadHandle(T::kKind, handle);
}

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_HANDLES_H_
