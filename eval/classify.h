// From one image to the probabilities of its classes, and the scores of a network on a whole set.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "data/image_folders.h"
#include "eval/classification_metrics.h"
#include "eval/inference.h"
#include "layers/segmentation_model.h"

namespace atrous::eval {

// Softmax of the logits for what the network sees of a u8 image [H, W, C]: data::center_view; with
// options.flip the mean with those of the mirrored view. Error(diverged) if they are not finite.
std::vector<double> class_probabilities(layers::SegmentationModel& model, const Tensor& image,
                                        const data::DataOptions& data, const InferenceOptions& options);

// "shorter side resized to 256, centre crop 224x224; mirrored images averaged"
std::string describe_view(const data::DataOptions& data, const InferenceOptions& options);

struct ClassifiedHooks {
  // After each image, in order: images done and all.
  std::function<void(int64_t done, int64_t total)> progress = {};
  std::function<void(const data::ClassifiedImage& image, std::span<const double> probabilities)> image = {};
  // Called before each image; true ends early (the scores then cover the images so far). For signals.
  std::function<bool()> stop = {};
};

struct ClassificationResult {
  ClassificationScores scores;
  double seconds = 0;
};

// Puts the model into eval mode for the time of the call. While one image runs, the next one is decoded by a
// separate thread. Images run one by one, so no score depends on a batch size.
ClassificationResult evaluate(layers::SegmentationModel& model, const data::ImageFolders& dataset,
                              const data::DataOptions& data, const InferenceOptions& options,
                              const ClassifiedHooks& hooks = {});

}  // namespace atrous::eval
