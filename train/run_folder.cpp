#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/terminal.h"

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

// A file or folder in `path` that no run writes, or "". A run that failed early may leave its own files.
std::string foreign_entry(const std::string& path) {
  std::error_code unreadable;  // locking reports the error
  for (std::filesystem::directory_iterator entry(path, unreadable), end; !unreadable && entry != end;
       entry.increment(unreadable)) {
    const std::string name = entry->path().filename().string();
    const bool own = name == ".lock" || name == "checkpoints" || name == "samples" ||
                     name.starts_with("config.json") || name.starts_with("metrics.jsonl") ||
                     name.starts_with("events.out.tfevents.") || name.starts_with(".atrous-");
    if (!own) return name;
  }
  return "";
}

std::filesystem::path without_slash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

// The folders that creating those of a run will create.
std::vector<std::filesystem::path> missing_folders(const std::filesystem::path& path) {
  std::error_code unknown;
  std::vector<std::filesystem::path> missing;
  for (const char* inner : {"checkpoints", "samples"}) {
    if (const auto folder = path / inner; !std::filesystem::exists(folder, unknown))
      missing.push_back(folder);
  }
  for (std::filesystem::path p = path; !p.empty() && !std::filesystem::exists(p, unknown);
       p = p.parent_path()) {
    const bool named = p.has_filename() && p.filename() != "." && p.filename() != "..";
    if (named) missing.push_back(p);
  }
  return missing;
}

bool has_name(int fd, const std::string& path) {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(fd, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

[[noreturn]] void not_writable(const std::string& path, const std::string& reason) {
  fail(ErrorKind::io,
       "[--out] the folder of the run must be writable. Got \"{}\": {}. Choose another folder.", path,
       reason);
}

// The lock file also tests write access: hours of training must not end in "permission denied". The system
// drops the lock when the process ends, however it ends, so a stale file is harmless.
int lock(const std::string& folder) {
  const std::string path = folder + "/.lock";
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) not_writable(folder, std::strerror(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) {
        print_to(stderr, "warning: {} cannot be locked ({}): nothing prevents a second run there\n", folder,
                 std::strerror(errno));
        return fd;
      }
      ::close(fd);
      fail(
          ErrorKind::io,
          "[--out] a folder belongs to one running process. Got \"{}\", which another process is using. Wait "
          "for it, or choose another folder.",
          folder);
    }
    if (has_name(fd, path)) return fd;
    ::close(fd);  // a run that was refused has just removed the file
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  const auto holds_run = [&] {
    std::error_code unreadable;  // locking reports the error
    return std::filesystem::exists(last(), unreadable) || std::filesystem::exists(previous(), unreadable) ||
           written(file("metrics.jsonl"));
  };
  const std::string foreign = holds_run() ? "" : foreign_entry(path);
  ATROUS_CHECK(foreign.empty(), ErrorKind::usage,
               "[--out] the folder of a run must be new, empty or that of a run. Got \"{}\", which holds {} "
               "but no run. Choose another folder.",
               path, foreign);
  std::error_code error;
  made_ = missing_folders(without_slash(path));
  std::filesystem::create_directories(path + "/checkpoints", error);
  if (!error) std::filesystem::create_directories(path + "/samples", error);
  if (error) not_writable(path, error.message());
  lock_ = lock(path);
  if (holds_run() && !resume) {
    ::close(lock_);
    fail(ErrorKind::usage,
         "[--out] a run is never overwritten. Got \"{}\", which holds one. Add --resume to continue it, or "
         "choose another folder.",
         path);
  }
  for (const char* inner : {"", "/checkpoints", "/samples"}) remove_leftovers(path + inner);
}

RunFolder::~RunFolder() {
  try {
    remove_unused();
  } catch (const std::exception&) {  // no memory: empty folders stay
    no_memory_handled();
  }
  ::close(lock_);
}

void RunFolder::remove_unused() const {
  const std::filesystem::path run = without_slash(path_);
  std::error_code kept;
  for (const std::filesystem::path& folder : made_) {
    if (only_entry(folder, ".lock")) std::filesystem::remove(folder / ".lock", kept);
    const bool inner = folder.parent_path() == run;
    // A folder that is not empty stays, and so do those that contain it and those on the path to it.
    if (!std::filesystem::remove(folder, kept) && !inner) return;
  }
}

}  // namespace atrous::train
