#include "data/list_dataset.h"

#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "core/text.h"
#include "data/faults.h"
#include "data/list_text.h"

namespace atrous::data {
namespace {

namespace fs = std::filesystem;

// The list line's path in normal form. Lists are untrusted input: they must not reach outside the root.
std::string checked_path(std::string path, const std::string& list, int64_t line,
                         const std::string& strip_prefix, const std::string& root) {
  if (!strip_prefix.empty() && path.starts_with(strip_prefix)) path.erase(0, strip_prefix.size());
  fs::path normal = fs::path(path).lexically_normal();
  if (normal.is_absolute() && !root.empty()) {
    const fs::path below = normal.lexically_relative(fs::absolute(root).lexically_normal());
    if (!below.empty() && *below.begin() != "..") normal = below;
  }
  const bool escapes = normal.is_absolute() || (!normal.empty() && *normal.begin() == "..");
  ATROUS_CHECK(
      !escapes, ErrorKind::data,
      "[{}:{}] paths must stay inside the root of the data set. Got `{}`. Give it relative to the root.",
      list, line, path);
  ATROUS_CHECK(normal.has_filename() && normal != ".", ErrorKind::data,
               "[{}:{}] a line names files. Got `{}`. Write the path of a file relative to the root.", list,
               line, path);
  return normal.string();
}

}  // namespace

void assign_ids(std::vector<ListEntry>& entries, const std::string& list, std::vector<std::string>* faults) {
  const internal::Faults sink(faults);
  std::unordered_map<std::string, int64_t> lines;
  std::erase_if(entries, [&](const ListEntry& e) {
    return !sink.attempt([&] {
      const auto [first, inserted] = lines.emplace(e.image, e.line);
      ATROUS_CHECK(inserted, ErrorKind::data,
                   "[{}:{}] each image may be listed once. Got `{}` again (first in line {}). Remove one of "
                   "the lines.",
                   list, e.line, e.image, first->second);
    });
  });
  const std::function<std::string(const fs::path&)> forms[] = {
      [](const fs::path& image) { return image.stem().string(); },
      [](const fs::path& image) { return fs::path(image).replace_extension().string(); },
      [](const fs::path& image) { return image.string(); },
  };
  for (const auto& form : forms) {
    std::unordered_set<std::string> seen;
    bool unique = true;
    for (ListEntry& e : entries) {
      e.id = form(e.image);
      unique = seen.insert(e.id).second && unique;
    }
    if (unique) return;
  }
}

std::vector<ListEntry> read_list(const std::string& path, bool label_optional,
                                 const std::string& strip_prefix, const std::string& root,
                                 std::vector<std::string>* faults) {
  const internal::Faults sink(faults);
  std::vector<ListEntry> entries;
  for (const ListLine& line : read_list_lines(path, faults)) {
    sink.attempt([&] {
      const bool image_only = line.fields.size() == 1 && label_optional;
      ATROUS_CHECK(line.fields.size() == 2 || image_only, ErrorKind::data,
                   "[{}:{}] a line has two fields, `image label`. Got {} in `{}`. Fix the line; names with "
                   "spaces need double quotes.",
                   path, line.number, line.fields.size(), line.text);
      ListEntry entry;
      entry.image = checked_path(line.fields[0], path, line.number, strip_prefix, root);
      if (!image_only) entry.label = checked_path(line.fields[1], path, line.number, strip_prefix, root);
      entry.line = line.number;
      entries.push_back(std::move(entry));
    });
  }
  assign_ids(entries, path, faults);
  return entries;
}

std::string missing_file_hint(const std::string& name) {
  if (name.find('\\') == std::string::npos) return "";
  return " The name has back slashes, which separate folders on Windows only. Replace them by /.";
}

void check_files_exist(const std::string& root, const std::string& split,
                       const std::vector<ListEntry>& entries) {
  int64_t missing = 0;
  std::string first, hint;
  for (const ListEntry& e : entries) {
    for (const auto& [file, kind, partner] :
         {std::tuple{&e.image, "image", &e.label}, std::tuple{&e.label, "label", &e.image}}) {
      std::error_code error;
      if (file->empty() || fs::is_regular_file(fs::path(root) / *file, error)) continue;
      if (++missing > 1) continue;
      first = fmt::format("{} {}", kind, *file);
      hint = missing_file_hint(*file);
      if (e.line)
        first += fmt::format(" (line {}{})", e.line, partner->empty() ? "" : ", pair of `" + *partner + "`");
    }
  }
  ATROUS_CHECK(
      missing == 0, ErrorKind::data,
      "[data] every listed file must exist. Missing in {}: {}{}. Check data.root, or fix the {} list.{}",
      root, first, missing > 1 ? fmt::format(" and {} more", missing - 1) : "", split, hint);
}

void check_entry_exists(const std::string& root, const ListEntry& entry) {
  std::vector<std::string> missing;
  for (const std::string& file : {entry.image, entry.label}) {
    std::error_code error;
    if (!file.empty() && !fs::is_regular_file(fs::path(root) / file, error)) missing.push_back(file);
  }
  if (missing.empty()) return;
  fail(ErrorKind::data,
       "[{}] file not found{}. Every listed file must exist: check data.root and the list.{}",
       (fs::path(root) / missing[0]).string(), missing.size() > 1 ? ", nor its label " + missing[1] : "",
       missing_file_hint(missing[0]));
}

ListDataset::ListDataset(Parts parts) : parts_(std::move(parts)) {
  if (parts_.check_files) check_files_exist(parts_.root, parts_.split, parts_.entries);
}

std::string ListDataset::image_path(int64_t index) const {
  return (fs::path(parts_.root) / entry(index).image).string();
}

std::string ListDataset::label_path(int64_t index) const {
  const std::string& label = entry(index).label;
  return label.empty() ? "" : (fs::path(parts_.root) / label).string();
}

LabelFile ListDataset::label_file(int64_t index) const {
  return read_label_file(label_path(index), parts_.image.limits, parts_.image.apply_exif);
}

Tensor ListDataset::load_label(int64_t index) const {
  const std::string path = label_path(index);
  if (path.empty()) return {};
  const LabelFile file = label_file(index);
  ATROUS_CHECK(file.bit_depth <= 8 || parts_.accept_wide_labels, ErrorKind::data,
               "[label {}] labels have 8 bits unless a label map says what wider values mean. Got {}. "
               "Convert the label, or give data.label_map.",
               path, file.format);
  if (parts_.objection) {
    const std::string objection = parts_.objection(file);
    ATROUS_CHECK(objection.empty(), ErrorKind::data, "[label {}] {}.", path, objection);
  }
  return parts_.label_map.apply(file, path, parts_.unknown_to_ignore);
}

Sample ListDataset::load(int64_t index) const {
  Sample sample;
  sample.id = id(index);
  sample.image_path = image_path(index);
  sample.image =
      with_channels(read_image(sample.image_path, parts_.image), parts_.in_channels, sample.image_path);
  sample.label_path = label_path(index);
  if (sample.label_path.empty()) return sample;
  sample.label = load_label(index);
  const int64_t ih = sample.image.dim(0), iw = sample.image.dim(1), lh = sample.label.dim(0),
                lw = sample.label.dim(1);
  if (ih == lh && iw == lw) return sample;
  fail(ErrorKind::data,
       "[data] image and label must have the same size. Got {} with {} x {} and {} with {} x {}. {}.",
       sample.image_path, iw, ih, sample.label_path, lw, lh,
       size_advice(sample.image_path, parts_.image, lh, lw, "data.exif"));
}

std::string ListDataset::describe() const {
  std::string lines;
  for (const std::string& note : parts_.notes) lines += "\n" + note;
  std::string impossible;
  for (size_t k = 0; k < parts_.classes.size(); ++k) {
    if (!can_occur(static_cast<int64_t>(k)))
      impossible += fmt::format("{}\"{}\"", impossible.empty() ? "" : ", ", parts_.classes[k].name);
  }
  if (!impossible.empty())
    lines += fmt::format("\nnote: classes: {} cannot occur in the labels: excluded from the means of scores",
                         impossible);
  return fmt::format("data: {}, {}: {}, {}, {}, root {}\nlabel map: {}{}", parts_.name, parts_.split,
                     counted(size(), "image"), counted(parts_.in_channels, "channel"),
                     counted(num_classes(), "class", "classes"), parts_.root,
                     parts_.label_map.describe(parts_.classes),
                     parts_.unknown_to_ignore ? ", all else ignored" : "") +
         (parts_.left_out.empty() ? "" : "\n" + parts_.left_out) + lines;
}

}  // namespace atrous::data
