// The rung "winograd_f4": 3x3 filters of stride 1 and rate 1 with 36 multiplications in place of 144.
//
// Channels turn the element-wise products of the algorithm into 36 matrix products over a block of tiles.
// Forward: one task takes a block through input transform, products and output transform, so that everything
// between stays in the second-level cache. The gradient of the input is the same convolution with the filter
// turned by 180 degrees. No size here depends on the number of threads. The gradient of the filter is in
// conv2d_winograd_weight.cpp.
//
// Accuracy: transformed values are rounded to f32, so results differ from the direct sums by 1e-6 to 8e-6 of
// the largest value (measured, 16 to 512 channels), and small integers do not come out exact.
// The config key `exact` avoids it.
#include <algorithm>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/winograd.h"

namespace atrous::kernels {
namespace {

using namespace winograd;

constexpr int64_t task_floats =
    300 * 1024;  // of a block's transformed tiles: about 60 % of a 2 MiB second-level cache
// u: per element, panels of 32 (the last one 16) output channels: [panel][c][channel in panel]. Elements are
// K*C + skew floats apart.
FloatBuffer transform_filter(const float* w, bool turned, int64_t k_count, int64_t c_count) {
  const int64_t u_stride = k_count * c_count + skew;
  FloatBuffer u(elements * u_stride);
  parallel_for(k_count / lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t panel = block / 2 * 2 * lanes;
      const int64_t width = std::min(2 * lanes, k_count - panel);
      transform_filter_avx512(w, turned, k_count, c_count, panel, width, block * lanes - panel,
                              u.data() + panel * c_count, u_stride);
    }
  });
  return u;
}

// Tiles per task: as many as fit the cache, but at least 8 tasks if the map allows.
int64_t tiles_per_task(int64_t tiles, int64_t channels) {
  int64_t blocks = std::clamp<int64_t>(task_floats / (elements * channels) / row_block, 1, 4);
  while (blocks > 1 && tiles < 8 * blocks * row_block) --blocks;
  return blocks * row_block;
}

// y = x (*) filter. sums: f64 [2][K] or null.
void convolve(int64_t images, const Map& x, int64_t pad_h, int64_t pad_w, const FloatBuffer& u,
              const ReadFusion& prologue, const WriteFusion& epilogue, const Map& y, double* sums) {
  const Tiling tiling(images, y.h, y.w);
  const int64_t tiles = tiling.count(), per_task = tiles_per_task(tiles, x.channels + y.channels);
  const int64_t tasks = (tiles + per_task - 1) / per_task;
  std::vector<double> partial(sums ? static_cast<size_t>(tasks * 2 * y.channels) : 0);
  parallel_for(tasks, 1, [&](int64_t begin, int64_t end) {
    const int64_t v_stride = per_task * x.channels + skew, m_stride = per_task * y.channels + skew;
    const FloatBuffer v(elements * v_stride), m(elements * m_stride);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task * per_task, count = std::min(per_task, tiles - first);
      for (int64_t t = 0; t < count; ++t) {
        transform_input_avx512(x, prologue, tiling.image(first + t), tiling.top(first + t) - pad_h,
                               tiling.left(first + t) - pad_w, v.data() + t * x.channels, v_stride);
      }
      // Whole register tiles: rows past `count` are computed from whatever is there and not used.
      const int64_t rows = (count + row_block - 1) / row_block * row_block;
      for (int64_t e = 0; e < elements; ++e) {
        for (int64_t k = 0; k < y.channels; k += 2 * lanes) {
          const int64_t width = std::min(2 * lanes, y.channels - k);
          for (int64_t t = 0; t < rows; t += row_block) {
            multiply_avx512(v.data() + e * v_stride + t * x.channels,
                            u.data() + e * (y.channels * x.channels + skew) + k * x.channels, x.channels,
                            width, m.data() + e * m_stride + t * y.channels + k, y.channels);
          }
        }
      }
      WriteFusion own = epilogue;
      own.sums = sums ? &partial[static_cast<size_t>(task * 2 * y.channels)] : nullptr;
      for (int64_t t = 0; t < count; ++t) {
        transform_output_avx512(m.data() + t * y.channels, m_stride, own, tiling.image(first + t),
                                tiling.top(first + t), tiling.left(first + t), y);
      }
    }
  });
  if (!sums) return;
  std::fill_n(sums, 2 * y.channels, 0.0);
  for (int64_t task = 0; task < tasks; ++task) {
    for (int64_t i = 0; i < 2 * y.channels; ++i) {
      sums[i] += partial[static_cast<size_t>(task * 2 * y.channels + i)];
    }
  }
}

