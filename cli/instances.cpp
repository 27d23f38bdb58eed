#include "cli/instances.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "cli/network_facts.h"
#include "cli/predictions.h"
#include "cli/progress.h"
#include "core/allocator.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/evaluate_instances.h"
#include "eval/instance_pictures.h"
#include "eval/pictures.h"
#include "eval/report/coco_text.h"
#include "eval/report/instance_report.h"
#include "eval/report/semantic_scores.h"
#include "train/class_source.h"

namespace atrous::cli {
namespace {

std::vector<std::pair<std::string, std::string>> how_measured(const LoadedDetector& loaded,
                                                              const InstanceEvaluationOptions& options,
                                                              const data::InstanceDataset& dataset) {
  auto facts = facts_of(loaded.config.model);
  const train::Config& config = loaded.config;
  facts.emplace_back("data", fmt::format("{} in {}, {}", config.data.dataset, config.data.root,
                                         counted(dataset.size(), "image")));
  facts.emplace_back("resolution",
                     "that of the image files; the network resizes by model.detection.min_size and max_size");
  facts.emplace_back("device", name_of(loaded.model->device()));
  facts.emplace_back("math", name_of(config.math));
  facts.emplace_back("split", options.split);
  facts.emplace_back("weights", loaded.weights);
  return facts;
}

void print(std::FILE* out, const eval::InstanceEvaluation& result) {
  const auto table = [&](const char* what, const eval::CocoSummary& s) {
    print_to(out, "{}\n", what);
    eval::print_coco_stats(out, s, "-");
    print_to(out, "\n");
  };
  table("Boxes", result.boxes);
  if (result.masks) table("Masks", *result.masks);
  const eval::CocoSummary& main = result.masks ? *result.masks : result.boxes;
  print_to(out, "Per class, {}", result.masks ? "masks" : "boxes");
  eval::print_coco_classes(out, main);
  eval::print_coco_errors(out, main);
}

// The class at each pixel, 0 where there is no object: with a palette, or in 16 bits where a palette is too
// small.
void write_class_indices(const std::string& path, const Tensor& image, const Instances& objects,
                         const std::vector<data::ClassInfo>& classes) {
  const Tensor labels = Tensor::zeros({image.dim(0), image.dim(1)}, DType::i32);
  for (int64_t i = objects.size(); i-- > 0;) {  // the most certain last, so that it is on top
    const Mask& m = objects.masks[static_cast<size_t>(i)];
    for (int64_t p = 0; p < m.width * m.height; ++p) {
      if (!m.pixels[static_cast<size_t>(p)]) continue;
      const int64_t y = m.y0 + p / m.width, x = m.x0 + p % m.width;
      labels.data<int32_t>()[y * labels.dim(1) + x] = objects.labels[static_cast<size_t>(i)];
    }
  }
  if (classes.size() > 256) {
    data::write_png_16(path, labels);
    return;
  }
  const Tensor narrow = Tensor::empty(labels.shape(), DType::u8);
  std::copy_n(labels.data<int32_t>(), labels.numel(), narrow.data<uint8_t>());
  data::write_png(path, narrow, eval::palette_of(classes));
}

}  // namespace

void evaluate_instances(const LoadedDetector& loaded, const InstanceEvaluationOptions& options,
                        const Report& report) {
  const train::Config& config = loaded.config;
  const data::ClassList meant = train::class_list(loaded.classes, config, "the checkpoint");
  const auto dataset = data::open_instance_dataset(config.data, options.split, config.model.num_classes,
                                                   config.model.in_channels, &meant);
  if (!options.report_folder.empty()) make_output_folder(options.report_folder, "--report");
  if (!options.results.empty()) make_output_folder(options.results, "--results");
  print_to(stderr, "{}\n", dataset->describe());

  eval::InstanceScoresReport scores;
  scores.network = nets::describe(config.model);
  scores.min_score = config.eval.min_score;
  scores.facts = how_measured(loaded, options, *dataset);
  eval::WorstInstances worst(options.report_folder.empty() ? 0 : options.worst);
  eval::InstanceHooks hooks;
  hooks.min_score = config.eval.min_score;
  hooks.image = [&](const data::InstanceSample& sample, const layers::Detections& found,
                    const std::vector<data::Rle>& masks, const eval::InstanceVerdict& verdict) {
    scores.images.push_back({sample.id, sample.image_path, sample.instances.size(),
                             static_cast<int64_t>(verdict.errors.size()), verdict.not_found(),
                             verdict.wrong()});
    worst.add(scores.images.back(), [&] {
      return eval::compare_instances(sample, eval::above(found, hooks.min_score), masks, verdict,
                                     dataset->classes());
    });
  };
  eval::InstanceEvaluation& result = scores.result;
  {
    Progress progress("eval", "images");
    hooks.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
    result = eval::evaluate(*loaded.model, *dataset, hooks);
  }
  print(report.table(), result);
  const Device device = loaded.model->device();
  const AllocatorStats memory = device == Device::cpu ? allocator_stats() : device_allocator_stats(device);
  print_to(stderr, "{} in {:.1f} s, peak memory {}\n", counted(result.images, "image"), result.seconds,
           bytes_text(memory.peak_in_use));
  if (!options.results.empty()) {
    data::write_coco_images(options.results + "/images.json", result.annotations);
    data::write_coco_results(options.results + "/bbox.json", result.annotations, result.results,
                             data::CocoFields::boxes);
    if (result.masks)
      data::write_coco_results(options.results + "/segm.json", result.annotations, result.results,
                               data::CocoFields::masks);
  }
  report.write_json(eval::scores_json(scores));
  if (options.report_folder.empty()) return;
  eval::write_instance_report(options.report_folder, scores, worst.images());
  print_to(stderr, "{}/report.html\n", options.report_folder);
}

void predict_instances(const LoadedDetector& loaded, const PredictionFiles& files) {
  const Tensor image = data::load_image(files.image, loaded.config.data, loaded.model->in_channels());
  const layers::Detections found = loaded.model->detect({eval::as_detector_input(image)}).front();
  const layers::Detections sure = eval::above(found, loaded.config.eval.min_score);
  const std::vector<data::Rle> masks = eval::mask_runs(found);
  const Instances objects = eval::as_instances(sure, masks);
  data::write_png(files.overlay, eval::draw_instances(image, objects, loaded.classes, sure.scores));
  if (loaded.model->has_masks()) write_class_indices(files.labels, image, objects, loaded.classes);
  write_predictions(files.objects, files.image, image, found, masks, loaded.classes);
}

}  // namespace atrous::cli
