// The position of an output sample of a resize in the input. Forward, backward
// and the fused resize + cross-entropy share these formulas.
//
// They are PyTorch's (torch.nn.functional.interpolate with `size`), so that the same weights give the same
// logits:
//   bilinear, align_corners = false   s = max(0, (i + 1/2) * in/out - 1/2)
//   bilinear, align_corners = true    s = i * (in - 1)/(out - 1), 0 for out = 1
//   nearest                           j = min(floor(i * in/out), in - 1), the product in single precision
// Bilinear reads j = floor(s) and min(j + 1, in - 1) with weights 1 - (s - j) and s - j. Bilinear positions
// are computed in double here: PyTorch uses the precision of the tensor, which differs by about 1e-7 of the
// position. `nearest` must round as PyTorch does, or whole pixels move.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace atrous::kernels {

enum class ResizeMode : unsigned char { nearest, bilinear };

// output = (1 - weight) * input[low] + weight * input[high]
struct ResizeTap {
  int32_t low;
  int32_t high;
  double weight;
};

ATROUS_HD inline double bilinear_source(int64_t i, int64_t in, int64_t out, bool align_corners) {
  if (align_corners) {
    return out > 1 ? static_cast<double>(i) * (static_cast<double>(in - 1) / static_cast<double>(out - 1))
                   : 0.0;
  }
  const double s =
      (static_cast<double>(i) + 0.5) * (static_cast<double>(in) / static_cast<double>(out)) - 0.5;
  return s > 0 ? s : 0.0;
}

ATROUS_HD inline int64_t nearest_source(int64_t i, int64_t in, int64_t out) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  const auto j = static_cast<int64_t>(std::floor(static_cast<float>(i) * scale));
  return j < in - 1 ? j : in - 1;
}

ATROUS_HD inline ResizeTap resize_tap(ResizeMode mode, bool align_corners, int64_t i, int64_t in,
                                      int64_t out) {
  if (mode == ResizeMode::nearest) {
    const auto j = static_cast<int32_t>(nearest_source(i, in, out));
    return {j, j, 0.0};
  }
  const double s = bilinear_source(i, in, out, align_corners);
  // Rounding may carry s to just past the last sample.
  const int64_t low = static_cast<int64_t>(s) < in - 1 ? static_cast<int64_t>(s) : in - 1;
  const int64_t high = low + 1 < in ? low + 1 : low;
  return {static_cast<int32_t>(low), static_cast<int32_t>(high),
          high == low ? 0.0 : s - static_cast<double>(low)};
}

// Outputs [begin, end) that include all those which read input j, and at most a few more, whose weight is 0.
struct ResizeReaders {
  int64_t begin, end;
};

ATROUS_HD inline ResizeReaders resize_readers(ResizeMode mode, bool align_corners, int64_t j, int64_t in,
                                              int64_t out) {
  const bool corners = mode == ResizeMode::bilinear && align_corners;
  if (in == 1 || out == 1) return {0, out};
  // Positions grow with the output index: invert them at j - 1 and j + 1, with a margin for rounding.
  const double step = corners ? static_cast<double>(out - 1) / static_cast<double>(in - 1)
                              : static_cast<double>(out) / static_cast<double>(in);
  const double shift = corners ? 0.0 : 0.5;
  const auto begin = static_cast<int64_t>((static_cast<double>(j - 1) + shift) * step - shift) - 1;
  const auto end = static_cast<int64_t>((static_cast<double>(j + 1) + shift) * step - shift) + 3;
  return {begin > 0 ? begin : 0, end < out ? end : out};
}

// The weight with which a tap reads input j.
template <class Weight>
ATROUS_HD Weight weight_of(int32_t low, int32_t high, Weight weight, int64_t j) {
  return low == j ? 1 - weight : high == j ? weight : Weight(0);
}

}  // namespace atrous::kernels
