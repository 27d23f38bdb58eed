// Implementations of resize_cross_entropy; resize_cross_entropy.cpp lists them.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/resize/resize_math.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy.h"

namespace atrous::kernels::resize_cross_entropy_impl {

using Fn = void(const ResizeCrossEntropyProblem&, const Tensor& logits, const Tensor& labels,
                const CrossEntropyResult& out);
Fn run_ref, run_portable, run_avx2, run_avx512;
ATROUS_DECLARE_ON_GPU(Fn run_gather, run_tiled;)

// How a block of run_tiled works: on size x size samples of logits, `slots` output pixels at a time. The
// shape of the problem alone decides, so that results are bit-identical on every GPU.
struct Tile {
  int size = 8;
  int slots = 128;
  size_t shared_bytes = 0;
};
constexpr size_t most_shared = 96 << 10;  // available on every GPU since sm_80
constexpr Tile tile_of(int64_t classes) {
  Tile t;
  t.slots = classes <= 64 ? 128 : 64;
  for (;; t.size /= 2) {
    const int64_t samples = (t.size + 2) * (t.size + 2), sums = t.size * t.size;
    t.shared_bytes =
        static_cast<size_t>((samples + sums) * classes + t.slots * (classes | 1)) * sizeof(float);
    if (t.shared_bytes <= most_shared || t.size == 1) return t;
  }
}

// Some consecutive rows of low-resolution logits of one image and all output rows whose upper tap is one of
// them.
struct BandRun {
  const float* logits;  // of the image
  int64_t stride;       // floats between its pixels
  int64_t in_h, in_w, out_w, classes;
  int64_t begin, end;  // the band's rows of logits
  const int64_t*
      first_output;  // in_h + 1: the output rows with upper tap r are [first_output[r], first_output[r + 1])
  const ResizeTap* rows;     // of each output row
  const ResizeTap* columns;  // of each output column
  const int32_t* labels;     // of the image
  int32_t ignore_index;
  const float* class_weights;  // or null
  const float* pixel_weights;  // of the image, or null
  float scale;
  float gamma;
  float* gradient;      // of the image, dense pixels, or null; rows [begin, end) are written
  float* halo;          // the band's contribution to row `end` of the gradient, if there is one
  float* pixel_losses;  // of the image, or null
  float* scratch;       // 64-byte aligned, scratch_rows * in_w * (classes rounded up to the vector length)
};
constexpr int64_t scratch_rows = 6;

// Each returns the sum of the losses of the band's output pixels.
using BandFn = double(const BandRun&);
BandFn band_portable, band_avx2, band_avx512;

}  // namespace atrous::kernels::resize_cross_entropy_impl
