// From one image to class probabilities at the image's own resolution.
#pragma once

#include "data/augment.h"
#include "data/dataset.h"
#include "layers/segmentation_model.h"

namespace atrous::eval {

// Plain values of the `eval` section.
struct InferenceOptions {
  std::vector<double> scales = {1.0};  // multi-scale: probabilities are averaged over these
  bool flip = false;                   // average with the mirrored image
  int64_t window_height = 0;           // sliding window; 0: the whole image at once
  int64_t window_width = 0;
  double window_overlap = 0.5;  // fraction; windows are blended with a Gaussian weight
};

// image: u8 [H, W, C] as decoded. The image is resized and normalised as `data` says, run, and the logits
// resized back. Networks with valid convolutions get mirrored context so that every pixel has a prediction.
// Returns f32 [H, W, K], probabilities (softmax).
Tensor predict_probabilities(layers::SegmentationModel& model, const Tensor& image,
                             const data::DataOptions& data, const InferenceOptions& options);

// argmax of the above: u8 [H, W].
Tensor predict_labels(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                      const InferenceOptions& options);

}  // namespace atrous::eval
