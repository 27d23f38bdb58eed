// Input rows in the form that tiles read: zero-padded at both ends, with the prologue applied, channels of
// one block.
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
  // Channels [0, channels) of `grid`, pixels `pixel_stride` apart in the copies. `window` consecutive rows
  // are kept.
  PaddedRows(const Grid& grid, const Prologue& prologue, int64_t channels, int64_t pixel_stride,
             int64_t window);

  // Chooses the image and the columns [first_column, first_column + columns), which may lie outside of it.
  // Copies are kept if nothing changes.
  void select(int64_t image, int64_t first_column, int64_t columns);

  // The copy of row h, from first_column on; null for a row outside the image. It stays until row h +- window
  // is asked for. One vector may be read past its end.
  const float* row(int64_t h);

 private:
  void fill(float* to, const float* from) const;

  Grid grid_;
  Prologue prologue_;
  int64_t channels_, pixel_stride_;
  int64_t image_ = -1, first_column_ = 0, columns_ = 0;
  std::vector<int64_t> held_;  // by h % window: the row whose copy is there, or -1
  FloatBuffer buffer_;
  int64_t buffer_floats_ = 0;
};

}  // namespace atrous::kernels
