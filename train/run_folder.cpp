#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"

namespace atrous::train {
namespace {

// A run that failed before its first logged step leaves an empty file; that is not worth protecting.
bool written(const std::string& path) {
  std::error_code absent;
  const auto size = std::filesystem::file_size(path, absent);
  return !absent && size > 0;
}

bool only_entry(const std::filesystem::path& folder, const char* name) {
  std::error_code unreadable;
  int entries = 0;
  for (std::filesystem::directory_iterator entry(folder, unreadable), end; !unreadable && entry != end;
       entry.increment(unreadable)) {
    if (entry->path().filename() != name) return false;
    ++entries;
  }
  return entries == 1;
}

// A file or folder in `path` that no run writes, or "". A run that failed early leaves some of its own.
std::string foreign_entry(const std::string& path) {
  std::error_code unreadable;  // locking tells
  for (std::filesystem::directory_iterator entry(path, unreadable), end; !unreadable && entry != end;
       entry.increment(unreadable)) {
    const std::string name = entry->path().filename().string();
    const bool own = name == ".lock" || name == "checkpoints" || name == "samples" ||
                     name.starts_with("config.json") || name.starts_with("metrics.jsonl") ||
                     name.starts_with("events.out.tfevents.");
    if (!own) return name;
  }
  return "";
}

// What creating the folders of a run will create.
std::vector<std::filesystem::path> missing_folders(const std::string& path) {
  std::error_code unknown;
  std::vector<std::filesystem::path> missing;
  for (const char* inner : {"checkpoints", "samples"}) {
    if (const auto folder = std::filesystem::path(path) / inner; !std::filesystem::exists(folder, unknown))
      missing.push_back(folder);
  }
  for (std::filesystem::path p = path; !p.empty() && !std::filesystem::exists(p, unknown);
       p = p.parent_path())
    missing.push_back(p);
  return missing;
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  const auto holds_run = [&] {
    std::error_code unreadable;  // locking tells
    return std::filesystem::exists(last(), unreadable) || std::filesystem::exists(previous(), unreadable) ||
           written(file("metrics.jsonl"));
  };
  const std::string foreign = holds_run() ? "" : foreign_entry(path);
  ATROUS_CHECK(foreign.empty(), ErrorKind::usage,
               "[--out] the folder of a run must be new, empty or that of a run. Got \"{}\", which holds {} "
               "but no run. Choose another folder.",
               path, foreign);
  std::error_code error;
  made_ = missing_folders(path);
  std::filesystem::create_directories(path + "/checkpoints", error);
  if (!error) std::filesystem::create_directories(path + "/samples", error);
  ATROUS_CHECK(!error, ErrorKind::io,
               "[--out] the folder of the run must be writable. Got \"{}\": {}. Choose another folder.", path,
               error.message());
  // The lock file is the probe as well: hours of training must not end in "permission denied". The system
  // drops the lock when the process ends, however it ends, so a stale file is harmless.
  lock_ = ::open(file(".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ATROUS_CHECK(lock_ >= 0, ErrorKind::io,
               "[--out] the folder of the run must be writable. Got \"{}\": {}. Choose another folder.", path,
               std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    fail(ErrorKind::io,
         "[--out] a folder belongs to one running process. Got \"{}\", which another process is using. Wait "
         "for it, or "
         "choose another folder.",
         path);
  }
  if (holds_run() && !resume) {
    ::close(lock_);
    fail(ErrorKind::usage,
         "[--out] a run is never overwritten. Got \"{}\", which holds one. Add --resume to go on with it, or "
         "choose "
         "another folder.",
         path);
  }
}

RunFolder::~RunFolder() {
  std::error_code kept;
  for (const std::filesystem::path& folder : made_) {
    // A folder that holds something stays, and with it those around it.
    if (folder == std::filesystem::path(path_) && only_entry(folder, ".lock"))
      std::filesystem::remove(folder / ".lock", kept);
    std::filesystem::remove(folder, kept);
  }
  ::close(lock_);
}

}  // namespace atrous::train
