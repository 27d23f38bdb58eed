// conv2d as products of matrices with tiles in shared memory:
//
//   y[m, k]  = sum_e im2col(x)[m, e] * w[k, e]           e: (r,s,c), m: pixels of y
//   dx[m, c] = sum_e im2col(dy)[m, e] * w[.., c]         e: (r,s,k), m: pixels of one phase of dx
//   dw[k, e] = sum_m dy[m, k] * im2col(x)[m, e]          e: (r,s,c), m: pixels of y
//
// Layout as in conv2d_naive.cu. conv2d_gpu.h and gather.h define phases and im2col, which is never stored.
//
// Rung "tiled" of the ladder in conv2d_naive.cu: a block of 16 x 16 threads computes 16 x 16 results. For 32
// elements of the sum at a time it brings 16 x 32 values of each factor into shared memory, two per thread,
// where 16 threads use each of them: memory is read 16 times less often than by "naive".
#include "kernels/conv2d/conv2d_arguments.cuh"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/gather.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int tile = 16, threads = tile * tile;
constexpr int depth = 32;  // elements of the sum between two barriers

template <class T, bool Gradient>
__device__ float load_filter(const TileArguments<T>& args, const Correlation& g, const Tap& tap, int column,
                             int columns) {
  if (tap.h >= g.h.taps || column >= columns) return 0;
  const int64_t k = static_cast<int64_t>(blockIdx.z) * args.geometry.k + (Gradient ? tap.c : column);
  const int r = g.h.filter_first + tap.h * g.h.filter_step, s = g.w.filter_first + tap.w * g.w.filter_step;
  return static_cast<float>(args.filter.at(args.geometry.filter_pixel(k, r, s))[Gradient ? column : tap.c]);
}

template <class T, bool Gradient>
__global__ void __launch_bounds__(threads) conv2d_tiled(TileArguments<T> args) {
  // One element more than needed, so that threads that read along a column access different banks.
  ATROUS_SHARED(float, left, [tile][depth + 1]);   // [row][element]
  ATROUS_SHARED(float, right, [tile][depth + 1]);  // [column][element]
  const int x = static_cast<int>(threadIdx.x) % tile, y = static_cast<int>(threadIdx.x) / tile;
  const Correlation g =
      Gradient ? args.geometry.gradient(static_cast<int>(blockIdx.x / args.tiles)) : args.geometry.forward();
  const int64_t m = blockIdx.x % args.tiles * tile + y;
  if (m - y >= g.rows()) return;  // the whole block: this phase is smaller than the first
  const int columns = Gradient ? args.geometry.c : args.geometry.k;
  const int first_column = static_cast<int>(blockIdx.y) * tile, column = first_column + x;

  // This thread loads elements x and x + 16 of row y and of column y.
  const GatherRow row = gather_row(g, m);
  const int64_t group_in = static_cast<int64_t>(blockIdx.z) * g.channels;
  const int elements = g.taps() * g.channels;
  Tap tap;
  if (elements > 0) skip_elements(g, tap, x);
  float z = 0;
  for (int first = 0; first < elements; first += depth) {
    for (int part = 0; part < depth; part += tile) {
      float value = 0;
      if (tap.h < g.h.taps && covers(g, row, tap)) {
        const int64_t channel = group_in + tap.c;
        value = static_cast<float>(args.in.at(row.pixel + tap_offset(g, tap))[channel]);
        value = args.prologue(value, channel);
      }
      left[y][part + x] = value;
      right[y][part + x] = load_filter<T, Gradient>(args, g, tap, first_column + y, columns);
      skip_elements(g, tap, tile);
    }
    __syncthreads();
    ATROUS_UNROLL
    for (int e = 0; e < depth; ++e) z += left[y][e] * right[x][e];
    __syncthreads();
  }

  const int64_t place = place_of(g, m), channel = static_cast<int64_t>(blockIdx.z) * columns + column;
  if (args.bias && column < columns) z += args.bias[channel];
  if (args.partial) {
    left[y][x] = place < 0 ? 0.0f : z;
    __syncthreads();
    if (y < 2 && column < columns) {  // row 0 of threads adds z, row 1 adds z*z
      double sum = 0;
      for (int i = 0; i < tile; ++i) {
        const double value = left[i][x];
        sum += y == 0 ? value : value * value;
      }
      args.partial[(blockIdx.x * int64_t{2} + y) * columns * args.geometry.groups + channel] = sum;
    }
  }
  if (place < 0 || column >= columns) return;
  if (args.residual) z += static_cast<float>(args.residual.at(place)[channel]);
  args.out.at(place)[channel] = static_cast<T>(args.relu ? activate<Activation::relu>(z) : z);
}

