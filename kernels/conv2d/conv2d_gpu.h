// Code shared by the GPU kernels of conv2d: one view of its passes as correlations, and work around the sums.
//
// In a correlation, output position i of an axis reads the input positions
//     first + i*step + t*advance,   t = 0..taps-1,
// through the filter's rows filter_first + t*filter_step, and is stored at place_first + i*place_step.
//
//   forward          one correlation of x: step = stride, first = -pad, advance = dilation, all rows
//   input gradient   one correlation of dy per phase: the rows of dx with the same remainder by the stride.
//                    Row phase + i*stride takes part in dy's row i + (phase + pad - r*dilation)/stride for
//                    those r where this divides. So no product with a zero is formed, and step is 1. A phase
//                    without any tap (three of four for 1x1, stride 2) is zero.
//   filter gradient  products of dy's pixels with what the forward correlation reads for them
//
// gather.h walks through a correlation as the product of two matrices.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "kernels/common/activation.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/gpu/vector.h"

namespace atrous::kernels {

// One axis of a convolution; x and y are its extents before and after.
struct Conv2dAxis {
  int x, y, taps, stride, pad, dilation;
};

struct Window {
  int in, out, step, first, advance, taps;
  int filter_first, filter_step, place_first, place_step, place_extent;
};

ATROUS_HD inline Window forward_window(const Conv2dAxis& a) {
  return {a.x, a.y, a.stride, -a.pad, a.dilation, a.taps, 0, 1, 0, 1, a.y};
}

// phase < min(stride, x).
ATROUS_HD inline Window gradient_window(const Conv2dAxis& a, int phase) {
  int gcd = a.stride;
  for (int rest = a.dilation % gcd; rest != 0;) {
    const int next = gcd % rest;
    gcd = rest;
    rest = next;
  }
  const int period = a.stride / gcd;  // taps of a phase are that far apart
  int r = 0;
  while (r < period && (phase + a.pad - r * a.dilation) % a.stride != 0) ++r;
  const int taps = r < period && r < a.taps ? (a.taps - 1 - r) / period + 1 : 0;
  return {a.y,
          (a.x - phase + a.stride - 1) / a.stride,
          1,
          taps ? (phase + a.pad - r * a.dilation) / a.stride : 0,
          -a.dilation / gcd,
          taps,
          r,
          period,
          phase,
          a.stride,
          a.x};
}

struct Correlation {
  Window h, w;
  int64_t images;
  int channels;  // of the input, in one group

  ATROUS_HD int64_t rows() const { return images * h.out * w.out; }
  ATROUS_HD int taps() const { return h.taps * w.taps; }
};

// What a kernel receives of a problem; it makes the correlation of its pass from that.
struct Conv2dGeometry {
  Conv2dAxis h, w;
  int64_t images;
  int c, k;  // channels of one group
  int groups;

  explicit Conv2dGeometry(const Conv2dProblem& p)
      : h{size(p.h), size(p.p()), size(p.r), size(p.stride_h), size(p.pad_h), size(p.dilation_h)},
        w{size(p.w), size(p.q()), size(p.s), size(p.stride_w), size(p.pad_w), size(p.dilation_w)},
        images(p.n),
        c(size(p.c / p.groups)),
        k(size(p.k / p.groups)),
        groups(size(p.groups)) {}

  static int size(int64_t extent) { return narrow<int>(extent, "conv2d"); }
  ATROUS_HD Correlation forward() const { return {forward_window(h), forward_window(w), images, c}; }
  // Phases count through columns first. The first phase is the largest.
  ATROUS_HD int phases_w() const { return w.stride < w.x ? w.stride : w.x; }
  ATROUS_HD int phases() const { return (h.stride < h.x ? h.stride : h.x) * phases_w(); }
  ATROUS_HD Correlation gradient(int phase) const {
    return {gradient_window(h, phase / phases_w()), gradient_window(w, phase % phases_w()), images, k};
  }
  // Index of the filter's pixel (out, r, s).
  ATROUS_HD int64_t filter_pixel(int64_t out, int r, int s) const { return (out * h.taps + r) * w.taps + s; }
};

// Applied to an input element that exists; padding stays zero. c counts through all groups.
struct Prologue {
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool relu = false;

  ATROUS_HD float operator()(float x, int64_t c) const {
    if (scale) x = scale[c] * x + shift[c];
    return relu ? activate<Activation::relu>(x) : x;
  }
};

inline const float* optional_data(const Tensor& t) {
  return t.defined() ? t.device_data<float>() : nullptr;
}
inline Prologue prologue_of(const Conv2dFusion& f) {
  return {optional_data(f.in_scale), optional_data(f.in_bias), f.in_relu};
}

}  // namespace atrous::kernels
