// The folder of the spools: one file a process and store, with a lock that dies with its process,
// so that others can take over what it left.
#ifndef POSTGEN_SRC_STORE_SPOOL_FOLDER_H_
#define POSTGEN_SRC_STORE_SPOOL_FOLDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postgen/error.h"

namespace postgen {

// Below the home folder of the user who runs the process; empty: the system knows of none.
std::string DefaultSpoolFolder();

// A spool's file that this process holds; given back when this is destroyed.
class SpoolClaim {
 public:
  ~SpoolClaim();
  SpoolClaim(const SpoolClaim&) = delete;
  SpoolClaim& operator=(const SpoolClaim&) = delete;

  const std::string& path() const { return path_; }

  // Removes the file and its lock. REQUIRES: the file is closed, and nothing in it is needed.
  void Remove();
  // Renames the file, so that nobody takes it for a spool again, and says to what.
  std::string SetAside();

 private:
  friend class SpoolFolder;
  SpoolClaim(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  const std::string path_;
  const int lock_;
};

class SpoolFolder {
 public:
  // `target` tells spools of different stores apart; files of another one are never touched.
  SpoolFolder(std::string folder, const std::string& target);

  // A new name, held; creates the folder (for this user only). Fails with kStore.
  Result<std::unique_ptr<SpoolClaim>> New();
  // The files that no living process holds, now held.
  std::vector<std::unique_ptr<SpoolClaim>> Orphans();
  // How many files of this store were held when Orphans() looked last, by this process as well.
  std::int64_t taken() const { return taken_; }
  // How many files here are of other stores, or of one that was called something else before; by
  // their names.
  std::int64_t CountOthers() const;
  // kBusy: the disk that the folder is on has hardly any room left.
  Status CheckRoom() const;

  const std::string& folder() const { return folder_; }

 private:
  const std::string folder_;
  const std::string prefix_;  // of the files' names
  std::int64_t taken_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SPOOL_FOLDER_H_
