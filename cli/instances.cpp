#include "cli/instances.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "cli/coco_report.h"
#include "cli/progress.h"
#include "core/allocator.h"
#include "core/atomic_file.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "data/image_io.h"
#include "eval/coco_html.h"
#include "eval/evaluate_instances.h"
#include "eval/html.h"
#include "eval/instance_pictures.h"
#include "eval/pictures.h"
#include "train/coco_scores_json.h"

namespace atrous::cli {
namespace {

// Pictures of the images with the most errors: as annotated and as found.
class WorstPictures {
 public:
  WorstPictures(size_t count, double min_score) : count_(count), min_score_(min_score) {}

  void add(const data::InstanceSample& sample, const layers::Detections& found,
           const std::vector<data::Rle>& masks, int64_t errors, const std::vector<data::ClassInfo>& classes) {
    if (errors == 0 || count_ == 0) return;
    if (kept_.size() == count_ && errors <= kept_.back().errors) return;
    const layers::Detections sure = eval::above(found, min_score_);
    Picture picture{errors, sample.id,
                    eval::side_by_side({eval::draw_instances(sample.image, sample.instances, classes),
                                        eval::draw_instances(sample.image, eval::as_instances(sure, masks),
                                                             classes, sure.scores)})};
    const auto at =
        std::find_if(kept_.begin(), kept_.end(), [&](const Picture& p) { return p.errors < errors; });
    kept_.insert(at, std::move(picture));
    if (kept_.size() > count_) kept_.pop_back();
  }

  std::string section() const {
    if (kept_.empty()) return "";
    std::string out = fmt::format(
        "<h2>Images with the most errors</h2>\n<p class=\"sub\">As annotated, and as found with a score of "
        "at least {:g}. Errors: what was missed or found wrongly at IoU 0.5.</p>\n",
        min_score_);
    for (const Picture& p : kept_) {
      out += fmt::format("<figure>{}<figcaption>{}: {} errors</figcaption></figure>\n",
                         eval::inline_png(data::encode_png(eval::shrunk(p.picture, 1200)), p.id),
                         eval::escape_html(p.id), p.errors);
    }
    return out;
  }

