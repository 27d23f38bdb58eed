// f32 tensors to the blocks of bf16_tiles.h and back. Rounding is to nearest, ties to even; what a block
// holds beyond its data is zero. Needs AVX512_BF16.
#pragma once

#include <cstdint>

#include "kernels/conv2d/rows.h"

namespace atrous::kernels {

// Uninitialised bf16 numbers.
class Bf16Buffer {
 public:
  Bf16Buffer() = default;
  explicit Bf16Buffer(int64_t count) : memory_((count + 1) / 2) {}
  explicit Bf16Buffer(const FloatBuffer& memory) : memory_(memory) {}
  uint16_t* data() const { return reinterpret_cast<uint16_t*>(memory_.data()); }

 private:
  FloatBuffer memory_;
};

// Pixels as rows of a: the prologue, `channels` numbers, zeros up to `width`.
void pixels_to_bf16(const float* from, int64_t from_stride, int64_t pixels, int64_t channels,
                    const Prologue& prologue, uint16_t* to, int64_t to_stride, int64_t width);

// One block of b from rows of f32, `stride` apart. Columns first: row i holds `count` elements of column i's
// reduction. Reduction first: row i holds element i of the reduction for `columns` columns.
void block_of_columns(const float* from, int64_t stride, int64_t columns, int64_t count, uint16_t* to);
void block_of_reduction(const float* from, int64_t stride, int64_t count, int64_t columns, uint16_t* to);

// 16 rows of a, to_stride apart, of 32 elements: the transpose of f32 rows i in [first, last) of 32,
// `columns` numbers each. `from` is where row 0 would lie.
void rows_transposed(const float* from, int64_t stride, int64_t first, int64_t last, int64_t columns,
                     uint16_t* to, int64_t to_stride);

// to[j*to_stride + i] = from[i*from_stride + j] for i < rows, j < columns, both up to 16.
void transpose_f32(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                   int64_t to_stride);

// The destination of rows of results, and the fused operations before they are written: see Conv2dFusion.
// Null pointers switch a part off.
struct Bf16Output {
  float* y;
  int64_t y_stride;
  const float* residual;
  int64_t residual_stride;
  bool relu;
  double* sums;     // of the values before the residual, added to
  double* squares;  // of the same
};
void write_rows(const float* from, int64_t from_stride, int64_t rows, int64_t channels,
                const Bf16Output& output);

}  // namespace atrous::kernels