template <class T>
__global__ void __launch_bounds__(threads)
    conv2d_backward_weight_tiled(Conv2dGeometry geometry, Pixels<const T> dy, Pixels<const T> x, float* dw) {
  ATROUS_SHARED(float, left, [depth][tile + 1]);   // [pixel][k]
  ATROUS_SHARED(float, right, [depth][tile + 1]);  // [pixel][element]
  const int across = static_cast<int>(threadIdx.x) % tile, down = static_cast<int>(threadIdx.x) / tile;
  const Correlation g = geometry.forward();
  const int64_t first_k = static_cast<int64_t>(blockIdx.y) * tile, group = blockIdx.z;
  const int64_t element = static_cast<int64_t>(blockIdx.x) * tile + across;
  const int elements = g.taps() * g.channels;
  Tap tap;
  skip_elements(g, tap, static_cast<int>(element));
  float sum = 0;
  const int64_t k_loaded = first_k + across;
  for (int64_t first = 0; first < g.rows(); first += depth) {
    for (int part = down; part < depth; part += tile) {
      const int64_t m = first + part;
      const bool in_dy = m < g.rows() && k_loaded < geometry.k;
      left[part][across] = in_dy ? static_cast<float>(dy.at(m)[group * geometry.k + k_loaded]) : 0.0f;
      const GatherRow row = gather_row(g, m);
      const bool in_x = tap.h < g.h.taps && covers(g, row, tap);
      right[part][across] =
          in_x ? static_cast<float>(x.at(row.pixel + tap_offset(g, tap))[group * g.channels + tap.c]) : 0.0f;
    }
    __syncthreads();
    ATROUS_UNROLL
    for (int i = 0; i < depth; ++i) sum += left[i][down] * right[i][across];
    __syncthreads();
  }
  const int64_t k = first_k + down;
  if (k < geometry.k && element < elements) dw[(group * geometry.k + k) * elements + element] = sum;
}

template <bool Gradient, class T>
void run(TileArguments<T> args, const Tensor& sums) {
  const Conv2dGeometry& g = args.geometry;
  run_tiles<Gradient>(args, tile, sums, [&](int64_t blocks) {
    launch<conv2d_tiled<T, Gradient>>({{blocks, blocks_for(Gradient ? g.c : g.k, tile), g.groups}, threads},
                                      args);
  });
}

}  // namespace

void conv2d_forward_tiled(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                          const Tensor& y) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    run<false>(forward_arguments<T>(p, x, w, f, y), f.channel_sums);
  });
}

void conv2d_backward_input_tiled(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                 const Tensor& bias, const Tensor& dx) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    run<true>(gradient_arguments<T>(p, dy, w, bias, dx), {});
  });
}

void conv2d_backward_weight_tiled(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                  const Tensor& dw) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Conv2dGeometry g(p);
    launch<conv2d_backward_weight_tiled<T>>(
        {{blocks_for(p.r * p.s * g.c, tile), blocks_for(g.k, tile), g.groups}, threads}, g,
        pixels_of<const T>(dy), pixels_of<const T>(x), dw.device_data<float>());
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