 private:
  struct Picture {
    int64_t errors;
    std::string id;
    Tensor picture;
  };
  const size_t count_;
  const double min_score_;
  std::vector<Picture> kept_;  // the most errors first
};

std::string page(const eval::InstanceEvaluation& result, const LoadedDetector& loaded,
                 const InstanceEvaluationOptions& options, const std::string& pictures) {
  std::string out = eval::page_head(loaded.config.model.name, fmt::format("{}, split {}", loaded.weights, options.split)) +
                    "<div class=\"cards\">\n";
  if (result.masks) out += eval::coco_cards(*result.masks, "mask");
  out += eval::coco_cards(result.boxes, "box") + "</div>\n";
  if (result.masks) out += eval::coco_sections(*result.masks, "mask");
  return out + eval::coco_sections(result.boxes, "box") + pictures + eval::page_end();
}

std::string scores_text(const eval::InstanceEvaluation& result, const LoadedDetector& loaded,
                        const InstanceEvaluationOptions& options) {
  train::JsonValue out = train::JsonValue::make_object();
  const auto add = [&](const std::string& what, const eval::CocoSummary& s) {
    out[what + "_ap"] = train::JsonValue::of(s.ap());
    out[what + "_ap50"] = train::JsonValue::of(s.ap50());
    out[what] = train::coco_to_json(s);
  };
  if (result.masks) add("mask", *result.masks);
  add("box", result.boxes);
  out["images"] = train::JsonValue::of(result.images);
  out["network"] = train::JsonValue::of(loaded.config.model.name);
  out["split"] = train::JsonValue::of(options.split);
  out["weights"] = train::JsonValue::of(loaded.weights);
  out["device"] = train::JsonValue::of(name_of(loaded.model->device()));
  out["math"] = train::JsonValue::of(loaded.config.math);
  return to_text(out);
}

void print(std::FILE* out, const eval::InstanceEvaluation& result) {
  const auto table = [&](const char* what, const eval::CocoSummary& s) {
    fmt::print(out, "{}\n", what);
    print_coco_stats(out, s);
    fmt::print(out, "\n");
  };
  table("Boxes", result.boxes);
  if (result.masks) table("Masks", *result.masks);
  const eval::CocoSummary& main = result.masks ? *result.masks : result.boxes;
  fmt::print(out, "Per class, {}", result.masks ? "masks" : "boxes");
  print_coco_classes(out, main);
  print_coco_errors(out, main);
}

}  // namespace

void evaluate_instances(const LoadedDetector& loaded, const InstanceEvaluationOptions& options,
                        const Report& report) {
  const train::Config& config = loaded.config;
  const auto dataset = data::open_instance_dataset(config.data, options.split, config.model.num_classes,
                                                   config.model.in_channels);
  if (!options.report_folder.empty()) make_output_folder(options.report_folder, "--report");
  if (!options.results.empty()) make_output_folder(options.results, "--results");
  fmt::print(stderr, "{}\n", dataset->describe());

  WorstPictures worst(options.report_folder.empty() ? 0 : options.worst, config.eval.min_score);
  eval::InstanceHooks hooks;
  hooks.min_score = config.eval.min_score;
  hooks.image = [&](const data::InstanceSample& sample, const layers::Detections& found,
                    const std::vector<data::Rle>& masks,
                    int64_t errors) { worst.add(sample, found, masks, errors, dataset->classes()); };
  eval::InstanceEvaluation result;
  {
    Progress progress("eval", "images");
    hooks.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
    result = eval::evaluate(*loaded.model, *dataset, hooks);
  }
  print(report.table(), result);
  const Device device = loaded.model->device();
  const AllocatorStats memory = device == Device::cpu ? allocator_stats() : device_allocator_stats(device);
  fmt::print(stderr, "{} images in {:.1f} s, peak memory {:.0f} MiB\n", result.images, result.seconds,
             static_cast<double>(memory.peak_in_use) / (1 << 20));
  if (!options.results.empty()) {
    data::write_coco_results(options.results + "/bbox.json", result.annotations, result.results,
                             data::CocoFields::boxes);
    if (result.masks)
      data::write_coco_results(options.results + "/segm.json", result.annotations, result.results,
                               data::CocoFields::masks);
  }
  const std::string scores = scores_text(result, loaded, options);
  report.write_json(scores);
  if (options.report_folder.empty()) return;
  write_file_atomically(options.report_folder + "/scores.json", scores + "\n");
  write_file_atomically(options.report_folder + "/report.html",
                        page(result, loaded, options, worst.section()));
  fmt::print(stderr, "{}/report.html\n", options.report_folder);
}

void predict_instances(const LoadedDetector& loaded, const PredictionFiles& files) {
  const Tensor image = data::load_image(files.image, loaded.config.data, loaded.model->in_channels());
  const layers::Detections found = loaded.model->detect({eval::as_detector_input(image)}).front();
  const layers::Detections sure = eval::above(found, loaded.config.eval.min_score);
  const std::vector<data::Rle> masks = eval::mask_runs(found);
  const Instances objects = eval::as_instances(sure, masks);
  data::write_png(files.overlay, eval::draw_instances(image, objects, loaded.classes, sure.scores));
  if (loaded.model->has_masks()) {
    const Tensor labels = Tensor::full({image.dim(0), image.dim(1)}, 0, DType::u8);
    for (int64_t i = objects.size(); i-- > 0;) {  // the surest last, so that it is on top
      const Mask& m = objects.masks[static_cast<size_t>(i)];
      for (int64_t p = 0; p < m.width * m.height; ++p) {
        if (!m.pixels[static_cast<size_t>(p)]) continue;
        const int64_t y = m.y0 + p / m.width, x = m.x0 + p % m.width;
        labels.data<uint8_t>()[y * labels.dim(1) + x] =
            static_cast<uint8_t>(objects.labels[static_cast<size_t>(i)]);
      }
    }
    data::write_png(files.labels, labels, eval::palette_of(loaded.classes));
  }
  data::CocoAnnotations frame;
  frame.images.emplace_back().id = 1;
  for (size_t label = 1; label < loaded.classes.size(); ++label)
    frame.categories.push_back({static_cast<int64_t>(label), loaded.classes[label].name});
  std::vector<int64_t> categories(loaded.classes.size());
  std::iota(categories.begin(), categories.end(), -1);  // the background's is left out
  std::vector<data::CocoResult> results;
  eval::append_coco_results(results, 0, found, masks, categories);
  data::write_coco_results(files.objects, frame, results);
}

}  // namespace atrous::cli
