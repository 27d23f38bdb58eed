// The gradient of a filter in the domain of Winograd F(4x4, 3x3): see conv2d_winograd.cpp and winograd.h.
//
// A task takes a block of input and output channels and a range of tiles. Part after part of its range it
// transforms and multiplies into its own sums, which all stay in the second-level cache, and transforms those
// back at the end: nothing but x, dy and dw (a quarter of the transformed gradient) moves through memory.
// Tiles are transformed again for every block of the other side's channels, which costs little beside the
// 36*64*64 multiplications of a tile. Tasks and the order of all sums depend on the problem alone.
#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/tiles.h"
#include "kernels/conv2d/weight_gradient_tasks.h"
#include "kernels/conv2d/winograd.h"

namespace atrous::kernels {
namespace {

using namespace winograd;
constexpr int64_t largest_block = 64;  // channels: their sums take 590 KB
// Of each element, transformed tiles of x and dy together: 1.2 MB, beside the sums in a second-level cache of
// 2 MiB; those of one element, and its sums, in a first-level cache of 48 KiB.
constexpr int64_t part_floats = 8 * 1024;
constexpr int64_t wanted_tasks = 16;
constexpr int64_t fewest_tiles = 64;  // of a task: transforming its sums back costs as much as 3 tiles

// Channels of a block: all blocks nearly equal, whole vectors.
int64_t block_of(int64_t channels) {
  return ceil_div(channels / lanes, ceil_div(channels, largest_block)) * lanes;
}

class WinogradWeight {
 public:
  WinogradWeight(const Conv2dProblem& p, const Map& dy, const Map& x)
      : p_(p), dy_(dy), x_(x), tiling_(p.n, dy), tasks_{p.c, p.k, block_of(p.c), block_of(p.k), 1} {
    tasks_.splits =
        std::clamp<int64_t>(tiling_.count() / fewest_tiles, 1, ceil_div(wanted_tasks, tasks_.blocks()));
    part_ =
        std::min(part_floats / (tasks_.c_block + tasks_.k_block), ceil_div(tiling_.count(), tasks_.splits));
  }

  void run(float* dw) const {
    run_gradient_tasks(tasks_, p_.k * 9 * p_.c, dw,
                       [&](const GradientTasks::Task& task, float* to) { run_task(task, to); });
  }

 private:
  void run_task(const GradientTasks::Task& task, float* dw) const {
    const Steps& steps = steps_f4_avx512();
    const Map x = block(x_, task.c_first, task.c_count), dy = block(dy_, task.k_first, task.k_count);
    const int64_t v_stride = part_ * x.channels + skew, d_stride = part_ * dy.channels + skew;
    const int64_t du_stride = x.channels * dy.channels + skew;
    const FloatBuffer v(elements * v_stride), d(elements * d_stride), du(elements * du_stride);
    const int64_t first = task.split * tiling_.count() / tasks_.splits,
                  last = (task.split + 1) * tiling_.count() / tasks_.splits;
    const int64_t parts = ceil_div(last - first, part_);
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t begin = first + part * (last - first) / parts,
                    end = first + (part + 1) * (last - first) / parts;
      for (int64_t t = begin; t < end; ++t) {
        const int64_t image = tiling_.image(t), top = tiling_.top(t), left = tiling_.left(t);
        steps.transform_input(x, {}, image, top - p_.pad_h, left - p_.pad_w,
                              v.data() + (t - begin) * x.channels, v_stride);
        transform_gradient_avx512(dy, image, top, left, d.data() + (t - begin) * dy.channels, d_stride);
      }
      for (int64_t e = 0; e < elements; ++e) {
        multiply(d.data() + e * d_stride, dy.channels, v.data() + e * v_stride, x.channels, end - begin,
                 du.data() + e * du_stride, part > 0);
      }
    }
    for (int64_t k = 0; k < dy.channels; ++k) {
      inverse_transform_filter_avx512(du.data() + k * x.channels, du_stride, x.channels,
                                      dw + (task.k_first + k) * 9 * p_.c + task.c_first, p_.c);
    }
  }

  // du[k][c] (+)= sum over tiles of d[t][k] * v[t][c]
  static void multiply(const float* d, int64_t k_count, const float* v, int64_t c_count, int64_t tiles,
                       float* du, bool accumulate) {
    const TileKernels& kernels = tile_kernels_avx512();
    for (int64_t c = 0; c < c_count; c += 2 * lanes) {
      const int64_t width = std::min(2 * lanes, c_count - c), vectors = width / lanes;
      const int64_t heights = ceil_div(k_count, kernels.max_rows[vectors == 2 ? 0 : 1]);
      for (int64_t i = 0; i < heights; ++i) {
        const int64_t k = i * k_count / heights, k_end = (i + 1) * k_count / heights;
        const Run run{d + k, v + c, tiles};
        kernels.weight({&run, 1, k_count, c_count, du + k * c_count + c, c_count, width, accumulate}, vectors,
                       k_end - k);
      }
    }
  }

  static Map block(Map map, int64_t first, int64_t count) {
    map.data += first;
    map.channels = count;
    return map;
  }

  const Conv2dProblem& p_;
  Map dy_, x_;
  Tiling tiling_;
  GradientTasks tasks_;  // a split is a range of tiles
  int64_t part_ = 1;     // tiles of a range that are transformed together
};

// The cost rule. Per pair of input and output channel the direct sums take 9 multiplications per output
// pixel, Winograd 36 per tile, which with the transforms cost as much as 58, and transforms the sums back at
// the price of 250 (in a loop over one layer) to 500 (from memory, as in a network). Measured on two cores of
// a Sapphire Rapids Xeon, where the direct sums reach 210 to 330 GFLOP/s:
//
//   ms                      Winograd  direct
//   8 x 144x192  c16 k16       2.6      3.9
//   8 x  9x12   c256 k256      1.9      3.2
//       64x64    c64 k64       0.6      1.1
//       15x20   c512 k512      2.6      4.2
//        8x8    c512 k512      1.3      1.4
//        8x8    c512 k512      2.2      1.4   from memory
bool winograd_is_faster(const Conv2dProblem& p) {
  const Map dy{nullptr, p.p(), p.q(), p.k, p.k, p.dilation_h, p.dilation_w};
  return 58 * Tiling(p.n, dy).count() + 500 < products_inside(p);
}

}  // namespace

bool conv2d_prefers_winograd_weight(const Conv2dProblem& p) {
  return winograd_is_faster(p);
}

void conv2d_backward_weight_winograd(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                     const Tensor& dw) {
  if (p.n == 0) return dw.fill(0);
  WinogradWeight(p, {dy.data<float>(), p.p(), p.q(), p.k, dy.pixel_stride(), p.dilation_h, p.dilation_w},
                 {x.data<float>(), p.h, p.w, p.c, x.pixel_stride(), p.dilation_h, p.dilation_w})
      .run(dw.data<float>());
}

}  // namespace atrous::kernels
