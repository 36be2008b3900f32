// A disk that can lose power, for SQLite: its default file system with books of what was written
// and not synced.
//
//   FaultyVfs disk;                            // the default of what is opened from here on
//   ... use SQLite files ...
//   disk.FailSyncs(1);                         // the next fsync reports an error, and synced
//   nothing for (const auto& [name, bytes] : disk.PowerLoss(&random)) ...
//
// Of the writes to a file since its last sync any may be missing after a loss of power, each whole
// or from some sector on. One thread at a time.
#ifndef POSTGEN_TESTS_UNIT_STORE_FAULTY_VFS_H_
#define POSTGEN_TESTS_UNIT_STORE_FAULTY_VFS_H_

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <sqlite3.h>

namespace postgen {

class FaultyVfs {
 public:
  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  // Called before each write and each sync.
  void OnChange(std::function<void()> listener) { listener_ = std::move(listener); }
  // What a failed sync was to sync never comes to the disk, as where the system drops such pages.
  void FailSyncs(int count) { syncs_to_fail_ = count; }
  int syncs() const { return syncs_; }

  // What a loss of power at this moment leaves of each file: path -> bytes.
  std::map<std::string, std::string> PowerLoss(std::mt19937* random) const;

 private:
  friend struct FaultyFile;
  struct Change {
    std::size_t offset;
    std::string bytes;
    bool truncates;  // to `offset`
  };
  struct Books {
    std::string synced;
    std::vector<Change> since;
  };
  static void Apply(const Change& change, std::size_t written, std::string* bytes);

  sqlite3_vfs vfs_;
  std::map<std::string, Books> files_;
  std::function<void()> listener_;
  int syncs_to_fail_ = 0;
  int syncs_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_TESTS_UNIT_STORE_FAULTY_VFS_H_
