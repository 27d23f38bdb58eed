// The image files of a folder, and which of its files are left out and why.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace atrous::data {

// Files that operating systems create: ._x and .DS_Store of macOS, Thumbs.db and desktop.ini of Windows, the
// folder
// __MACOSX of its archives.
bool is_system_file(std::string_view name);

struct SkippedFile {
  std::string name;    // without the folder
  std::string reason;  // "TIFF is not read: convert it to PNG"
};

struct FolderListing {
  std::vector<std::string> files;  // paths, sorted
  std::vector<SkippedFile> skipped;

  // A line per reason, with counts and the first names; empty: nothing was skipped.
  std::string skipped_text(const std::string& folder) const;
};

enum class FolderOf { images, labels };

// The files of a folder, not of its sub-folders, that can be images, or labels (which are stored without
// loss). The content decides, not the name; but a file that is named like an image and holds none is kept, so
// that reading it reports the error. Error(io) if the folder cannot be read.
FolderListing list_images(const std::string& folder, FolderOf of);

}  // namespace atrous::data
