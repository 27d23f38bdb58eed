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

void PaddedRows::restart(int64_t image, int64_t first_row, int64_t row_range, int64_t capacity,
                         int64_t first_column, int64_t columns) {
  image_ = image;
  first_row_ = first_row;
  first_column_ = first_column;
  columns_ = columns;
  row_floats_ = columns * pixel_stride_;
  used_ = 0;
  capacity_ = std::min(capacity, row_range);
  copies_.assign(static_cast<size_t>(row_range), nullptr);
  const int64_t floats = capacity_ * row_floats_ + slack;
  if (floats > buffer_floats_) {
    buffer_ = FloatBuffer(floats);
    buffer_floats_ = floats;
  }
}

const float* PaddedRows::row(int64_t h) {
  if (h < 0 || h >= grid_.h) return nullptr;
  const float*& copy = copies_[static_cast<size_t>(h - first_row_)];
  if (!copy) {
    ATROUS_ASSERT(used_ < capacity_);
    float* to = buffer_.data() + used_++ * row_floats_;
    fill(to, grid_.row(image_, h));
    copy = to;
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
