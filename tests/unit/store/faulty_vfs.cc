#include "unit/store/faulty_vfs.h"

#include <algorithm>
#include <new>
#include <utility>

namespace postgen {
namespace {

constexpr std::size_t kSector = 512;

sqlite3_vfs* Real() {
  static sqlite3_vfs* const real = sqlite3_vfs_find("unix");
  return real;
}

}  // namespace

// SQLite gives it room for itself and for the real file behind it.
struct FaultyFile : sqlite3_file {
  FaultyVfs* disk;
  std::string* path;  // null: a temporary file
  FaultyVfs::Books* books() const { return path != nullptr ? &disk->files_[*path] : nullptr; }
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }

  static FaultyFile* Of(sqlite3_file* file) { return static_cast<FaultyFile*>(file); }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    auto* const opened = Of(file);
    opened->pMethods = nullptr;
    opened->disk = static_cast<FaultyVfs*>(vfs->pAppData);
    opened->path = nullptr;
    const int code = Real()->xOpen(Real(), name, opened->real(), flags, out);
    if (code != SQLITE_OK) return code;
    opened->pMethods = Methods();
    if (name != nullptr) opened->path = new std::string(name);
    (void)opened->books();  // from now on it exists
    return SQLITE_OK;
  }
  static int Delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    static_cast<FaultyVfs*>(vfs->pAppData)->files_.erase(name);
    return Real()->xDelete(Real(), name, sync_folder);
  }

  static int Close(sqlite3_file* file) {
    delete Of(file)->path;
    return Of(file)->real()->pMethods->xClose(Of(file)->real());
  }
  static int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    FaultyFile* const self = Of(file);
    if (self->disk->listener_) self->disk->listener_();
    if (FaultyVfs::Books* const books = self->books()) {
      const auto* const data = static_cast<const char*>(bytes);
      books->since.push_back(
          {static_cast<std::size_t>(offset), std::string(data, data + size), false});
    }
    return self->real()->pMethods->xWrite(self->real(), bytes, size, offset);
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    FaultyFile* const self = Of(file);
    if (FaultyVfs::Books* const books = self->books()) {
      books->since.push_back({static_cast<std::size_t>(size), {}, true});
    }
    return self->real()->pMethods->xTruncate(self->real(), size);
  }
  static int Sync(sqlite3_file* file, int /*flags*/) {
    FaultyFile* const self = Of(file);
    FaultyVfs* const disk = self->disk;
    if (disk->listener_) disk->listener_();
    ++disk->syncs_;
    if (disk->syncs_to_fail_ > 0) {
      --disk->syncs_to_fail_;
      if (FaultyVfs::Books* const books = self->books()) books->since.clear();
      return SQLITE_IOERR_FSYNC;
    }
    if (FaultyVfs::Books* const books = self->books()) {
      for (const FaultyVfs::Change& change : std::exchange(books->since, {})) {
        FaultyVfs::Apply(change, change.bytes.size(), &books->synced);
      }
    }
    return SQLITE_OK;
  }

  // The others are the real file's.
  template <auto kMember, typename... Arguments>
  static auto Pass(sqlite3_file* file, Arguments... arguments) {
    sqlite3_file* const real = Of(file)->real();
    return (real->pMethods->*kMember)(real, arguments...);
  }

  static const sqlite3_io_methods* Methods() {
    using M = sqlite3_io_methods;
    static const sqlite3_io_methods methods = {
        .iVersion = 2,  // without memory-mapped reads
        .xClose = Close,
        .xRead = Pass<&M::xRead, void*, int, sqlite3_int64>,
        .xWrite = Write,
        .xTruncate = Truncate,
        .xSync = Sync,
        .xFileSize = Pass<&M::xFileSize, sqlite3_int64*>,
        .xLock = Pass<&M::xLock, int>,
        .xUnlock = Pass<&M::xUnlock, int>,
        .xCheckReservedLock = Pass<&M::xCheckReservedLock, int*>,
        .xFileControl = Pass<&M::xFileControl, int, void*>,
        .xSectorSize = Pass<&M::xSectorSize>,
        .xDeviceCharacteristics = Pass<&M::xDeviceCharacteristics>,
        .xShmMap = Pass<&M::xShmMap, int, int, int, void volatile**>,
        .xShmLock = Pass<&M::xShmLock, int, int, int>,
        .xShmBarrier = Pass<&M::xShmBarrier>,
        .xShmUnmap = Pass<&M::xShmUnmap, int>,
        .xFetch = nullptr,
        .xUnfetch = nullptr,
    };
    return &methods;
  }
};

FaultyVfs::FaultyVfs() : vfs_(*Real()) {
  vfs_.pNext = nullptr;
  vfs_.zName = "faulty";
  vfs_.pAppData = this;
  vfs_.szOsFile += static_cast<int>(sizeof(FaultyFile));
  vfs_.xOpen = FaultyFile::Open;
  vfs_.xDelete = FaultyFile::Delete;
  sqlite3_vfs_register(&vfs_, /*makeDflt=*/1);
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(Real(), /*makeDflt=*/1);
}

void FaultyVfs::Apply(const Change& change, std::size_t written, std::string* bytes) {
  if (change.truncates) {
    bytes->resize(change.offset);
    return;
  }
  bytes->resize(std::max(bytes->size(), change.offset + written));
  bytes->replace(change.offset, written, change.bytes, 0, written);
}

std::map<std::string, std::string> FaultyVfs::PowerLoss(std::mt19937* random) const {
  std::map<std::string, std::string> left;
  for (const auto& [path, books] : files_) {
    std::string bytes = books.synced;
    for (const Change& change : books.since) {
      const unsigned luck = (*random)() % 4;
      if (luck == 0) continue;
      const std::size_t sectors = change.bytes.size() / kSector;
      const bool torn = luck == 1 && sectors > 0;
      Apply(change, torn ? (*random)() % sectors * kSector : change.bytes.size(), &bytes);
    }
    left.emplace(path, std::move(bytes));
  }
  return left;
}

}  // namespace postgen
