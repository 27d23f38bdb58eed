// Which input positions a filter reads, and the window of them that slides along a row.
#pragma once

#include "kernels/conv2d/conv2d.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

// Rows, columns and channels.
struct Image {
  int height, width, channels;
};

[[maybe_unused]] Image image_of(const Tensor& t) {
  return {static_cast<int>(t.dim(1)), static_cast<int>(t.dim(2)), static_cast<int>(t.dim(3))};
}

// Forward: tap t of output o reads input o*stride + t*dilation - pad.
struct ForwardAxis {
  int in, stride, pad, dilation;
  // The position, or -1 where the tap reads no input.
  ATROUS_HD int at(int o, int t) const {
    const int i = o * stride + t * dilation - pad;
    return i < in ? i : -1;
  }
};

// Input gradient, a gather: tap t of input i was used by output (i + pad - t*dilation)/stride, if that is
// whole.
struct BackwardAxis {
  int out, stride, pad, dilation;
  ATROUS_HD int at(int i, int t) const {
    const int scaled = i + pad - t * dilation;
    return scaled >= 0 && scaled % stride == 0 && scaled / stride < out ? scaled / stride : -1;
  }
};

template <class Axis>
struct AxisPair {
  Axis h, w;
};

[[maybe_unused]] AxisPair<ForwardAxis> forward_axes(const Conv2dProblem& p) {
  return {{static_cast<int>(p.h), static_cast<int>(p.stride_h), static_cast<int>(p.pad_h),
           static_cast<int>(p.dilation_h)},
          {static_cast<int>(p.w), static_cast<int>(p.stride_w), static_cast<int>(p.pad_w),
           static_cast<int>(p.dilation_w)}};
}
[[maybe_unused]] AxisPair<BackwardAxis> backward_axes(const Conv2dProblem& p) {
  return {{static_cast<int>(p.p()), static_cast<int>(p.stride_h), static_cast<int>(p.pad_h),
           static_cast<int>(p.dilation_h)},
          {static_cast<int>(p.q()), static_cast<int>(p.stride_w), static_cast<int>(p.pad_w),
           static_cast<int>(p.dilation_w)}};
}

// How a window of S taps slides along a row. From output q to q + step it moves by `shift` whole taps, so S -
// shift of its columns stay; step is the smallest for which the shift is whole. A row falls into `phases` =
// min(step, Q) interleaved walks, each cut into strips of up to `length` outputs.
struct Walk {
  int step, shift, phases, strips, length;

  static Walk of(int64_t stride, int64_t dilation, int64_t columns, int64_t length) {
    int64_t divisor = stride, rest = dilation;
    while (rest) {
      const int64_t next = divisor % rest;
      divisor = rest, rest = next;
    }
    const int64_t step = dilation / divisor, per_walk = (columns + step - 1) / step;
    return {static_cast<int>(step), static_cast<int>(stride / divisor),
            static_cast<int>(step < columns ? step : columns),
            static_cast<int>((per_walk + length - 1) / length), static_cast<int>(length)};
  }
  // Strips of one row.
  ATROUS_HD int per_row() const { return phases * strips; }
  // First output of a strip, and how many it has (0 if the walk ends before it).
  ATROUS_HD int first(int strip) const { return strip % phases + strip / phases * length * step; }
  ATROUS_HD int count(int strip, int columns) const {
    const int left = columns - first(strip);
    const int outputs = left <= 0 ? 0 : (left + step - 1) / step;
    return outputs < length ? outputs : length;
  }
};

// R input pixels below each other, G channels of each, as one step of the walk loads them.
template <class T, int G, int R>
struct Column {
  Vec<float, G> at[R];

  // Column `w` of the R rows; null rows and columns outside of the image are padding.
  __device__ void read(const T* const (&rows)[R], int w, int width, int64_t pixel_stride) {
    ATROUS_UNROLL
    for (int r = 0; r < R; ++r) {
      at[r] = Vec<float, G>{};
      if (rows[r] && w >= 0 && w < width) at[r] = load_f32<G>(rows[r] + w * pixel_stride);
    }
  }
};

}  // namespace
}  // namespace atrous::kernels::ATROUS_GPU
