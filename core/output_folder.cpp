#include "core/output_folder.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/error.h"

namespace atrous {

void make_output_folder(const std::string& path, const char* option) {
  std::error_code error;
  ATROUS_CHECK(!std::filesystem::exists(path, error) || std::filesystem::is_directory(path, error),
               ErrorKind::io, "[{}] wants a folder. Got \"{}\", which is a file. Choose another place.",
               option, path);
  std::filesystem::create_directories(path, error);
  ATROUS_CHECK(!error, ErrorKind::io,
               "[{}] the folder must be creatable. Got \"{}\": {}. Choose another place.", option, path,
               error.message());
  const int refused = why_not_writable(path);
  ATROUS_CHECK(!refused, ErrorKind::io,
               "[{}] the folder must be writable. Got \"{}\": {}. Choose another place.", option, path,
               std::strerror(refused));
}

void make_new_folder(const std::string& path) {
  remove_leftovers(path);
  std::error_code unknown;  // creating it reports what is wrong
  const std::filesystem::directory_iterator first(path, unknown);
  if (!unknown && first != std::filesystem::directory_iterator()) {
    fail(
        ErrorKind::usage,
        "[--out] the folder must be new or empty: nothing is replaced or mixed with other files. Got \"{}\", "
        "which holds {}. Choose another folder, or remove this one.",
        path, first->path().filename().string());
  }
  make_output_folder(path);
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::error_code dangling;  // a link to nothing is no file
    if (entry->is_regular_file(dangling)) files.push_back(entry->path().string());
  }
  ATROUS_CHECK(!error, ErrorKind::io, "[folder] \"{}\" must be readable. Got: {}. Check its permissions.",
               folder, error.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace atrous
