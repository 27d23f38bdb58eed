#include "data/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "data/image_io.h"

namespace atrous::data {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool named_like_image(const std::string& name, bool with_jpeg) {
  const std::string extension = lower(fs::path(name).extension().string());
  static constexpr std::array<std::string_view, 14> jpeg_last = {".png", ".bmp",  ".dib",  ".ppm", ".pgm",
                                                                 ".pnm", ".tga",  ".icb",  ".vda", ".vst",
                                                                 ".jpg", ".jpeg", ".jfif", ".jpe"};
  const auto end = jpeg_last.end() - (with_jpeg ? 0 : 4);
  return std::find(jpeg_last.begin(), end, extension) != end;
}

// False if the file cannot be opened.
bool read_first_bytes(const std::string& path, std::vector<uint8_t>& bytes) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  bytes.resize(64);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return true;
}

// Why a file is left out; empty: it is not.
std::string reason_to_skip(const std::string& path, const std::string& name, FolderOf of) {
  if (is_system_file(name)) return "left behind by the operating system";
  if (name.starts_with('.')) return "hidden";
  std::vector<uint8_t> bytes;
  if (!read_first_bytes(path, bytes)) return "";  // the error appears when it is read
  const ImageKind kind = kind_of_image(bytes);
  if (!kind.unsupported.empty()) return fmt::format("{} is not read: convert it to PNG", kind.unsupported);
  const bool labels = of == FolderOf::labels;
  if (labels && kind.format == "JPEG") return "JPEG cannot hold labels, which must be stored without loss";
  if (!labels && kind.format == "MATLAB") return "no image";
  // A header of TGA has no signature: the file name must say it too.
  const bool known = !kind.format.empty() && kind.format != "TGA";
  return known || named_like_image(name, !labels) ? "" : "no image";
}

}  // namespace

bool is_system_file(std::string_view name) {
  static constexpr std::array<std::string_view, 6> names = {".ds_store",   "thumbs.db", "ehthumbs.db",
                                                            "desktop.ini", "__macosx",  "icon\r"};
  const std::string small = lower(std::string(name));
  return name.starts_with("._") || std::find(names.begin(), names.end(), small) != names.end();
}

std::string FolderListing::skipped_text(const std::string& folder) const {
  std::vector<std::pair<std::string, std::vector<std::string>>> by_reason;
  for (const SkippedFile& file : skipped) {
    auto at = std::find_if(by_reason.begin(), by_reason.end(),
                           [&](const auto& r) { return r.first == file.reason; });
    if (at == by_reason.end()) at = by_reason.insert(at, {file.reason, {}});
    at->second.push_back(file.name);
  }
  std::string text;
  for (const auto& [reason, names] : by_reason) {
    text += fmt::format("{}skipped in {}: {} ({}", text.empty() ? "" : "\n", folder, reason, names[0]);
    for (size_t i = 1; i < std::min<size_t>(names.size(), 3); ++i) text += ", " + names[i];
    text += names.size() > 3 ? fmt::format(" and {} more)", names.size() - 3) : ")";
  }
  return text;
}

FolderListing list_images(const std::string& folder, FolderOf of) {
  FolderListing out;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code dangling;  // a dangling link is neither
    if (entry->is_directory(dangling)) {
      out.skipped.push_back({name + "/", is_system_file(name) ? "left behind by the operating system"
                                                              : "folders inside a folder are not searched"});
      continue;
    }
    if (!entry->is_regular_file(dangling)) {
      out.skipped.push_back({name, "neither a file nor a folder"});
      continue;
    }
    const std::string path = entry->path().string();
    std::string reason = reason_to_skip(path, name, of);
    if (reason.empty()) {
      out.files.push_back(path);
    } else {
      out.skipped.push_back({name, std::move(reason)});
    }
  }
  ATROUS_CHECK(!error, ErrorKind::io, "[folder] \"{}\" must be readable. Got: {}. Check its permissions.",
               folder, error.message());
  std::sort(out.files.begin(), out.files.end());
  std::sort(out.skipped.begin(), out.skipped.end(), [](const SkippedFile& a, const SkippedFile& b) {
    return std::tie(a.reason, a.name) < std::tie(b.reason, b.name);
  });
  return out;
}

}  // namespace atrous::data
