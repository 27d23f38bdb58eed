// The implementations behind gaussian_filter.h; arguments are checked already.
#pragma once

#include "kernels/gaussian_filter/gaussian_filter.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels::gaussian_filter_impl {

// before and after are contiguous or undefined, y is contiguous, nothing is empty.
using FilterFn = void(const GaussianFilterProblem&, const Tensor& x, const Tensor& before,
                      const Tensor& after, const Tensor& y);
FilterFn filter_ref, filter_portable, filter_avx2, filter_avx512;
ATROUS_DECLARE_ON_GPU(FilterFn filter_naive;)

// For the per-instruction-set files: rows of floats, and rows of pixels.
struct Taps {
  const float* weight;  // at distance 0, 1, ..., radius, and 0 at radius + 1
  int64_t radius;
};
struct ColumnRun {
  const float* rows;
  int64_t pitch, ring;
  int64_t height;  // of the image
};
struct Runs {
  int64_t strip;  // rows are padded to a multiple of so many floats
  // Sums over columns for the rows h of [begin, end):  to(h)[i] = sum over rows j of weight[|j - h|] *
  // row(j)[i], i < pitch. row(j) begins at rows + j % ring * pitch, to(h) at to + (h - begin) * to_pitch.
  // pitch is a multiple of the strip.
  void (*columns)(const Taps&, const ColumnRun&, int64_t begin, int64_t end, float* to, int64_t to_pitch);
  // to[i] = sum over k in [-radius, radius] of weight[|k|] * from[i + k * step] for i < length.
  void (*row)(const Taps&, const float* from, int64_t step, float* to, int64_t length);
  // to[p, c] = factor[p] * from[p, c]; no factors: a copy.
  void (*scale)(const float* from, int64_t from_stride, const float* factor, float* to, int64_t pixels,
                int channels);
};
extern const Runs runs_portable, runs_avx2, runs_avx512;

}  // namespace atrous::kernels::gaussian_filter_impl