const float* optional_data(const Tensor& t) {
  return t.defined() ? t.data<float>() : nullptr;
}

// The cost rule. Per pair of input and output channel the direct sums take 9 multiplications per output
// pixel, Winograd 36 per tile and a fixed price for the transformed filter, which is 4
// times as large as the filter, written and read once. In the time of one multiplication of either inner loop
// that price is about 1000 as long as the transformed filter stays in the second-level cache, and 1200 (in a
// loop over one layer) to 4000 (filter and buffers come from memory, as in a network) beyond. Measured on one
// core of a Sapphire Rapids Xeon, maps of 8x8 to 64x64, 64 to 512 channels, batch 1:
//
//   ms, from memory     forward            backward_input
//                       Winograd  direct   Winograd  direct
//    8x8   c512          12.1      4.5      12.9      4.7
//   15x20  c512          17.5     11.1      17.2     11.2
//   23x30  c512          20.9     21.6      24.0     22.9
//   16x16  c256           4.1      2.4       4.0      2.3
//   32x32  c256           5.6      7.5       6.4      7.9
//   16x16  c128           0.80     0.57      0.78     0.61
//   32x32  c128           1.3      1.7       1.4      2.0
bool winograd_is_faster(const Conv2dProblem& p) {
  constexpr int64_t cached_filter = 128 * 128;  // channel pairs: 2.4 MB transformed
  const int64_t fixed = p.c * p.k <= cached_filter ? 1000 : 3000;
  return elements * Tiling(p.n, p.p(), p.q()).count() + fixed < 9 * p.n * p.p() * p.q();
}

}  // namespace

const char* winograd::why_not_possible(const Conv2dProblem& p) {
  if (cpu_isa() < Isa::avx512) return "needs AVX-512";
  if (exact_sums()) return "exact sums are asked for";
  if (p.dtype != DType::f32) return "f32 only";
  if (p.r != 3 || p.s != 3) return "3x3 filters only";
  if (p.stride_h != 1 || p.stride_w != 1) return "stride 1 only";
  if (p.dilation_h != 1 || p.dilation_w != 1) return "rate 1 only";
  if (p.groups != 1) return "one group only";
  if (p.pad_h > 2 || p.pad_w > 2) return "padding above 2";
  if (p.c % lanes != 0 || p.k % lanes != 0) return "channels must be multiples of 16";
  if (p.c > 4096 || p.k > 4096) return "more than 4096 channels";
  return nullptr;
}

const char* conv2d_why_not_winograd(const Conv2dProblem& p) {
  if (const char* reason = why_not_possible(p)) return reason;
  return winograd_is_faster(p) ? nullptr : "so few pixels that direct sums are faster";
}
const char* conv2d_why_not_winograd_for_few_pixels(const Conv2dProblem& p) {
  if (const char* reason = why_not_possible(p)) return reason;
  return winograd_is_faster(p) ? "so many pixels that it stands first" : nullptr;
}

void conv2d_forward_winograd(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                             const Tensor& y) {
  const Tensor filter = w.contiguous_copy_if_needed();
  const FloatBuffer u = transform_filter(filter.data<float>(), false, p.k, p.c);
  const WriteFusion epilogue{optional_data(f.bias), nullptr, optional_data(f.residual),
                             f.residual.defined() ? f.residual.pixel_stride() : 0, f.relu};
  convolve(p.n, {x.data<float>(), p.h, p.w, p.c, x.pixel_stride()}, p.pad_h, p.pad_w, u,
           {optional_data(f.in_scale), optional_data(f.in_bias), f.in_relu}, epilogue,
           {y.data<float>(), p.p(), p.q(), p.k, y.pixel_stride()},
           f.channel_sums.defined() ? f.channel_sums.data<double>() : nullptr);
}

void conv2d_backward_input_winograd(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                    const Tensor& bias, const Tensor& dx) {
  const Tensor filter = w.contiguous_copy_if_needed();
  const FloatBuffer u = transform_filter(filter.data<float>(), true, p.c, p.k);
  convolve(p.n, {dy.data<float>(), p.p(), p.q(), p.k, dy.pixel_stride()}, 2 - p.pad_h, 2 - p.pad_w, u, {},
           {optional_data(bias), nullptr, nullptr, 0, false},
           {dx.data<float>(), p.h, p.w, p.c, dx.pixel_stride()}, nullptr);
}

}  // namespace atrous::kernels
