#include "store/spool_folder.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "digest/sha256.h"
#include "runtime/random.h"
#include "store/disk_room.h"

namespace postgen {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".spool";
constexpr std::string_view kLockSuffix = ".lock";
constexpr std::size_t kPrefixDigits = 16;

Error FolderError(const std::string& folder) {
  return {Code::kStore, "the spool folder " + folder + " cannot be written; see store.spool",
          "store.spool"};
}

// Not SQLite's own locks, which its file drops when any descriptor of it is closed; this one goes
// when the process does. -1: somebody else has it, or it cannot be made.
int LockBeside(const std::string& path) {
  const std::string name = path + std::string(kLockSuffix);
  const int lock = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return -1;
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) return lock;
  close(lock);
  return -1;
}

}  // namespace

std::string DefaultSpoolFolder() {
  std::string buffer(16384, '\0');
  passwd entry{};
  passwd* found = nullptr;
  const bool known =
      getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
  if (!known || found->pw_dir == nullptr || *found->pw_dir != '/') return {};
  return std::string(found->pw_dir) + "/.local/state/postgen/spool";
}

SpoolClaim::~SpoolClaim() { close(lock_); }

void SpoolClaim::Remove() {
  // The lock last: who takes it over then finds no file.
  for (const char* const suffix : {"", "-wal", "-shm", ".lock"}) {
    unlink((path_ + suffix).c_str());
  }
}

std::string SpoolClaim::SetAside() {
  const std::string kept = path_ + ".damaged";
  for (const char* const suffix : {"", "-wal", "-shm"}) {
    (void)rename((path_ + suffix).c_str(), (kept + suffix).c_str());
  }
  unlink((path_ + std::string(kLockSuffix)).c_str());
  return kept;
}

SpoolFolder::SpoolFolder(std::string folder, const std::string& target)
    : folder_(std::move(folder)),
      prefix_(HexDigest(Sha256(target)).substr(0, kPrefixDigits) + '-') {}

Result<std::unique_ptr<SpoolClaim>> SpoolFolder::New() {
  std::error_code error;
  if (!fs::is_directory(folder_, error)) {
    fs::create_directories(folder_, error);
    if (error) return FolderError(folder_);
    fs::permissions(folder_, fs::perms::owner_all, error);
  }
  std::string path = folder_ + '/' + prefix_ + NewUuid() + std::string(kSuffix);
  const int lock = LockBeside(path);
  if (lock < 0) return FolderError(folder_);
  return std::unique_ptr<SpoolClaim>(new SpoolClaim(std::move(path), lock));
}

std::vector<std::unique_ptr<SpoolClaim>> SpoolFolder::Orphans() {
  std::vector<std::unique_ptr<SpoolClaim>> orphans;
  taken_ = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix_) || !name.ends_with(kSuffix)) continue;
    std::string path = entry->path().string();
    const int lock = LockBeside(path);
    if (lock < 0) {
      ++taken_;
      continue;
    }
    std::unique_ptr<SpoolClaim> claim(new SpoolClaim(std::move(path), lock));
    // Somebody else took it over and removed it while we looked.
    if (access(claim->path().c_str(), F_OK) != 0) {
      claim->Remove();
      continue;
    }
    orphans.push_back(std::move(claim));
  }
  return orphans;
}

std::int64_t SpoolFolder::CountOthers() const {
  std::int64_t count = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(kSuffix) && !name.starts_with(prefix_)) ++count;
  }
  return count;
}

Status SpoolFolder::CheckRoom() const {
  if (HasDiskRoom(folder_)) return {};
  return Error(Code::kBusy,
               "the store is away and the spool's disk is full; make room in " + folder_,
               "store.spool");
}

}  // namespace postgen
