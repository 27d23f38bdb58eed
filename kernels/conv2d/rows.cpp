#include "kernels/conv2d/rows.h"

#include <algorithm>
#include <limits>

#include "core/cpu.h"
#include "core/error.h"

namespace atrous::kernels {
namespace {

constexpr int64_t slack = 64;  // floats after the last row: tiles read whole vectors

ATROUS_MULTIVERSION void copy_pixels(float* to, int64_t to_stride, const float* from, int64_t from_stride,
                                     int64_t pixels, int64_t channels) {
  if (to_stride == channels && from_stride == channels) {
    std::copy_n(from, pixels * channels, to);
    return;
  }
  for (int64_t i = 0; i < pixels; ++i, to += to_stride, from += from_stride) {
    for (int64_t c = 0; c < channels; ++c) to[c] = from[c];
  }
}

template <bool Scaled>
ATROUS_MULTIVERSION void transform_pixels(float* to, int64_t to_stride, const float* from,
                                          int64_t from_stride, int64_t pixels, int64_t channels, Prologue p) {
  const float floor = p.relu ? 0.0f : -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < pixels; ++i, to += to_stride, from += from_stride) {
    for (int64_t c = 0; c < channels; ++c) {
      const float v = Scaled ? p.scale[c] * from[c] + p.bias[c] : from[c];
      to[c] = v < floor ? floor : v;  // NaN passes
    }
  }
}

void zero_pixels(float* to, int64_t stride, int64_t pixels, int64_t channels) {
  if (stride == channels) {
    std::fill_n(to, pixels * channels, 0.0f);
    return;
  }
  for (int64_t i = 0; i < pixels; ++i) std::fill_n(to + i * stride, channels, 0.0f);
}

}  // namespace

PaddedRows::PaddedRows(const Grid& grid, const Prologue& prologue, int64_t channels, int64_t pixel_stride,
                       int64_t window)
    : grid_(grid),
      prologue_(prologue),
      channels_(channels),
      pixel_stride_(pixel_stride),
      held_(static_cast<size_t>(std::min(window, grid.h)), -1) {}

void PaddedRows::select(int64_t image, int64_t first_column, int64_t columns) {
  if (image == image_ && first_column == first_column_ && columns == columns_) return;
  image_ = image;
  first_column_ = first_column;
  columns_ = columns;
  std::fill(held_.begin(), held_.end(), -1);
  const int64_t floats = static_cast<int64_t>(held_.size()) * columns * pixel_stride_ + slack;
  if (floats > buffer_floats_) {
    buffer_ = FloatBuffer(floats);
    buffer_floats_ = floats;
  }
}

const float* PaddedRows::row(int64_t h) {
  if (h < 0 || h >= grid_.h) return nullptr;
  const int64_t slot = h % static_cast<int64_t>(held_.size());
  float* copy = buffer_.data() + slot * columns_ * pixel_stride_;
  if (held_[static_cast<size_t>(slot)] != h) {
    fill(copy, grid_.row(image_, h));
    held_[static_cast<size_t>(slot)] = h;
  }
  return copy;
}

void PaddedRows::fill(float* to, const float* from) const {
  // Columns [begin, end) of the copy exist in the image.
  const int64_t begin = std::clamp<int64_t>(-first_column_, 0, columns_);
  const int64_t end = std::clamp<int64_t>(grid_.w - first_column_, begin, columns_);
  zero_pixels(to, pixel_stride_, begin, channels_);
  zero_pixels(to + end * pixel_stride_, pixel_stride_, columns_ - end, channels_);
  to += begin * pixel_stride_;
  from += (first_column_ + begin) * grid_.pixel_stride;
  const int64_t pixels = end - begin;
  if (prologue_.scale) {
    transform_pixels<true>(to, pixel_stride_, from, grid_.pixel_stride, pixels, channels_, prologue_);
  } else if (prologue_.relu) {
    transform_pixels<false>(to, pixel_stride_, from, grid_.pixel_stride, pixels, channels_, prologue_);
  } else {
    copy_pixels(to, pixel_stride_, from, grid_.pixel_stride, pixels, channels_);
  }
}

}  // namespace atrous::kernels
