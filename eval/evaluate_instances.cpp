#include "eval/evaluate_instances.h"

#include <algorithm>
#include <chrono>
#include <future>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/eval_mode.h"

namespace atrous::eval {
namespace {

// x1, y1, x2, y2 -> corner and sides, in double as COCO's tools compute.
data::CocoBox coco_box(const float* b) {
  const double x = b[0], y = b[1];
  return {x, y, b[2] - x, b[3] - y};
}

// The annotations by image, in the form of CocoScores. They point into `all`.
std::vector<std::vector<CocoObject>> objects_by_image(const data::CocoAnnotations& all) {
  std::vector<std::vector<CocoObject>> objects(all.images.size());
  for (const data::CocoAnnotation& a : all.annotations) {
    objects[static_cast<size_t>(a.image)].push_back({.category = a.category,
                                                     .box = a.box,
                                                     .mask = a.has_mask() ? &a.mask : nullptr,
                                                     .area = a.area,
                                                     .crowd = a.crowd});
  }
  return objects;
}

std::vector<CocoDetection> detections_of(std::span<const data::CocoResult> results, IouType type) {
  std::vector<CocoDetection> detections;
  for (const data::CocoResult& r : results) {
    const bool masks = type == IouType::segm;
    detections.push_back({.category = r.category,
                          .score = r.score,
                          .box = r.box,
                          .mask = masks ? &r.mask : nullptr,
                          .area = masks ? static_cast<double>(data::rle_area(r.mask)) : r.area});
  }
  return detections;
}

// Index of each label's category in the annotations, -1 for a gap between raw ids.
std::vector<int64_t> categories_of_labels(const data::InstanceDataset& dataset,
                                          const data::CocoAnnotations& annotations) {
  std::vector<int64_t> categories(dataset.classes().size(), -1);
  for (size_t label = 1; label < categories.size(); ++label) {
    const int64_t id = dataset.category_id(static_cast<int64_t>(label));
    if (id >= 0) categories[label] = annotations.find_category(id);
  }
  return categories;
}

}  // namespace

Tensor as_detector_input(const Tensor& image) {
  const Tensor out = Tensor::empty(image.shape());
  const uint8_t* from = image.data<uint8_t>();
  float* to = out.data<float>();
  parallel_for(image.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = static_cast<float>(from[i]) / 255.0f;
  });
  return out;
}

layers::Detections above(const layers::Detections& found, double score) {
  int64_t count = 0;  // detections are sorted by falling score
  while (count < found.size() && found.scores[static_cast<size_t>(count)] >= score) ++count;
  return layers::only(found, 0, count);
}

std::vector<data::Rle> mask_runs(const layers::Detections& found, double threshold) {
  std::vector<data::Rle> runs;
  if (!found.masks.defined()) return runs;
  for (int64_t i = 0; i < found.size(); ++i) {
    const Tensor plane = layers::image_masks(layers::only(found, i, 1), threshold);
    runs.push_back(data::rle_encode(plane.reshape({found.image.height, found.image.width})));
  }
  return runs;
}

Instances as_instances(const layers::Detections& found, const std::vector<data::Rle>& masks) {
  Instances objects;
  objects.height = found.image.height;
  objects.width = found.image.width;
  objects.boxes = found.boxes;
  objects.labels = found.labels;
  for (int64_t i = 0; i < found.size(); ++i) {
    if (!masks.empty()) objects.masks.push_back(data::mask_of(masks[static_cast<size_t>(i)]));
    objects.crowd.push_back(0);
    objects.ids.push_back(i + 1);
    objects.areas.push_back(coco_box(objects.box(i)).area());
  }
  return objects;
}

void append_coco_results(std::vector<data::CocoResult>& results, int64_t image,
                         const layers::Detections& found, const std::vector<data::Rle>& masks,
                         std::span<const int64_t> category_of_label) {
  for (int64_t i = 0; i < found.size(); ++i) {
    const auto at = static_cast<size_t>(i);
    const int64_t category = category_of_label[static_cast<size_t>(found.labels[at])];
    if (category < 0) continue;
    data::CocoResult& r = results.emplace_back();
    r.image = image;
    r.category = category;
    r.score = found.scores[at];
    r.box = coco_box(found.boxes.data<float>() + 4 * i);
    r.area = r.box.area();
    if (!masks.empty()) r.mask = masks[at];
  }
}

InstanceEvaluation evaluate(layers::DetectionModel& model, const data::InstanceDataset& dataset,
                            const InstanceHooks& hooks) {
  const auto start = std::chrono::steady_clock::now();
  const EvalMode eval_mode(model);
  InstanceEvaluation result;
  result.annotations = dataset.annotations();
  const std::vector<std::vector<CocoObject>> objects = objects_by_image(result.annotations);
  const std::vector<int64_t> categories = categories_of_labels(dataset, result.annotations);
  const bool with_masks =
      model.has_masks() &&
      std::all_of(result.annotations.annotations.begin(), result.annotations.annotations.end(),
                  [](const data::CocoAnnotation& a) { return a.has_mask(); });
  CocoScores boxes(IouType::bbox, result.annotations.categories),
      masks(IouType::segm, result.annotations.categories);
  const int64_t total = dataset.size();
  const auto load = [&](int64_t index) { return dataset.load(index); };
  std::future<data::InstanceSample> ahead;
  if (total > 0) ahead = std::async(std::launch::async, load, 0);
  for (int64_t index = 0; index < total; ++index) {
    if (hooks.stop && hooks.stop()) break;
    const data::InstanceSample sample = ahead.get();
    if (index + 1 < total) ahead = std::async(std::launch::async, load, index + 1);
    const layers::Detections found = model.detect({as_detector_input(sample.image)}).front();
    const std::vector<data::Rle> runs = mask_runs(found);
    const auto before = static_cast<std::ptrdiff_t>(result.results.size());
    append_coco_results(result.results, index, found, runs, categories);
    const std::span<const data::CocoResult> here(result.results.begin() + before, result.results.end());
    const std::vector<CocoObject>& truth = objects[static_cast<size_t>(index)];
    boxes.add(index, truth, detections_of(here, IouType::bbox));
    if (with_masks) masks.add(index, truth, detections_of(here, IouType::segm));
    if (hooks.image) {
      // Matched again: a weak detection that is not shown must not take an object from one that is.
      const CocoScores& scores = with_masks ? masks : boxes;
      const int64_t sure = above(found, hooks.min_score).size();
      std::vector<int64_t> shown;  // those of a class that is scored: the first results
      for (int64_t i = 0; i < sure; ++i) {
        if (categories[static_cast<size_t>(found.labels[static_cast<size_t>(i)])] >= 0) shown.push_back(i);
      }
      const CocoImageMatches matches = scores.match(
          index, truth, detections_of(here.first(shown.size()), with_masks ? IouType::segm : IouType::bbox));
      hooks.image(sample, found, runs, verdict_of(matches, shown, sure, sample.instances));
    }
    ++result.images;
    if (hooks.progress) hooks.progress(index + 1, total);
  }
  result.boxes = boxes.summary();
  if (with_masks) result.masks = masks.summary();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace atrous::eval
