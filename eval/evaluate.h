// Scores a network on a whole data set, at the full resolution of the label files.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "eval/inference.h"
#include "eval/metrics.h"

namespace atrous::eval {

// Scores of one image; the set's scores are NOT means of these (they come from one confusion matrix).
struct ImageScore {
  std::string id;
  std::string image_path;
  std::optional<double>
      miou;  // over the classes present in this image's label or prediction; empty if all is ignored
  double pixel_accuracy = 0;
  double loss = 0;
  std::optional<double> boundary_f1;  // if it was asked for
};

struct EvaluationResult {
  SemanticScores scores;  // boundary_f1 filled if it was asked for
  ConfusionMatrix confusion{0};
  std::vector<ImageScore> images;  // in the order of the set
  // Cross-entropy (natural log) per scored pixel, over all pixels of the set; unweighted, whatever the
  // training loss was.
  double loss = 0;
  double seconds = 0;
};

struct EvaluationHooks {
  // After each image, in order: images done and all.
  std::function<void(int64_t done, int64_t total)> progress;
  // Each sample (as decoded) with its predicted labels, u8 [H, W], for pictures.
  std::function<void(const data::Sample& sample, const Tensor& prediction, const ImageScore& score)> image;
  // Asked before each image; true ends early (the scores then cover the images so far). For signals.
  std::function<bool()> stop;
};

// Puts the model into eval mode for the time of the call. While one image runs, the next one is decoded by a
// thread of its own. Images run one by one, so no score depends on a batch size. Error(data) if a sample has
// no label.
EvaluationResult evaluate(layers::SegmentationModel& model, const data::Dataset& dataset,
                          const data::DataOptions& data, const InferenceOptions& options,
                          bool boundary_f1 = false, const EvaluationHooks& hooks = {});

}  // namespace atrous::eval
