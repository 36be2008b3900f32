#include "store/disk_room.h"

#include <sys/statvfs.h>

#include <cstdint>

namespace postgen {
namespace {

// A post takes some ten kilobytes, and SQLite's log as much again.
constexpr std::uint64_t kLeastRoomBytes = std::uint64_t{4} << 20U;

}  // namespace

bool HasDiskRoom(const std::string& folder) {
  struct statvfs room {};
  if (statvfs(folder.c_str(), &room) != 0) return true;
  return static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize >= kLeastRoomBytes;
}

}  // namespace postgen
