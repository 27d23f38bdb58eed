#include "cli/image_arguments.h"

#include <filesystem>

#include "core/error.h"
#include "core/terminal.h"
#include "data/folder.h"

namespace atrous::cli {

ImageArguments expand_images(const char* command, const std::vector<std::string>& inputs) {
  ImageArguments all;
  for (const std::string& input : inputs) {
    std::error_code error;
    if (!std::filesystem::is_directory(input, error)) {
      all.files.push_back(input);
      continue;
    }
    const data::FolderListing found = data::list_images(input, data::FolderOf::images);
    const std::string text = found.skipped_text(input);
    if (!text.empty()) print_to(stderr, "{}\n", text);
    for (const data::SkippedFile& file : found.skipped)
      all.left_out.push_back({(std::filesystem::path(input) / file.name).string(), file.reason});
    ATROUS_CHECK(!found.files.empty(), ErrorKind::data,
                 "[{}] a folder must hold images (PNG, JPEG, BMP, PPM, PGM, TGA). \"{}\" has none.", command,
                 input);
    all.files.insert(all.files.end(), found.files.begin(), found.files.end());
  }
  return all;
}

}  // namespace atrous::cli
