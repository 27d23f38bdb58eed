// From one image to class probabilities at the image's own resolution.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/dataset.h"
#include "eval/crf_options.h"
#include "layers/segmentation_model.h"

namespace atrous::eval {

// How overlapping windows are averaged.
//
// A pixel at the rim of a window has seen half of its surroundings at best, so its logits are the least
// certain.
enum class WindowBlend {
  // Windows fade towards their rims (sigma an eighth of the window, at least 1e-3 so that no sum of weights
  // comes near zero): they have little weight where another window covers the pixel better; no seam shows.
  gaussian,
  mean,  // all windows alike, as MMSegmentation's slide inference: for comparing numbers
};
constexpr auto names_of(WindowBlend) {
  return std::to_array<Named<WindowBlend>>(
      {{WindowBlend::gaussian, "gaussian"}, {WindowBlend::mean, "mean"}});
}

// Plain values of the `eval` section.
struct InferenceOptions {
  std::vector<double> scales = {1.0};  // multi-scale: probabilities are averaged over these
  bool flip = false;                   // average with the mirrored image
  int64_t window_height = 0;           // sliding window; 0: the whole image at once
  int64_t window_width = 0;
  double window_overlap = 0.5;  // fraction of the window
  WindowBlend window_blend = WindowBlend::gaussian;
  CrfOptions crf = {};  // refines the averaged probabilities
  // Classification: the shorter side is resized to short_side, then the centre crop x crop is taken.
  int64_t short_side = 256;
  int64_t crop = 224;
  double min_score = 0.5;  // detectors: minimum score for drawn detections
};

// A few rows of a prediction, at the size of the image.
struct PredictedRows {
  int64_t first = 0;  // rows [first, first + count)
  int64_t count = 0;
  const uint8_t* labels = nullptr;       // [count, W]: class of the largest probability
  const float* probabilities = nullptr;  // [count, W, K]; null unless they were requested
};

// Receives the prediction of an image in the form in which it is made.
struct PredictionSink {
  // One pass over the whole image on a device: its logits there, f32 [1, H, W, K], of which labels, scores
  // and losses can be made without a way through host memory.
  std::function<void(const Tensor& logits)> map;
  // Anything else (on the CPU, of several passes, in windows): all rows in order.
  std::function<void(const PredictedRows&)> rows;
};

// From an image to a prediction at its size: the only path, used by evaluation, `predict` and the CRF.
//
// image: u8 [H, W, C] as decoded. For each scale, mirrored or not, the image is resized and normalised as
// `data` says and run (whole, or in windows); the logits are resized bilinearly to H x W, whatever size the
// network saw. Probabilities (softmax) are averaged over scales and flips; within one pass, windows are
// blended as logits. Networks with valid convolutions get mirrored context so that every pixel has a
// prediction.
//
// options.crf is left to the functions below: this is the network's own prediction.
//
// Memory besides the network's own: the logits of the passes as the
// network gives them, or one f32 [H, W, K] if that is less (with windows: always, where there are several
// passes, and a band of one window's height); a single pass needs no map of H x W x K.
void predict_image(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                   const InferenceOptions& options, bool probabilities, const PredictionSink& sink);

struct Prediction {
  Tensor labels;          // u8 [H, W] in host memory
  Tensor probabilities;   // f32 [H, W, K]
  int64_t crf_tiles = 1;  // parts in which the CRF refined it: see eval/crf.h
};
// Without the CRF. The probabilities are on the model's device.
Prediction predict(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                   const InferenceOptions& options);
// A prediction after the CRF (eval/crf.h), in host memory. image: as decoded, whatever size and values the
// network saw. Error(data) unless it has 1 or 3 channels.
Prediction refined(const Prediction& prediction, const Tensor& image, const CrfOptions& crf);

// Probabilities, f32 [H, W, K], after the CRF if it is enabled.
Tensor predict_probabilities(layers::SegmentationModel& model, const Tensor& image,
                             const data::DataOptions& data, const InferenceOptions& options);

// Labels, u8 [H, W], after the CRF if it is enabled, whose parts go to `crf_tiles` (1 without it).
Tensor predict_labels(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                      const InferenceOptions& options, int64_t* crf_tiles = nullptr);

}  // namespace atrous::eval
