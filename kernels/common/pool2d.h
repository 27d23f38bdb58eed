// Geometry that max and average pooling share.
//
// Output o of an axis reads input o*stride - padding + t*dilation for t in [0, kernel). Its extent is
//
//   out = floor_or_ceil((in + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1
//
// and in ceil mode the last window must start inside the input or its left padding, as in PyTorch: else it is
// dropped.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/tensor.h"
#include "kernels/common/divide.h"

namespace atrous::kernels {

struct Pool2dOptions {
  int64_t kernel_h = 2, kernel_w = 2;
  int64_t stride_h = 2, stride_w = 2;
  int64_t pad_h = 0, pad_w = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  bool ceil_mode = false;

  static Pool2dOptions square(int64_t kernel, int64_t stride, int64_t pad = 0, bool ceil_mode = false) {
    return {kernel, kernel, stride, stride, pad, pad, 1, 1, ceil_mode};
  }
};

struct Pool2dProblem {
  int64_t batch = 0, height = 0, width = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  Pool2dOptions options;
  DType dtype = DType::f32;

  Shape input_shape() const { return {batch, height, width, channels}; }
  Shape output_shape() const { return {batch, out_height, out_width, channels}; }
  // "n2 h8 w8 c16 k2x2 s2x2 p0x0 d1x1 f32"; "ceil" is appended where it is on.
  std::string str() const;
};

// Checks input and options and computes the output extents. `where` names the op in messages. Throws
// Error(usage).
Pool2dProblem pool2d_problem(const char* where, const Shape& input, DType dtype,
                             const Pool2dOptions& options);

// Those parts of the check that pooling without fixed windows shares.
void check_pool_input(const char* where, const Shape& input, DType dtype);
// Throws Error(usage) unless `t` is defined with this shape and type; `name` says which argument it is.
void check_tensor(const char* where, const char* name, const Tensor& t, const Shape& shape, DType dtype);
// The output of an op: `out`, checked and marked as changed, or a new tensor like `x`.
Tensor pool_target(const char* where, Tensor out, const Shape& shape, const Tensor& x);

// The taps [begin, end) of a window that starts at input position `start` and hit [0, extent).
struct TapRange {
  int64_t begin, end;
};
ATROUS_HD inline TapRange taps_inside(int64_t start, int64_t extent, int64_t kernel, int64_t dilation) {
  const int64_t before = start < 0 ? (-start + dilation - 1) / dilation : 0;
  const int64_t inside = start < extent ? (extent - start + dilation - 1) / dilation : 0;
  const int64_t begin = before < kernel ? before : kernel;
  const int64_t end = inside < kernel ? inside : kernel;
  return {begin, end > begin ? end : begin};
}

// The outputs [begin, end) of one axis whose window covers input position `at`, before the test for dilation.
ATROUS_HD inline TapRange windows_over(int64_t at, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                                       int64_t dilation) {
  const int64_t after_first = at + pad - dilation * (kernel - 1);
  const int64_t last = divide(at + pad, stride).quotient + 1;
  return {after_first <= 0 ? 0 : divide(after_first + stride - 1, stride).quotient, last < out ? last : out};
}

// Rows per parallel chunk for rows of `elements`: about 32k elements, so that a chunk outweighs its
// scheduling. Depends on the shape alone, never on the number of threads.
inline int64_t rows_per_chunk(int64_t elements) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, elements));
}

}  // namespace atrous::kernels
