// The forward pass and the input gradient as correlations of a grid of pixels with lists of taps:
//
//   y[n, p, q, k] = bias[k] + sum_{taps t, c} x[n, p*step_h + t.h, q*step_w + t.w, c] * weights[t][c][k]
//
// The forward pass has taps (r*dilation - pad, ...). The input gradient of stride 1 has the taps (pad -
// r*dilation, ...) and the transposed filter; of stride s*t it falls into s*t such correlations ("phases"),
// each writing every s-th row and t-th column.
//
// A shape is all that plans depend on (correlation.h with f32 factors, bf16_correlation.h with bf16);
// operands differ from group to group.
#pragma once

#include <string>
#include <vector>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/kept_filters.h"
#include "kernels/conv2d/pack.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/taps.h"

namespace atrous::kernels {

// Outputs (p, q) for p < rows, q < columns; they begin `offset` floats behind y.
struct Phase {
  int64_t rows = 1, columns = 1, offset = 0;
  std::vector<Tap> taps;  // any order; without any, outputs are the bias
};

struct CorrelationShape {
  int64_t images = 1, h = 1, w = 1, c = 1;  // of x, the channels of one group; images is not 0
  int64_t x_column = 1;                     // floats between pixels of x, whose rows and images are dense
  bool has_prologue = false;
  int64_t step_h = 1, step_w = 1;
  std::vector<Phase> phases;
  int64_t k = 1;                                 // output channels
  bool k_dense = false;                          // whether they are neighbours in the filter
  int64_t y_image = 0, y_row = 0, y_column = 0;  // floats between neighbours of a phase

  int64_t rows() const;  // of the largest phase
  int64_t columns() const;
  std::vector<Tap> taps() const;  // of all phases, one after the other
};

struct CorrelationOperands {
  const float* x = nullptr;
  Prologue prologue;
  FilterView filter{};
  // Where the packed filter is, or goes, under this name. Null: packed for this call.
  KeptFilters* kept = nullptr;
  std::string kept_name;
  const float* bias = nullptr;
  float* y = nullptr;

  // After the sums, in this order; see Conv2dFusion. With one phase only.
  double* sums = nullptr;  // [k] sums, then [k] sums of squares sums_stride later
  int64_t sums_stride = 0;
  const float* residual = nullptr;  // dense rows and images
  int64_t residual_stride = 0;      // between pixels
  bool relu = false;
};

// Floats between pixels.
struct PixelStrides {
  int64_t x, w, y;
};
CorrelationShape forward_shape(const Conv2dProblem& p, const PixelStrides& strides, bool has_prologue);
// Its x is dy, its y is dx: strides.x are of dx.
CorrelationShape backward_input_shape(const Conv2dProblem& p, const PixelStrides& strides);

// Of one group. `form` names what is packed; the group's number is added to it.
CorrelationOperands forward_operands(const Conv2dProblem& p, int64_t group, const Tensor& x, const Tensor& w,
                                     const Conv2dFusion& f, const Tensor& y, const std::string& form);
CorrelationOperands backward_input_operands(const Conv2dProblem& p, int64_t group, const Tensor& dy,
                                            const Tensor& w, const Tensor& bias, const Tensor& dx);

// For plans: sorts taps by row, then by column.
void sort_taps(CorrelationShape& shape);
// For plans: makes all pixels of all images one row, so that tiles are always full, if the taps see no rows.
void join_images(CorrelationShape& shape);

// For runs: `lanes` floats, the bias of k channels and zeros, or zeros alone.
FloatBuffer padded_bias(const float* bias, int64_t k, int64_t lanes);
// For runs: sums of channels from those of tasks, [task][2][k], in task order: bit-identical for any
// number of threads.
void combine_sums(const std::vector<double>& partial, int64_t tasks, int64_t k,
                  const CorrelationOperands& operands);

}  // namespace atrous::kernels
