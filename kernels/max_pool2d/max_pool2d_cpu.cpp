// Max pooling with the channels in vector registers: every inner loop runs over the dense last axis.
//
// The backward pass gathers: each input pixel checks the few windows that cover it for its own index. Every
// element is then written once, by one thread, in a fixed order, and for 2x2 stride 2 it is a plain select
// per element.
#include <cstring>
#include <limits>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/max_pool2d/max_pool2d_impl.h"

namespace atrous::kernels {
namespace {

inline bool wins(float v, float best) {
  return (v > best) | (v != v);
}
inline float larger(float best, float v) {
  return wins(v, best) ? v : best;
}

// y[c] = max of four pixels: the 2x2 window without a trip through memory between taps.
ATROUS_MULTIVERSION void max_of_four(int64_t n, const float* __restrict a, const float* __restrict b,
                                     const float* __restrict c, const float* __restrict d,
                                     float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = larger(larger(larger(a[i], b[i]), c[i]), d[i]);
}

ATROUS_MULTIVERSION void max_of_four_indexed(int64_t n, const float* __restrict a, const float* __restrict b,
                                             const float* __restrict c, const float* __restrict d,
                                             const int32_t* position, float* __restrict y,
                                             int32_t* __restrict index) {
  const int32_t pa = position[0], pb = position[1], pc = position[2], pd = position[3];
  for (int64_t i = 0; i < n; ++i) {
    float best = a[i];
    int32_t where = pa;
    where = wins(b[i], best) ? pb : where;
    best = larger(best, b[i]);
    where = wins(c[i], best) ? pc : where;
    best = larger(best, c[i]);
    where = wins(d[i], best) ? pd : where;
    y[i] = larger(best, d[i]);
    index[i] = where;
  }
}

ATROUS_MULTIVERSION void take_larger(int64_t n, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = larger(y[i], x[i]);
}

ATROUS_MULTIVERSION void take_larger_indexed(int64_t n, const float* __restrict x, int32_t position,
                                             float* __restrict y, int32_t* __restrict index) {
  for (int64_t i = 0; i < n; ++i) {
    index[i] = wins(x[i], y[i]) ? position : index[i];
    y[i] = larger(y[i], x[i]);
  }
}

// dx[c] (+)= dy[c] where this pixel is the maximum.
ATROUS_MULTIVERSION void select_gradient(int64_t n, const float* __restrict dy,
                                         const int32_t* __restrict index, int32_t position, bool first,
                                         float* __restrict dx) {
  if (first) {
    for (int64_t i = 0; i < n; ++i) dx[i] = index[i] == position ? dy[i] : 0.f;
  } else {
    for (int64_t i = 0; i < n; ++i) dx[i] += index[i] == position ? dy[i] : 0.f;
  }
}

// One output pixel of a window with the valid taps rows x cols.
void pool_pixel(const Pool2dProblem& p, const float* image, int64_t xs, int64_t top, int64_t left,
                TapRange rows, TapRange cols, float* y, int32_t* index) {
  const Pool2dOptions& o = p.options;
  const int64_t c = p.channels;
  auto position = [&](int64_t r, int64_t s) {
    return (top + r * o.dilation_h) * p.width + left + s * o.dilation_w;
  };
  if (rows.end - rows.begin == 2 && cols.end - cols.begin == 2) {
    const int64_t at[4] = {position(rows.begin, cols.begin), position(rows.begin, cols.begin + 1),
                           position(rows.begin + 1, cols.begin), position(rows.begin + 1, cols.begin + 1)};
    if (!index) {
      max_of_four(c, image + at[0] * xs, image + at[1] * xs, image + at[2] * xs, image + at[3] * xs, y);
    } else {
      const int32_t at32[4] = {static_cast<int32_t>(at[0]), static_cast<int32_t>(at[1]),
                               static_cast<int32_t>(at[2]), static_cast<int32_t>(at[3])};
      max_of_four_indexed(c, image + at[0] * xs, image + at[1] * xs, image + at[2] * xs, image + at[3] * xs,
                          at32, y, index);
    }
    return;
  }
  bool first = true;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    for (int64_t s = cols.begin; s < cols.end; ++s) {
      const int64_t at = position(r, s);
      const float* x = image + at * xs;
      if (first) {
        std::memcpy(y, x, static_cast<size_t>(c) * sizeof(float));
        if (index) std::fill_n(index, c, static_cast<int32_t>(at));
        first = false;
      } else if (index) {
        take_larger_indexed(c, x, static_cast<int32_t>(at), y, index);
      } else {
        take_larger(c, x, y);
      }
    }
  }
  if (first) {  // a dilated window that steps over the image
    std::fill_n(y, c, -std::numeric_limits<float>::infinity());
    if (index) std::fill_n(index, c, -1);
  }
}

}  // namespace

