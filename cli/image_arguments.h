// Images as commands take them: files and folders.
#pragma once

#include <string>
#include <vector>

namespace atrous::cli {

struct ImageArguments {
  struct LeftOut {
    std::string path, reason;
  };
  std::vector<std::string> files;  // as given; of a folder its images, sorted
  std::vector<LeftOut> left_out;   // files of folders that are no images; they have been printed
};

// Error(data) for a folder without images. `command` is for messages.
ImageArguments expand_images(const char* command, const std::vector<std::string>& inputs);

}  // namespace atrous::cli
