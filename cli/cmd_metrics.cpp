// `atrous metrics`, and its sub-command `semantic`: scores label files that any tool made.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/image_keys.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/terminal.h"
#include "data/folder.h"
#include "data/image_io.h"
#include "eval/boundary.h"
#include "eval/report/semantic_scores.h"

namespace atrous::cli {
namespace {

struct Options {
  std::string gt, pred;
  int64_t classes = 0;
  int64_t ignore = 255;
  std::vector<std::string> names;
  ImageKeys keys{{"data.exif"}};
  Report report;
};

// The label images of a folder (not of its sub-folders).
class LabelFolder {
 public:
  LabelFolder(const std::string& folder, const char* option) {
    std::error_code error;
    ATROUS_CHECK(std::filesystem::is_directory(folder, error), ErrorKind::data,
                 "[{}] must be a folder of label images. Got \"{}\", which is not a folder.", option, folder);
    const data::FolderListing found = data::list_images(folder, data::FolderOf::labels);
    const std::string text = found.skipped_text(folder);
    if (!text.empty()) print_to(stderr, "{}\n", text);
    files_ = found.files;
    for (const std::string& file : files_)
      by_stem_[std::filesystem::path(file).stem().string()].push_back(file);
    ATROUS_CHECK(!files_.empty(), ErrorKind::data, "[{}] the folder must hold label images. \"{}\" has none.",
                 option, folder);
  }

  const std::vector<std::string>& files() const { return files_; }

  bool has_stem(const std::string& file) const {
    return by_stem_.contains(std::filesystem::path(file).stem().string());
  }

  // The file of the other folder that belongs to a file: of the same name; else of the same stem, if it is
  // the only one there and `other` has no second file of that stem. Empty: none.
  std::string partner_of(const std::string& file, const LabelFolder& other) const {
    const std::filesystem::path path(file);
    const auto found = by_stem_.find(path.stem().string());
    if (found == by_stem_.end()) return "";
    for (const std::string& candidate : found->second) {
      if (std::filesystem::path(candidate).filename() == path.filename()) return candidate;
    }
    const bool is_only = found->second.size() == 1 && other.by_stem_.at(found->first).size() == 1;
    return is_only ? found->second[0] : "";
  }

