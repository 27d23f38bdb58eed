// Input rows as the tiles want them: zero-padded at both ends, with the prologue applied, channels of one
// block.
//
// A tile walks over pixels at a constant distance. Copying a row costs about as much as one multiplication
// per value, against R*S*K/16 of them in the convolution, so there is no special code for borders anywhere
// else.
#pragma once

#include <memory>
#include <vector>

#include "core/allocator.h"

namespace atrous::kernels {

// Uninitialised floats from the caching allocator.
class FloatBuffer {
 public:
  FloatBuffer() = default;
  explicit FloatBuffer(int64_t count) : memory_(allocate(static_cast<size_t>(count) * sizeof(float))) {}
  float* data() const { return reinterpret_cast<float*>(memory_.get()); }

 private:
  std::shared_ptr<std::byte> memory_;
};

// A view of activations; `data` may point at a block of channels.
struct Grid {
  const float* data = nullptr;
  int64_t h = 0, w = 0;
  int64_t pixel_stride = 0;

  const float* row(int64_t image, int64_t h_index) const {
    return data + (image * h + h_index) * w * pixel_stride;
  }
};

// x' = relu?(scale[c]*x + bias[c]); scale may be null.
struct Prologue {
  const float* scale = nullptr;
  const float* bias = nullptr;
  bool relu = false;
};

class PaddedRows {
 public:
  // Channels [0, channels) of `grid`, pixels `pixel_stride` apart in the copy.
  PaddedRows(const Grid& grid, const Prologue& prologue, int64_t channels, int64_t pixel_stride)
      : grid_(grid), prologue_(prologue), channels_(channels), pixel_stride_(pixel_stride) {}

  // Forgets all rows. The next calls of row() ask for at most `capacity` different rows of `image`, all in
  // [first_row, first_row + row_range), and use columns [first_column, first_column + columns); rows and
  // columns may lie outside the image.
  void restart(int64_t image, int64_t first_row, int64_t row_range, int64_t capacity, int64_t first_column,
               int64_t columns);

  // The copy of a row, from first_column on; null for a row outside the image. One vector may be read past
  // its end.
  const float* row(int64_t h);

 private:
  void fill(float* to, const float* from) const;

  Grid grid_;
  Prologue prologue_;
  int64_t channels_, pixel_stride_;
  int64_t image_ = 0, first_row_ = 0, first_column_ = 0, columns_ = 0, row_floats_ = 0;
  int64_t used_ = 0, capacity_ = 0;
  std::vector<const float*> copies_;  // by row - first_row; null until asked for
  FloatBuffer buffer_;
  int64_t buffer_floats_ = 0;
};

}  // namespace atrous::kernels
