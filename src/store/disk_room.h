// Is there room on a disk for what is about to be paid for?
#ifndef POSTGEN_SRC_STORE_DISK_ROOM_H_
#define POSTGEN_SRC_STORE_DISK_ROOM_H_

#include <string>

namespace postgen {

// False: the disk that the folder is on has hardly any room left. True where it cannot be told.
bool HasDiskRoom(const std::string& folder);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_DISK_ROOM_H_