 private:
  std::vector<std::string> files_;
  std::map<std::string, std::vector<std::string>> by_stem_;
};

Tensor read_indices(const std::string& path, bool apply_exif) {
  const data::LabelFile file = data::read_label_file(path, {}, apply_exif);
  ATROUS_CHECK(!file.is_rgb, ErrorKind::data,
               "[{}] label images must hold class indices (grey or palette PNG). Got colours (RGB). Convert "
               "colours to indices first.",
               path);
  return file.values;
}

// Classes as u8 with 255 for ignored pixels, after the confusion matrix has checked the values.
Tensor as_labels(const Tensor& values, int64_t ignore, int64_t classes) {
  const Tensor wide = values.to(DType::i32);
  const Tensor labels = Tensor::empty(values.shape(), DType::u8);
  for (int64_t i = 0; i < wide.numel(); ++i) {
    const int32_t v = wide.data<int32_t>()[i];
    labels.data<uint8_t>()[i] = v == ignore || v < 0 || v >= classes ? 255 : static_cast<uint8_t>(v);
  }
  return labels;
}

// Why a label is not scored. The headline counts them by kind.
struct Problem {
  enum Kind { no_prediction, unreadable, other_size, no_class };
  static constexpr std::array<const char*, 4> meanings = {
      "without a prediction", "that cannot be read as class indices, here or in the prediction",
      "with a size that differs from the prediction's",
      "with a value that is no class, here or in the prediction"};
  Kind kind;
  std::string text;
};

struct PairResult {
  std::optional<Problem> problem;
  eval::BoundaryF1 boundary;
};

// A class whose value is ignored cannot be labelled.
eval::ScoredClasses scored_classes(const Options& o) {
  eval::ScoredClasses classes{.names = o.names,
                              .excluded = std::vector<bool>(static_cast<size_t>(o.classes))};
  if (o.ignore >= 0 && o.ignore < o.classes) classes.excluded[static_cast<size_t>(o.ignore)] = true;
  return classes;
}

// Every pair is checked before anything is reported: one run lists all errors.
std::vector<PairResult> score_pairs(const std::vector<std::pair<std::string, std::string>>& pairs,
                                    const Options& o, eval::ConfusionMatrix& confusion) {
  std::vector<PairResult> results(pairs.size());
  const bool apply_exif = o.keys.resolve().apply_exif;
  std::mutex mutex;
  parallel_for(static_cast<int64_t>(pairs.size()), 1, [&](int64_t begin, int64_t) {
    const auto index = static_cast<size_t>(begin);
    const auto& [gt_path, pred_path] = pairs[index];
    Problem::Kind stage = Problem::unreadable;
    try {
      const Tensor gt = read_indices(gt_path, apply_exif);
      const Tensor pred = read_indices(pred_path, apply_exif);
      stage = gt.shape() == pred.shape() ? Problem::no_class : Problem::other_size;
      eval::ConfusionMatrix own(o.classes);
      own.add(gt, pred, o.ignore);
      results[index].boundary =
          eval::boundary_f1(as_labels(gt, o.ignore, o.classes), as_labels(pred, -1, o.classes), 255,
                            eval::boundary_tolerance, scored_classes(o));
      std::lock_guard lock(mutex);
      confusion.add(own);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::data) throw;
      results[index].problem = Problem{stage, fmt::format("{} and {}: {}", gt_path, pred_path, e.what())};
    }
  });
  return results;
}

[[noreturn]] void fail_with_all(const std::vector<Problem>& problems, size_t labels) {
  constexpr size_t shown = 20;
  std::string kinds, text;
  for (size_t k = 0; k < Problem::meanings.size(); ++k) {
    const auto count = std::ranges::count(problems, static_cast<Problem::Kind>(k), &Problem::kind);
    if (count > 0) kinds += fmt::format("{}{} {}", kinds.empty() ? "" : "; ", count, Problem::meanings[k]);
  }
  for (size_t i = 0; i < std::min(shown, problems.size()); ++i) text += "\n  " + problems[i].text;
  if (problems.size() > shown) text += fmt::format("\n  ... and {} more", problems.size() - shown);
  fail(ErrorKind::data, "[metrics] every label must be scored. Got {} of {} that cannot be: {}. Fix these:{}",
       problems.size(), labels, kinds, text);
}

void run_semantic(const Options& o) {
  const LabelFolder gt(o.gt, "--gt"), pred(o.pred, "--pred");
  std::vector<std::pair<std::string, std::string>> pairs;
  std::vector<Problem> problems;
  for (const std::string& label : gt.files()) {
    const std::string prediction = pred.partner_of(label, gt);
    if (!prediction.empty()) {
      pairs.emplace_back(label, prediction);
    } else {
      const std::filesystem::path name = std::filesystem::path(label).filename();
      const bool ambiguous = pred.has_stem(label);
      problems.push_back(
          {Problem::no_prediction,
           fmt::format("{}: no prediction \"{}\" in {}{}", label, (ambiguous ? name : name.stem()).string(),
                       o.pred,
                       ambiguous ? " (where several files share a stem, whole names must agree)" : "")});
    }
  }
  const auto extra = std::ranges::count_if(
      pred.files(), [&](const std::string& file) { return gt.partner_of(file, pred).empty(); });
  if (extra > 0)
    print_to(stderr, "note: {} prediction(s) have no label in {} and are not scored\n", extra, o.gt);

  eval::ScoresReport report;
  report.confusion = eval::ConfusionMatrix(o.classes);
  const std::vector<PairResult> results = score_pairs(pairs, o, report.confusion);
  for (const PairResult& r : results) {
    if (r.problem) problems.push_back(*r.problem);
  }
  if (!problems.empty()) fail_with_all(problems, gt.files().size());
  eval::BoundaryMean boundary;
  for (const PairResult& r : results) boundary.add(r.boundary);
  report.scores = report.confusion.scores(scored_classes(o), &boundary);
  report.images = static_cast<int64_t>(pairs.size());
  report.facts = {{"resolution", "that of the label files"},
                  {"ignored value", o.ignore < 0 ? "none" : fmt::format("{}", o.ignore)},
                  {"labels", o.gt},
                  {"predictions", o.pred}};
  eval::print_scores(o.report.table(), report);
  o.report.write_json(eval::scores_json(report));
}

}  // namespace

void add_metrics_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("metrics", "Scores the prediction files of any tool");
  command->footer(
      "atrous metrics semantic --gt labels --pred predictions --classes 11 --ignore 255\n"
      "atrous metrics coco --gt instances_val2017.json --dt results.json --iou-type segm");
  command->require_subcommand(1);
  CLI::App* semantic =
      command->add_subcommand("semantic", "mIoU and related scores of label images, matched by file name");
  semantic->footer(
      "atrous metrics semantic --gt labels --pred predictions --classes 11 --ignore 255 --json scores.json");
  auto o = std::make_shared<Options>();
  semantic->add_option("--gt", o->gt, "Folder of label images (class indices: grey or palette PNG)")
      ->required();
  semantic->add_option("--pred", o->pred, "Folder of predictions with the same names (extensions may differ)")
      ->required();
  semantic->add_option("--classes", o->classes, "Number of classes")->required()->check(CLI::Range(1, 255));
  semantic
      ->add_option(
          "--ignore", o->ignore,
          "Label value that is not scored; if it is a class, that class is excluded from all means. -1: none")
      ->capture_default_str();
  semantic->add_option("--names", o->names, "Class names, comma-separated")->delimiter(',');
  o->keys.add_option(*semantic);
  o->report.add_option(*semantic);
  semantic->callback([o] { run_semantic(*o); });
  add_metrics_coco_command(*command);
}

}  // namespace atrous::cli
