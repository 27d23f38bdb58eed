#include "data/sets/files.h"

#include <algorithm>
#include <unordered_map>

#include "core/text.h"
#include "data/faults.h"
#include "data/folder.h"
#include "data/list_text.h"

namespace atrous::data::files {
namespace {

std::string first_few(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 3); ++i) out += (i ? ", " : "") + names[i];
  return names.size() > 3 ? out + fmt::format(" and {} more", names.size() - 3) : out;
}

std::vector<std::string> difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// Files and folders that are not part of a set.
bool is_hidden(const std::string& name) {
  return name.starts_with('.') || is_system_file(name);
}

}  // namespace

fs::path find_base(const std::string& root, std::span<const char* const> candidates,
                   const std::string& marker) {
  std::string tried;
  for (const char* candidate : candidates) {
    if (fs::is_directory(fs::path(root) / candidate / marker)) return candidate;
    tried += (tried.empty() ? "" : ", ") + (fs::path(candidate) / marker).string();
  }
  fail(ErrorKind::data,
       "[data.root] the root must hold the set in its official layout. Got {} without {}. Set data.root to "
       "the folder you unpacked the set into (docs/data.md shows the layout).",
       root, tried);
}

std::vector<std::string> stems_in(const fs::path& folder, const std::string& suffix) {
  std::vector<std::string> stems;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (is_hidden(name) || !name.ends_with(suffix) || !file.is_regular_file()) continue;
    stems.push_back(name.substr(0, name.size() - suffix.size()));
  }
  std::sort(stems.begin(), stems.end());
  return stems;
}

std::vector<std::string> subfolders(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (!is_hidden(name) && file.is_directory()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<ListEntry> pair_folders(const std::string& root, const FolderPair& pair) {
  const fs::path images = fs::path(root) / pair.images, labels = fs::path(root) / pair.labels;
  const std::vector<std::string> stems = stems_in(images, pair.image_suffix);
  ATROUS_CHECK(!stems.empty(), ErrorKind::data,
               "[data] a split must hold images. Got none in {} whose name ends in `{}`. Check data.root.",
               images.string(), pair.image_suffix);
  if (!pair.labels.empty()) {
    ATROUS_CHECK(fs::is_directory(labels), ErrorKind::data,
                 "[data] the labels of {} must lie in {}. Got no such folder. Unpack the annotations too.",
                 images.string(), labels.string());
    const std::vector<std::string> label_stems = stems_in(labels, pair.label_suffix);
    const std::vector<std::string> unlabelled = difference(stems, label_stems);
    const std::vector<std::string> orphans = difference(label_stems, stems);
    ATROUS_CHECK(unlabelled.empty() && orphans.empty(), ErrorKind::data,
                 "[data] every image needs a label and every label an image. Got {} without `*{}` in {}"
                 "{}{} and {} without `*{}` in {}{}{}. Complete the set, or remove unpaired files.",
                 counted(std::ssize(unlabelled), "image"), pair.label_suffix, labels.string(),
                 unlabelled.empty() ? "" : ": ", first_few(unlabelled), counted(std::ssize(orphans), "label"),
                 pair.image_suffix, images.string(), orphans.empty() ? "" : ": ", first_few(orphans));
  }
  std::vector<ListEntry> entries;
  for (const std::string& stem : stems) {
    ListEntry& e = entries.emplace_back();
    e.id = stem;
    e.image = (pair.images / (stem + pair.image_suffix)).string();
    if (!pair.labels.empty()) e.label = (pair.labels / (stem + pair.label_suffix)).string();
  }
  return entries;
}

void add_pairs(SplitPlan& plan, const std::string& root, const FolderPair& pair) {
  const std::vector<ListEntry> entries = pair_folders(root, pair);
  plan.entries.insert(plan.entries.end(), entries.begin(), entries.end());
  std::vector<std::string> others, leftovers;
  for (const fs::directory_entry& file : fs::directory_iterator(fs::path(root) / pair.images)) {
    const std::string name = file.path().filename().string();
    if (is_system_file(name)) {
      leftovers.push_back(name);
    } else if (!is_hidden(name) && !name.ends_with(pair.image_suffix) && file.is_regular_file()) {
      others.push_back(name);
    }
  }
  const auto leave_out = [&](std::vector<std::string>& names, const std::string& why) {
    if (names.empty()) return;
    std::sort(names.begin(), names.end());
    if (!plan.left_out.empty()) plan.left_out += "\n";
    plan.left_out += fmt::format("left out: {} in {} {} ({})", counted(std::ssize(names), "file"),
                                 pair.images.string(), why, first_few(names));
  };
  leave_out(others, fmt::format("whose name does not end in `{}`", pair.image_suffix));
  leave_out(leftovers, "that the operating system left behind");
}

std::vector<ListEntry> read_ids(const fs::path& list, std::vector<std::string>* faults) {
  const internal::Faults sink(faults);
  std::vector<ListEntry> entries;
  std::unordered_map<std::string, int64_t> lines;
  for (const ListLine& line : read_list_lines(list.string(), faults)) {
    sink.attempt([&] {
      const std::string& first = line.fields[0];
      const std::string id = first.find('/') == std::string::npos ? first : fs::path(first).stem().string();
      ATROUS_CHECK(!id.empty() && !is_hidden(id), ErrorKind::data,
                   "[{}:{}] each line names an image. Got `{}`. Fix the line.", list.string(), line.number,
                   line.text);
      const auto [before, inserted] = lines.emplace(id, line.number);
      ATROUS_CHECK(
          inserted, ErrorKind::data,
          "[{}:{}] each image may be listed once. Got `{}` again (first in line {}). Remove one of the "
          "lines.",
          list.string(), line.number, id, before->second);
      entries.push_back({.id = id, .image = {}, .label = {}, .line = line.number});
    });
  }
  return entries;
}

std::string not_there(const fs::path& path) {
  return path.string() + " does not exist";
}

std::vector<ClassInfo> classes_of(std::span<const Named> table) {
  std::vector<ClassInfo> classes;
  for (const Named& c : table) {
    const auto byte = [&](int shift) { return static_cast<uint8_t>(c.rgb >> shift); };
    classes.push_back({c.name, {byte(16), byte(8), byte(0)}});
  }
  return classes;
}

std::vector<ClassInfo> classes_of(std::span<const char* const> names, int64_t first_color) {
  std::vector<ClassInfo> classes;
  for (const char* name : names) classes.push_back({name, default_color(first_color++)});
  return classes;
}

}  // namespace atrous::data::files
