// RoIPool in f32 on the CPU.
//
// forward: one task per few regions; the maximum of a bin is taken for all channels at once.
// backward: an argmax may be anywhere in its bin, so tasks divide images and blocks of channels instead of
// pixels. Each goes through the regions in order.
#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/roi_align/roi_align_math.h"
#include "kernels/roi_pool/roi_pool_impl.h"
#include "kernels/roi_pool/roi_pool_math.h"

namespace atrous::kernels::roi_pool_impl {
namespace {

// The pixel is the first of its bin, or is compared with the best so far.
ATROUS_MULTIVERSION void take_larger(int64_t n, const float* __restrict x, bool first,
                                     float* __restrict best) {
  if (first) {
    for (int64_t i = 0; i < n; ++i) best[i] = x[i];
  } else {
    for (int64_t i = 0; i < n; ++i) best[i] = ((x[i] > best[i]) | (x[i] != x[i])) ? x[i] : best[i];
  }
}

ATROUS_MULTIVERSION void take_larger_indexed(int64_t n, const float* __restrict x, bool first,
                                             int32_t position, float* __restrict best,
                                             int32_t* __restrict index) {
  if (first) {
    for (int64_t i = 0; i < n; ++i) best[i] = x[i];
    for (int64_t i = 0; i < n; ++i) index[i] = position;
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const bool wins = (x[i] > best[i]) | (x[i] != x[i]);
      index[i] = wins ? position : index[i];
      best[i] = wins ? x[i] : best[i];
    }
  }
}

}  // namespace

void forward_bins(const RoiPoolProblem& p, const Tensor& x, const Tensor& rois, const Tensor& y,
                  const Tensor& argmax) {
  const int64_t c = p.channels, xs = x.pixel_stride(), bins = p.out_height * p.out_width;
  parallel_for(p.rois, 4, [&](int64_t begin, int64_t end) {
    for (int64_t bin = begin * bins; bin < end * bins; ++bin) {
      const float* roi = rois.data<float>() + 5 * (bin / bins);
      const int64_t image = roi_image(roi[0], p.images);
      RoiPoolBin rows = roi_pool_bin(roi_pool_axis(roi[2], roi[4], p.scale, p.out_height),
                                     bin % bins / p.out_width, p.height);
      const RoiPoolBin columns =
          roi_pool_bin(roi_pool_axis(roi[1], roi[3], p.scale, p.out_width), bin % p.out_width, p.width);
      if (image < 0) rows = {0, 0};
      float* best = y.data<float>() + bin * c;
      int32_t* index = argmax.defined() ? argmax.data<int32_t>() + bin * c : nullptr;
      if (rows.begin >= rows.end || columns.begin >= columns.end) {
        std::fill_n(best, c, 0.0f);
        if (index) std::fill_n(index, c, -1);
        continue;
      }
      for (int64_t h = rows.begin; h < rows.end; ++h) {
        for (int64_t w = columns.begin; w < columns.end; ++w) {
          const int64_t position = h * p.width + w;
          const float* pixel = x.data<float>() + (image * p.height * p.width + position) * xs;
          const bool first = h == rows.begin && w == columns.begin;
          if (index)
            take_larger_indexed(c, pixel, first, static_cast<int32_t>(position), best, index);
          else
            take_larger(c, pixel, first, best);
        }
      }
    }
  });
}

void backward_channels(const RoiPoolProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& argmax,
                       const Tensor& dx) {
  constexpr int64_t block = 16;  // a cache line
  const int64_t c = p.channels, blocks = (c + block - 1) / block, bins = p.out_height * p.out_width;
  const int64_t pixels = p.height * p.width;
  parallel_for(p.images * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / blocks, first = task % blocks * block, count = std::min(block, c - first);
      float* to = dx.data<float>() + image * pixels * c + first;
      for (int64_t i = 0; i < pixels; ++i) std::fill_n(to + i * c, count, 0.0f);
      for (int64_t r = 0; r < p.rois; ++r) {
        if (roi_image(rois.data<float>()[5 * r], p.images) != image) continue;
        for (int64_t bin = r * bins; bin < (r + 1) * bins; ++bin) {
          const float* from = dy.data<float>() + bin * dy.pixel_stride() + first;
          const int32_t* index = argmax.data<int32_t>() + bin * c + first;
          for (int64_t k = 0; k < count; ++k) {
            if (index[k] >= 0) to[index[k] * c + k] += from[k];
          }
        }
      }
    }
  });
}

}  // namespace atrous::kernels::roi_pool_impl
