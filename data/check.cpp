#include "data/check.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "core/parallel.h"
#include "data/check_internal.h"
#include "data/list_dataset.h"
#include "data/notes.h"

namespace atrous::data {
namespace {

struct FileReport {
  std::string id, size, label_format, error;
  std::map<int64_t, int64_t> values;
  LabelHistogram histogram;
  bool single_class = false;
  uint64_t hash = 0;
};

std::map<int64_t, int64_t> count_values(const LabelFile& label) {
  std::map<int64_t, int64_t> counts;
  if (label.is_rgb) return counts;
  const auto count = [&](const auto* values) {
    std::vector<int64_t> histogram(65536);
    for (int64_t i = 0; i < label.values.numel(); ++i) ++histogram[static_cast<size_t>(values[i])];
    for (size_t v = 0; v < histogram.size(); ++v) {
      if (histogram[v]) counts[static_cast<int64_t>(v)] = histogram[v];
    }
  };
  label.values.dtype() == DType::u8 ? count(label.values.data<uint8_t>())
                                    : count(label.values.data<int32_t>());
  return counts;
}

FileReport check_file(const ListDataset& dataset, int64_t index) {
  FileReport out;
  out.id = dataset.id(index);
  out.histogram = LabelHistogram(dataset.num_classes());
  try {
    dataset.check_exists(index);
    if (!dataset.label_path(index).empty()) {
      const LabelFile file = dataset.label_file(index);
      out.label_format = file.format;
      out.values = count_values(file);
    }
    const Sample sample = dataset.load(index);
    out.size = fmt::format("{}x{}", sample.image.dim(1), sample.image.dim(0));
    out.hash = internal::hash_pixels(sample.image);
    if (!sample.label.defined()) return out;
    out.histogram.add(sample.label);
    const auto& pixels = out.histogram.pixels;
    out.single_class = std::count_if(pixels.begin(), pixels.end(), [](int64_t n) { return n > 0; }) == 1;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::memory) throw;  // not an error of the file
    out.error = error.what();
  }
  return out;
}

void merge(LabelHistogram& into, const LabelHistogram& from) {
  for (size_t k = 0; k < into.pixels.size(); ++k) {
    into.pixels[k] += from.pixels[k];
    into.images[k] += from.images[k];
    into.labelled_pixels[k] += from.labelled_pixels[k];
  }
  into.ignored += from.ignored;
  into.total += from.total;
}

class Checker {
 public:
  Checker(CheckReport& report, bool allow_overlap) : report_(report), copies_(allow_overlap) {}

