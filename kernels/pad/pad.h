// Padding and cropping of the spatial axes of an activation.
//
//   y[n,i,j,c] = x[n, i - top, j - left, c]    inside; outside, by mode:
//     constant   value                              a a | a b c d | a a   (a: the value)
//     replicate  the nearest edge pixel             a a | a b c d | d d
//     reflect    mirrored without the edge pixel    c b | a b c d | c b
//
// Negative pads crop. backward adds up the gradients of all copies of each input pixel.
#pragma once

#include <string>

#include "core/host_device.h"
#include "core/tensor.h"

namespace atrous::kernels {

enum class PadMode : unsigned char { constant, replicate, reflect };
const char* name_of(PadMode mode);

struct PadOptions {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
  PadMode mode = PadMode::constant;
  double value = 0;  // constant only
};

struct PadProblem {
  int64_t n = 0, in_h = 0, in_w = 0, channels = 0, out_h = 0, out_w = 0;
  PadOptions pads;
  DType dtype = DType::f32;
  std::string str() const;  // "n1 4x4 to 6x5 c3 pad 1,1,1,0 reflect f32"
};

// The input index that output index i (before the shift by `pad`) copies along an axis of `size`; -1 for the
// constant.
ATROUS_HD inline int64_t pad_source(PadMode mode, int64_t i, int64_t pad, int64_t size) {
  const int64_t s = i - pad;
  if (s >= 0 && s < size) return s;
  if (mode == PadMode::constant) return -1;
  if (mode == PadMode::replicate) return s < 0 ? 0 : size - 1;
  return s < 0 ? -s : 2 * (size - 1) - s;
}

// The inverse: the output indices that copy input index s along an axis of `size`, in ascending order:
// those before the input (left of it), the one inside, those after.
enum class PadSide : unsigned char { before, inside, after };
struct PadRange {
  int64_t begin, end;  // empty if begin >= end
};
ATROUS_HD inline PadRange pad_copies(PadMode mode, PadSide side, int64_t s, int64_t pad, int64_t size,
                                     int64_t out) {
  PadRange r{s + pad, s + pad + 1};
  if (side != PadSide::inside) {
    const bool before = side == PadSide::before;
    const int64_t edge = before ? 0 : size - 1;
    if (mode == PadMode::constant || (mode == PadMode::replicate) != (s == edge)) return {0, 0};
    if (mode == PadMode::replicate) {
      r = before ? PadRange{0, pad} : PadRange{size + pad, out};
    } else {  // mirrored at the edge pixel, which has no copy
      r.begin = 2 * edge - s + pad;
      r.end = r.begin + 1;
    }
  }
  return {r.begin > 0 ? r.begin : 0, r.end < out ? r.end : out};
}

// Errors (usage): rank other than 4, nothing left after cropping, reflect by as much as the size or more,
// replicate of nothing.
PadProblem pad_problem(const Shape& x, DType dtype, const PadOptions& options);
Shape pad_shape(const PadProblem& p);

// x: [N,H,W,C] f32, f64 (on the CPU) or bf16 (on a GPU), any pixel stride. The result is contiguous, or `out`
// if given (any pixel stride).
Tensor pad_forward(const Tensor& x, const PadOptions& options, const Tensor& out = {});
// Gradient of the input of shape `x`.
Tensor pad_backward(const Tensor& dy, const Shape& x, const PadOptions& options);

}  // namespace atrous::kernels
