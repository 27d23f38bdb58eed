// A folder that is removed with all it holds at the end of a test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace atrous {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "atrous_test_XXXXXX").string()) {
    if (!::mkdtemp(path_.data())) throw std::runtime_error("cannot make the folder " + path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string path(const std::string& name) const { return *this / name; }
  // The same, and makes the folders on the way.
  std::string file(const std::string& name) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    return *this / name;
  }

 private:
  std::string path_;
};

}  // namespace atrous
