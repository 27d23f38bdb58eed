// One run of a network over one image: whole, or in sliding windows.
#pragma once

#include <functional>
#include <string>

#include "eval/inference.h"

namespace atrous::eval {

// The network's input at one scale: f32 [h, w, C], normalised. At scale s an image u8 [H, W, C] (or of the
// size that `data` fixes) becomes round(s H) x round(s W).
Tensor network_input(const Tensor& image, const data::DataOptions& data, double scale);

struct PassLogits {
  // [h, w, K]; they cover the window but may be coarser than it. In the type and on the device of the output
  // of the network, unless it needs context: then f32 in host memory.
  Tensor logits;
  bool align_corners = false;  // of the resize to the window
};

// Logits of the window [top, top + height) x [left, left + width) of a normalised image, f32 [H, W, C].
// Error(diverged) that says where NaN or Inf begins if they are not finite.
PassLogits run_window(layers::SegmentationModel& model, const Tensor& image, int64_t top, int64_t left,
                      int64_t height, int64_t width);

// In f32, in host memory.
Tensor on_host(const Tensor& logits);

// Where windows of `window` pixels begin so that they cover `extent` and overlap by at least `overlap` of
// their size; the last one is pushed back to end with the image.
std::vector<int64_t> window_starts(int64_t extent, int64_t window, double overlap);

// Weight of each row (or column) of a window.
std::vector<float> window_weights(int64_t window, WindowBlend blend);

// Receives finished rows of logits, top to bottom: `count` rows, [count, W, K].
using LogitSink = std::function<void(int64_t count, const float* rows)>;

// Slides windows over a normalised image: at each pixel, the mean of the windows' logits by their weights
// (row weight x column weight). Only a band as high as one window is held.
void slide_windows(layers::SegmentationModel& model, const Tensor& image, const InferenceOptions& options,
                   const LogitSink& sink);

// Whether the options request windows smaller than the image.
bool windowed(const InferenceOptions& options, const Tensor& image);

}  // namespace atrous::eval