  void split(const std::string& name, const ListDataset& dataset) {
    std::vector<FileReport> files(static_cast<size_t>(dataset.size()));
    parallel_for(dataset.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) files[static_cast<size_t>(i)] = check_file(dataset, i);
    });
    SplitReport split;
    split.split = name;
    split.images = dataset.size();
    split.histogram = LabelHistogram(dataset.num_classes());
    for (const FileReport& f : files) {
      for (const auto& [value, count] : f.values) split.values[value] += count;
      if (!f.label_format.empty()) ++split.label_formats[f.label_format];
      if (!f.error.empty()) {
        ++split.unreadable;
        error(f.error);
        continue;
      }
      ++split.sizes[f.size];
      split.single_class_labels += f.single_class;
      merge(split.histogram, f.histogram);
      copies_.add(name, f.id, f.hash);
    }
    judge(split, dataset);
    report_.splits.push_back(std::move(split));
  }

  // Checks over all splits together.
  void finish() {
    for (Finding& f : copies_.findings()) report_.findings.push_back(std::move(f));
  }
  void error(const std::string& message) { report_.findings.push_back({true, message}); }
  void warn(const std::string& message) { report_.findings.push_back({false, message}); }

 private:
  // Mistakes that no single file shows.
  void judge(const SplitReport& s, const ListDataset& dataset) {
    const int64_t classes = dataset.num_classes();
    std::set<int64_t> values;
    for (const auto& [value, count] : s.values) values.insert(value);
    guess_from_values(s.split, values, classes, dataset.label_map());
    if (!dataset.left_out().empty()) warn(fmt::format("{}: {}.", s.split, dataset.left_out()));
    const bool labelled = s.histogram.total > s.histogram.ignored;
    if (s.histogram.total > 0 && !labelled) {
      error(fmt::format("{}: every labelled pixel is ignored. Check data.label_map.", s.split));
    } else if (2 * s.histogram.ignored > s.histogram.total) {
      warn(fmt::format(
          "{}: {:.0f} % of the pixels are ignored. Check data.label_map.", s.split,
          100.0 * static_cast<double>(s.histogram.ignored) / static_cast<double>(s.histogram.total)));
    }
    if (labelled) warn_of_absent(s, dataset);
    const int64_t read = s.images - s.unreadable;
    if (read > 1 && classes > 1 && s.single_class_labels == read) {
      warn(fmt::format(
          "{}: every label shows one class only. Are these labels for classification, or instance masks?",
          s.split));
    }
    if (s.split == "train" && s.sizes.size() > 1) {
      warn(
          fmt::format("{}: images have {} different sizes. Set augment.crop_height and crop_width, or "
                      "data.image_height and image_width, so that they fit into batches.",
                      s.split, s.sizes.size()));
    }
  }

  void warn_of_absent(const SplitReport& s, const ListDataset& dataset) {
    const std::vector<ClassInfo>& classes = dataset.classes();
    std::vector<size_t> absent;
    for (size_t k = 0; k < classes.size(); ++k) {
      if (!dataset.can_occur(static_cast<int64_t>(k))) {
        warn(fmt::format(
            "{}: class {} ({}) cannot occur in the labels: it is excluded from the means of scores.", s.split,
            k, classes[k].name));
      } else if (s.histogram.pixels[k] == 0) {
        absent.push_back(k);
      }
    }
    const char* consequence = s.split == "train"
                                  ? "cannot be learned"
                                  : "scores 0 if anything is predicted as it, and no score otherwise";
    if (absent.size() > 3) {  // a part of a set with many classes
      warn(fmt::format("{}: {} of {} classes have no pixels ({}, {}, {}, ...): such a class {}.", s.split,
                       absent.size(), classes.size(), classes[absent[0]].name, classes[absent[1]].name,
                       classes[absent[2]].name, consequence));
      return;
    }
    for (const size_t k : absent) {
      warn(fmt::format("{}: class {} ({}) has no pixels: it {}.", s.split, k, classes[k].name, consequence));
    }
  }

  void guess_from_values(const std::string& split, const std::set<int64_t>& values, int64_t classes,
                         const LabelMap& map) {
    if (values.size() < 2) return;
    const int64_t smallest = *values.begin(), largest = *values.rbegin();
    if (values == std::set<int64_t>{0, 255} && map.lookup(255) == ignore_label) {
      error(fmt::format(
          "{}: labels hold only 0 and 255, and 255 is ignored. A binary mask needs data.label_map=0:0,255:1.",
          split));
      return;
    }
    // Palette pictures that were converted to grey hold the luminance of VOC's first colours.
    const std::set<int64_t> grey_palette{38, 75, 113, 14, 52, 89, 128, 19, 57, 94, 132, 33, 71, 108, 147};
    const auto greys =
        std::count_if(values.begin(), values.end(), [&](int64_t v) { return grey_palette.contains(v); });
    const auto strange = std::count_if(values.begin(), values.end(),
                                       [&](int64_t v) { return map.lookup(v) == LabelMap::unknown; });
    if (strange > 0 && greys >= 2 && greys >= strange) {
      error(
          fmt::format("{}: label values look like a palette picture that was converted to grey (38, 75, 113, "
                      "...). Use the original palette PNG: atrous reads its indices.",
                      split));
    }
    const bool is_identity = map.lookup(0) == 0 && map.lookup(classes - 1) == classes - 1;
    if (is_identity && smallest == 1 && largest < ignore_label) {
      warn(
          fmt::format("{}: label values are {} to {}, class 0 never occurs. If they count from 1, set "
                      "data.label_map=1-{}:0.",
                      split, smallest, largest, classes));
    }
    // Cityscapes: a map of labelIds on files that hold train ids.
    const bool cityscapes_map = map.lookup(7) == 0 && map.lookup(8) == 1 && map.lookup(11) == 2;
    const bool train_ids =
        std::all_of(values.begin(), values.end(), [](int64_t v) { return v <= 18 || v == 255; });
    if (cityscapes_map && train_ids) {
      error(
          fmt::format("{}: the label map expects Cityscapes labelIds, but the values (0 to 18, 255) are "
                      "labelTrainIds. Use the *_labelIds.png files, or data.label_map=identity.",
                      split));
    }
  }

  CheckReport& report_;
  internal::CopyFinder copies_;
};

}  // namespace

CheckReport check_data(const DataOptions& options, int64_t num_classes, int64_t in_channels,
                       const std::vector<std::string>& splits) {
  CheckReport report;
  report.dataset = options.dataset;
  report.root = options.root;
  Checker checker(report, options.allow_overlap);
  for (const std::string split : {"train", "val", "test"}) {
    const bool is_asked = std::find(splits.begin(), splits.end(), split) != splits.end();
    if (!splits.empty() && !is_asked) continue;
    std::vector<std::string> faults;
    const auto say_faults = [&] {
      for (const std::string& fault : std::exchange(faults, {}))
        checker.error(fmt::format("{}: {}", split, fault));
    };
    try {
      // Only few sets have a public test split.
      if (split == "test" && !is_asked && !has_split(options, split)) continue;
      const auto dataset = open_list_dataset(options, split, num_classes, in_channels, nullptr, &faults);
      say_faults();
      report.classes = dataset->classes();
      report.label_map = dataset->label_map().describe(dataset->classes());
      report.notes.insert(report.notes.end(), dataset->notes().begin(), dataset->notes().end());
      checker.split(split, *dataset);
    } catch (const Error& error) {
      say_faults();
      if (error.kind() != ErrorKind::data) throw;
      checker.error(fmt::format("{}: {}", split, error.what()));
    }
  }
  // Notes of the file readers are part of the result, not only printed on stderr.
  for (const Note& n : notes()) report.notes.push_back(n.line());
  checker.finish();
  return report;
}

}  // namespace atrous::data
