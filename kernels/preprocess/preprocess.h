// From a batch of stored pictures to the input of a network, in one pass: warp, colours, normalisation, cast.
//
//   p         = map * (column + 1/2, row + 1/2) - 1/2      where output pixel (row, column) comes from
//   v_k       = bilinear(image, p)_k / 255                 taps clamped to the picture
//   u_k       = clamp(sum_j color[k, j] v_j + offset, 0, 1)   for 3 channels, if any image has other colours
//               clamp(color[0, 0] v_k + offset, 0, 1)         for other numbers of channels
//   y_k       = (u_k - mean_k) / std_k
//   label     = nearest(labels, p)
//
// A point outside the picture (beyond its outermost pixel edges) gives u = border and the ignore label, or
// with `reflect` the mirrored point. The map of an image composes all affine changes: crop, padding, scale,
// flips, turns, rotation; the picture is interpolated once. Scales below 1 alias, since nothing is filtered
// first. The formulas are those of data/augment.h without elastic deformation and blur; the same random
// choices give the same picture up to rounding.
//
// Not differentiable: no layer.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

// Coordinates are continuous: pixel i covers [i, i + 1). source x = a x + b y + c, source y = d x + e y + f.
struct PreprocessMap {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;

  // The part of the scaled and flipped picture that begins at (left, top); negative: padding.
  //   source = (corner + output) / scale, then flips within width x height
  static PreprocessMap crop(double scale, double left, double top, bool flip_horizontal, bool flip_vertical,
                            int64_t width, int64_t height);
};

// The changes to one image.
struct PreprocessChange {
  PreprocessMap map{};
  std::array<double, 9> color{1, 0, 0, 0, 1, 0, 0, 0, 1};
  double offset = 0;
  bool changes_color() const;
};

struct PreprocessOptions {
  int64_t height = 0, width = 0;      // of the results; 0: those of the images
  std::vector<double> mean{}, std{};  // per channel, of values in [0, 1]
  std::vector<double> border{};       // per channel, in [0, 1]; empty: the mean, which becomes zero
  bool reflect = false;
  int64_t ignore_label = 255;
  DType dtype = DType::f32;  // of the resulting images: f32, f64 (on the CPU) or bf16 (on a GPU)
};

struct PreprocessProblem {
  int64_t n = 0, in_h = 0, in_w = 0, channels = 0, out_h = 0, out_w = 0;
  bool colors = false, reflect = false, labels = false;
  uint8_t ignore_label = 255;
  DType dtype = DType::f32;
  std::string str() const;  // "n2 9x11 to 8x8 c3 colors reflect labels f32"
};

// Errors (usage): images that are not u8 [N, H, W, C] with pixels, statistics that are not one per channel, a
// std that is not positive, a number of changes other than 0 (none at all) or N, labels other than u8 [N, H,
// W].
PreprocessProblem preprocess_problem(const Tensor& images, const Tensor& labels,
                                     std::span<const PreprocessChange> changes,
                                     const PreprocessOptions& options);

struct Preprocessed {
  Tensor images;  // [N, height, width, C] of options.dtype
  Tensor labels;  // u8 [N, height, width], or undefined
};
// On the device of the images. `labels` may be undefined.
Preprocessed preprocess(const Tensor& images, const Tensor& labels, std::span<const PreprocessChange> changes,
                        const PreprocessOptions& options);

}  // namespace atrous::kernels
