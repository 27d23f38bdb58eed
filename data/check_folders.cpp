#include "data/check_folders.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/parallel.h"
#include "core/text.h"
#include "data/check_internal.h"
#include "data/image_folders.h"
#include "data/notes.h"

namespace atrous::data {
namespace {

struct FileReport {
  std::string size, error;
  uint64_t hash = 0;
};

FileReport check_file(const ImageFolders& dataset, int64_t index) {
  FileReport out;
  try {
    const Tensor image = dataset.load(index).image;
    out.size = fmt::format("{}x{}", image.dim(1), image.dim(0));
    out.hash = internal::hash_pixels(image);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::memory) throw;  // not an error of the file
    out.error = error.what();
  }
  return out;
}

FolderSplitReport check_split_of(const ImageFolders& dataset, const std::string& name,
                                 internal::CopyFinder& copies, std::vector<Finding>& findings) {
  std::vector<FileReport> files(static_cast<size_t>(dataset.size()));
  parallel_for(dataset.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) files[static_cast<size_t>(i)] = check_file(dataset, i);
  });
  FolderSplitReport split{name, dataset.size(), 0, {}, dataset.counts()};
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const FileReport& f = files[static_cast<size_t>(i)];
    if (f.error.empty()) {
      ++split.sizes[f.size];
      copies.add(name, dataset.id(i), f.hash);
    } else {
      ++split.unreadable;
      findings.push_back({true, f.error});
    }
  }
  std::vector<std::string> empty;
  for (size_t k = 0; k < split.class_images.size(); ++k) {
    if (split.class_images[k] == 0) empty.push_back(dataset.classes()[k].name);
  }
  if (!empty.empty())
    findings.push_back({false, fmt::format("{}: no images of {}: such a class {}.", name, listed(empty),
                                           name == "train" ? "cannot be learned" : "has no score")});
  return split;
}

}  // namespace

FolderCheckReport check_folders(const DataOptions& options, int64_t num_classes, int64_t in_channels,
                                const std::vector<std::string>& splits) {
  FolderCheckReport report;
  report.root = options.root;
  internal::CopyFinder copies(options.allow_overlap);
  std::optional<ClassList> of_train;
  for (const std::string split : {"train", "val", "test"}) {
    const bool is_asked = std::ranges::find(splits, split) != splits.end();
    if (splits.empty() ? split == "test" && !has_folders_split(options, split) : !is_asked) continue;
    try {
      const auto dataset =
          open_image_folders(options, split, num_classes, in_channels, of_train ? &*of_train : nullptr);
      if (split == "train") {
        of_train.emplace();
        of_train->what = "the train split";
        of_train->classes = dataset->classes();
      }
      if (report.classes.empty()) report.classes = dataset->classes();
      report.notes.insert(report.notes.end(), dataset->notes().begin(), dataset->notes().end());
      report.splits.push_back(check_split_of(*dataset, split, copies, report.findings));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      report.findings.push_back({true, fmt::format("{}: {}", split, error.what())});
    }
  }
  // Notes of the file readers are part of the result, not only printed on stderr.
  for (const Note& n : notes()) report.notes.push_back(n.line());
  for (Finding& f : copies.findings()) report.findings.push_back(std::move(f));
  return report;
}

int64_t FolderCheckReport::errors() const {
  return std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.is_error; });
}

std::string FolderCheckReport::table() const {
  std::string out = fmt::format("data set: {} in {}\n", image_folders_name, root);
  for (const std::string& note : notes) out += note + "\n";
  size_t width = 5;
  for (const ClassInfo& c : classes) width = std::max(width, c.name.size());
  for (const FolderSplitReport& s : splits) {
    out += fmt::format("\n{}: {}; sizes {}\n  {:>3}  {:<{}}  {:>8}  {:>7}\n", s.split,
                       counted(s.images, "image"), internal::list_counts(s.sizes), "id", "class", width,
                       "images", "share");
    for (size_t k = 0; k < s.class_images.size() && k < classes.size(); ++k)
      out += fmt::format("  {:>3}  {:<{}}  {:>8}  {:>6.2f}%\n", k, classes[k].name, width, s.class_images[k],
                         internal::percent(s.class_images[k], s.images));
  }
  return out + internal::findings_table(findings);
}

std::string FolderCheckReport::json() const {
  using Json = nlohmann::ordered_json;
  Json json{{"dataset", image_folders_name},
            {"root", root},
            {"classes", Json::array()},
            {"notes", notes},
            {"splits", Json::array()}};
  for (const ClassInfo& c : classes) json["classes"].push_back({{"name", c.name}, {"color", c.color}});
  for (const FolderSplitReport& s : splits)
    json["splits"].push_back({{"split", s.split},
                              {"images", s.images},
                              {"unreadable", s.unreadable},
                              {"sizes", s.sizes},
                              {"class_images", s.class_images}});
  json["errors"] = Json::array();
  json["warnings"] = Json::array();
  for (const Finding& f : findings) json[f.is_error ? "errors" : "warnings"].push_back(f.message);
  // File names may hold any bytes; JSON may not.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace atrous::data