void max_pool2d_forward_rows(const Pool2dProblem& p, const Tensor& x, const Tensor& y,
                             const Tensor& indices) {
  const Pool2dOptions& o = p.options;
  const int64_t xs = x.pixel_stride(), ys = y.pixel_stride();
  const int64_t is = indices.defined() ? indices.pixel_stride() : 0;
  parallel_for(p.batch * p.out_height, rows_per_chunk(p.out_width * p.channels),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const float* image = x.data<float>() + row / p.out_height * p.height * p.width * xs;
                   const int64_t top = row % p.out_height * o.stride_h - o.pad_h;
                   const TapRange rows = taps_inside(top, p.height, o.kernel_h, o.dilation_h);
                   for (int64_t ow = 0; ow < p.out_width; ++ow) {
                     const int64_t left = ow * o.stride_w - o.pad_w;
                     const TapRange cols = taps_inside(left, p.width, o.kernel_w, o.dilation_w);
                     const int64_t out = row * p.out_width + ow;
                     pool_pixel(p, image, xs, top, left, rows, cols, y.data<float>() + out * ys,
                                is ? indices.data<int32_t>() + out * is : nullptr);
                   }
                 }
               });
}

void max_pool2d_backward_gather(const Pool2dProblem& p, const Tensor& dy, const Tensor& indices,
                                const Tensor& dx) {
  const Pool2dOptions& o = p.options;
  const int64_t ys = dy.pixel_stride(), is = indices.pixel_stride(), xs = dx.pixel_stride();
  parallel_for(p.batch * p.height, rows_per_chunk(p.width * p.channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t h = row % p.height, first_out_row = row / p.height * p.out_height;
      const TapRange rows = windows_over(h, p.out_height, o.kernel_h, o.stride_h, o.pad_h, o.dilation_h);
      for (int64_t w = 0; w < p.width; ++w) {
        const TapRange cols = windows_over(w, p.out_width, o.kernel_w, o.stride_w, o.pad_w, o.dilation_w);
        const auto position = static_cast<int32_t>(h * p.width + w);
        float* target = dx.data<float>() + (row * p.width + w) * xs;
        bool first = true;
        for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
          for (int64_t ow = cols.begin; ow < cols.end; ++ow) {
            const int64_t out = (first_out_row + oh) * p.out_width + ow;
            select_gradient(p.channels, dy.data<float>() + out * ys, indices.data<int32_t>() + out * is,
                            position, first, target);
            first = false;
          }
        }
        if (first) std::fill_n(target, p.channels, 0.f);
      }
    }
  });
}

void max_unpool2d_forward_blocks(const MaxUnpool2dProblem& p, const Tensor& x, const Tensor& indices,
                                 const Tensor& y) {
  // Indices may point anywhere in the image, so threads split images and blocks of channels (one cache line
  // each).
  constexpr int64_t block = 16;
  const int64_t channels = p.full[3], blocks = (channels + block - 1) / block;
  const int64_t pixels = p.full[1] * p.full[2], pooled = p.pooled[1] * p.pooled[2];
  const int64_t xs = x.pixel_stride(), is = indices.pixel_stride(), ys = y.pixel_stride();
  parallel_for(p.full[0] * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t n = job / blocks, c0 = job % blocks * block, count = std::min(block, channels - c0);
      float* image = y.data<float>() + n * pixels * ys + c0;
      for (int64_t i = 0; i < pixels; ++i) std::fill_n(image + i * ys, count, 0.f);
      for (int64_t i = n * pooled; i < (n + 1) * pooled; ++i) {
        const float* value = x.data<float>() + i * xs + c0;
        const int32_t* index = indices.data<int32_t>() + i * is + c0;
        for (int64_t c = 0; c < count; ++c) image[index[c] * ys + c] = value[c];
      }
    }
  });
}

void max_unpool2d_backward_rows(const MaxUnpool2dProblem& p, const Tensor& dy, const Tensor& indices,
                                const Tensor& dx) {
  const int64_t pixels = p.full[1] * p.full[2], pooled = p.pooled[1] * p.pooled[2], channels = p.full[3];
  const int64_t ys = dy.pixel_stride(), is = indices.pixel_stride(), xs = dx.pixel_stride();
  parallel_for(p.pooled[0] * pooled, rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* image = dy.data<float>() + i / pooled * pixels * ys;
      const int32_t* index = indices.data<int32_t>() + i * is;
      for (int64_t c = 0; c < channels; ++c) dx.data<float>()[i * xs + c] = image[index[c] * ys + c];
    }
  });
}

}  // namespace atrous::kernels
