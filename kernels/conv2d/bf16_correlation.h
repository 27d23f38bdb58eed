// The driver of the forward pass and the input gradient with bf16 factors: correlations of one grid of pixels
// with several sets of taps.
//
//   y[n, p, q, k] = bias[k] + sum_{taps t, c} x[n, p*step_h + t.h, q*step_w + t.w, c] * weights[t][c][k]
//
// The forward pass is one such correlation, the input gradient of stride s*t has s*t of them ("phases"), each
// writing every s-th row and t-th column; phases share the rounded copy of their input.
#pragma once

#include <string>
#include <vector>

#include "kernels/conv2d/bf16_tiles.h"
#include "kernels/conv2d/correlation.h"

namespace atrous::kernels {

struct Bf16Phase {
  std::vector<Tap> taps;  // none: y is the bias
  int64_t rows = 1, columns = 1;
  float* y = nullptr;
};

struct Bf16Correlation {
  int64_t images = 1;
  Grid x;
  int64_t c = 1;
  Prologue prologue;
  int64_t step_h = 1, step_w = 1;
  FilterView filter{};

  std::vector<Bf16Phase> phases;
  int64_t k = 1;                                 // output channels
  int64_t y_image = 0, y_row = 0, y_column = 0;  // floats between neighbours of a phase
  const float* bias = nullptr;

  // As in Correlation; with one phase only.
  double* sums = nullptr;
  int64_t sums_stride = 0;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  bool relu = false;

  KeptFilters* kept = nullptr;  // of the filter, whose packed form is called kept_name there
  std::string kept_name;
};

void correlate_bf16(const Bf16Correlation& problem, const Bf16Kernels& kernels);

}  // namespace atrous::kernels
