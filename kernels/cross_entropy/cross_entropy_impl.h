// Implementations of cross_entropy; cross_entropy.cpp lists them.
#pragma once

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels::cross_entropy_impl {

using Fn = void(const CrossEntropyProblem&, const Tensor& logits, const Tensor& labels,
                const CrossEntropyResult& out);
Fn run_ref;
Fn run_portable;
Fn run_avx2;
Fn run_avx512;
ATROUS_DECLARE_ON_GPU(Fn run_naive, run_warp, run_registers, run_staged;)
// Most classes of the last two.
constexpr int64_t most_in_registers = 32, most_staged = 95;

// A run of consecutive pixels: the work of the per-instruction-set files. Plain pointers, since those files
// must not instantiate code that others share.
struct PixelRun {
  const float* logits;
  int64_t stride;  // floats between pixels of logits
  int64_t classes;
  const int32_t* labels;
  int64_t count;
  int32_t ignore_index;
  const float* class_weights;  // or null
  const float* pixel_weights;  // or null
  float scale;
  float gamma;
  float smoothing;       // label smoothing
  float sum_of_weights;  // of the classes; only with label smoothing
  float* gradient;       // dense pixels, or null
  float* pixel_losses;   // or null
};

// Each returns the sum of l_p over the run.
using RunFn = double(const PixelRun&);
RunFn pixels_portable;
RunFn pixels_avx2;
RunFn pixels_avx512;

// Most vectors of logits per pixel that these take.
constexpr int64_t most_vectors = 64;

}  // namespace atrous::kernels::cross_entropy_impl
