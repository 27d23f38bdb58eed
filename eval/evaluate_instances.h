// Scores a detector on a whole data set, by COCO's rules, in the images' own resolution.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/coco_json.h"
#include "data/instances.h"
#include "eval/coco_scores.h"
#include "eval/instance_comparison.h"
#include "layers/detection_model.h"

namespace atrous::eval {

struct InstanceEvaluation {
  CocoSummary boxes;
  std::optional<CocoSummary> masks;  // of networks with masks, on sets with masks
  // Annotations and settings of the scoring; the results are those of all images so far.
  data::CocoAnnotations annotations;
  std::vector<data::CocoResult> results;
  int64_t images = 0;
  double seconds = 0;
};

struct InstanceHooks {
  // After each image, in order: images done and all.
  std::function<void(int64_t done, int64_t total)> progress;
  // Each sample as decoded; its detections; their masks on the image's pixels (none for networks without
  // masks); and what is right and wrong at IoU 0.5 (of masks, where they are scored) if only
  // detections with at least `min_score` count: those of above(found, min_score).
  std::function<void(const data::InstanceSample& sample, const layers::Detections& found,
                     const std::vector<data::Rle>& masks, const InstanceVerdict& verdict)>
      image;
  double min_score = 0.5;
  // Called before each image; true ends early (the scores then cover the images so far). For signals.
  std::function<bool()> stop;
};

// Puts the model into eval mode for the time of the call. While one image runs, the next is decoded by a
// separate thread. Images run one by one, so no score depends on a batch size. Masks cover the pixels whose
// probability is above 0.5.
InstanceEvaluation evaluate(layers::DetectionModel& model, const data::InstanceDataset& dataset,
                            const InstanceHooks& hooks = {});

// u8 [H, W, C] as decoded -> f32 in [0, 1], the input of detectors.
Tensor as_detector_input(const Tensor& image);

// Those whose score is at least `score`: the first ones.
layers::Detections above(const layers::Detections& found, double score);

// The masks of all detections as runs, one by one: memory for one plane of the image at a time.
std::vector<data::Rle> mask_runs(const layers::Detections& found, double threshold = 0.5);

// The detections as objects, for pictures. `masks` may have further elements, for detections that follow.
Instances as_instances(const layers::Detections& found, const std::vector<data::Rle>& masks);

// Results in COCO format. `image` is the index of the image in the annotations; `category_of_label` holds the
// index of each label's category in them, or -1 for labels that are left out.
void append_coco_results(std::vector<data::CocoResult>& results, int64_t image,
                         const layers::Detections& found, const std::vector<data::Rle>& masks,
                         std::span<const int64_t> category_of_label);

}  // namespace atrous::eval
