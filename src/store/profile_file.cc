#include "store/profile_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "request/profile_json.h"
#include "store/call_registry.h"

namespace postgen {
namespace {

namespace fs = std::filesystem;

// Tells one state of a file from the next.
struct FileStamp {
  fs::file_time_type changed_at;
  std::uintmax_t bytes = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// What the file said when it was last read. Used on one thread at a time.
class ProfileFile {
 public:
  explicit ProfileFile(std::string path) : path_(std::move(path)) {}

  // Reads the file unless it is as it was. After a failure it is read again.
  Status Load() {
    std::error_code error;
    FileStamp stamp;
    stamp.changed_at = fs::last_write_time(path_, error);
    if (!error) stamp.bytes = fs::file_size(path_, error);
    if (error) return Unusable("cannot be read: " + error.message());
    if (stamp_ == stamp) return {};
    stamp_.reset();
    std::ifstream file(path_, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    if (!file) return Unusable("cannot be read");
    auto profiles = ParseProfiles(text);
    if (!profiles.ok()) return Unusable(profiles.error().message);
    profiles_ = NewMemoryProfileStore(*std::move(profiles));
    stamp_ = stamp;
    return {};
  }

  void Find(std::int64_t kol_serial, TimePoint deadline, ProfileStore::FindCallback done) {
    if (Status loaded = Load(); !loaded.ok()) {
      done(std::move(loaded).error());
    } else {
      profiles_->Find(kol_serial, deadline, std::move(done));
    }
  }

 private:
  Error Unusable(const std::string& why) const {
    return {Code::kStore, path_ + ": " + why, "profiles.url"};
  }

  const std::string path_;
  std::optional<FileStamp> stamp_;
  std::unique_ptr<ProfileStore> profiles_;
};

class FileProfileStore final : public ProfileStore {
 public:
  FileProfileStore(std::shared_ptr<ProfileFile> file, Executor* executor)
      : file_(std::move(file)), executor_(executor) {}

  // What was posted before this runs before this.
  ~FileProfileStore() override {
    RunAndWait(executor_, [] {});
  }

  void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) override {
    executor_->Post([file = file_, kol_serial, deadline, done = std::move(done)]() mutable {
      file->Find(kol_serial, deadline, std::move(done));
    });
  }

 private:
  const std::shared_ptr<ProfileFile> file_;
  Executor* const executor_;
};

}  // namespace

Result<std::unique_ptr<ProfileStore>> NewProfileFile(std::string path, Executor* executor) {
  auto file = std::make_shared<ProfileFile>(std::move(path));
  if (Status loaded = file->Load(); !loaded.ok()) {
    Error error = std::move(loaded).error();
    error.code = Code::kInvalidConfig;
    error.message = "profiles.url: " + error.message;
    return error;
  }
  return std::unique_ptr<ProfileStore>(
      std::make_unique<FileProfileStore>(std::move(file), executor));
}

}  // namespace postgen
