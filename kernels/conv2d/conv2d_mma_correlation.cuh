// The kernel of conv2d_mma_forward.cu and conv2d_mma_backward_input.cu: both correlate an image with a filter
// (conv2d_gpu.h) and differ in how the filter lies under the reduction.
//
//   result[pixel, column] = sum over tap, channel of source[pixel moved by tap, channel] * filter
//
// conv2d_mma_operands.cuh has both factors.
#pragma once

#include "kernels/conv2d/conv2d_mma_operands.cuh"

namespace atrous::kernels::ATROUS_GPU {

// Bias, statistics, residual and ReLU on the sums, which pass through shared memory so that a thread gets the
// 16 bytes of neighbouring channels that it writes.
template <class Tile, class T>
__device__ inline void write_result(const CorrelationArguments<T>& args, const typename Tile::Sums& sum,
                                    const int* pixels, int first_column, int tile_row, float* shared) {
  constexpr int width = vector_width<T>, groups = Tile::n / width, lanes = mma_threads / groups;
  for_each_pair<Tile>(sum, [&](int row, int column, float a, float b) {
    store<2>(shared + row * Tile::padded_n + column, {a, b});
  });
  __syncthreads();

  const int lane = static_cast<int>(threadIdx.x) / groups, group = threadIdx.x % groups;
  const int column = first_column + group * width;
  const int present = args.columns - column;  // channels of this thread's group, if below width
  Vec<float, width> bias{}, total{}, total_of_squares{};
  ATROUS_UNROLL
  for (int e = 0; e < width; ++e) {
    if (args.bias && e < present) bias[e] = args.bias[column + e];
  }
  for (int row = lane; row < Tile::m; row += lanes) {
    const int pixel = pixels[row];
    if (pixel < 0 || present <= 0) continue;
    auto value = load<width>(shared + row * Tile::padded_n + group * width);
    Vec<float, width> residual{};
    if (args.residual && args.result_vectorised) {
      residual = load_f32<width>(args.residual.at(pixel) + column);
    } else if (args.residual) {
      ATROUS_UNROLL
      for (int e = 0; e < width; ++e) {
        if (e < present) residual[e] = static_cast<float>(args.residual.at(pixel)[column + e]);
      }
    }
    ATROUS_UNROLL
    for (int e = 0; e < width; ++e) {
      value[e] += bias[e];
      total[e] += value[e];
      total_of_squares[e] += value[e] * value[e];
      value[e] += residual[e];
      if (args.relu && value[e] < 0) value[e] = 0;
    }
    T* to = args.result.at(pixel) + column;
    if (args.result_vectorised) {
      store_f32<width>(to, value);
    } else {
      ATROUS_UNROLL
      for (int e = 0; e < width; ++e) {
        if (e < present) to[e] = static_cast<T>(value[e]);
      }
    }
  }
  if (!args.sums) return;
  __syncthreads();  // the tile has been read; its memory holds [2][lanes][n] totals now
  store<width>(shared + lane * Tile::n + group * width, total);
  store<width>(shared + (lanes + lane) * Tile::n + group * width, total_of_squares);
  __syncthreads();
  for (int i = threadIdx.x; i < 2 * Tile::n; i += mma_threads) {
    const int which = i / Tile::n, c = i % Tile::n;
    if (first_column + c >= args.columns) continue;
    double all = 0;
    for (int l = 0; l < lanes; ++l) all += shared[(which * lanes + l) * Tile::n + c];
    args.sums[(int64_t{tile_row} * 2 + which) * args.columns + first_column + c] = all;
  }
}

template <class T, class Tile, Transfer transfer, template <class, int> class Filter>
__global__ void __launch_bounds__(mma_threads, 2) correlate(CorrelationArguments<T> args) {
  ATROUS_DYNAMIC_SHARED(shared);
  ATROUS_SHARED(TapTable, taps, [1]);
  ATROUS_SHARED(int, pixels, [Tile::m]);  // of the result, per row; -1: none
  const int block = blockIdx.x, phase = block / args.tiles_per_phase, tile = block % args.tiles_per_phase;
  const Correlation g = args.gradient ? args.geometry.gradient(phase) : args.geometry.forward();
  const int tile_row = tile / args.tiles_n;
  const int first_row = tile_row * Tile::m, first_column = tile % args.tiles_n * Tile::n;
  if (first_row >= g.rows()) return;  // the whole block: this phase has fewer pixels than the first

  for (int i = threadIdx.x; i < g.taps(); i += mma_threads) {
    const Tap tap{i / g.w.taps, i % g.w.taps};
    const int r = g.h.filter_first + tap.h * g.h.filter_step, s = g.w.filter_first + tap.w * g.w.filter_step;
    taps->source[i] = static_cast<int>(tap_offset(g, tap));
    taps->filter[i] = args.geometry.filter_pixel(0, r, s) * args.filter.stride;
  }
  for (int i = threadIdx.x; i < Tile::m; i += mma_threads) {
    pixels[i] = static_cast<int>(place_of(g, first_row + i));
  }
  __syncthreads();

  const GatheredPixels<T, Tile::m> a(args, *taps, g, first_row);
  const Filter<T, Tile::n> b(args, *taps, a.reduction, first_column);
  typename Tile::Sums sum;
  multiply_tiles<Tile, transfer>(sum, a, b, 0, (a.reduction + step_elements<T> - 1) / step_elements<T>,
                                 shared);
  write_result<Tile>(args, sum, pixels, first_column, tile_row, reinterpret_cast<float*>(shared));
}

template <class T>
Transfer transfer_of(const CorrelationArguments<T>& args) {
  if (!args.source_vectorised || !args.filter_vectorised) return Transfer::elements;
  return args.prologue.scale || args.prologue.relu ? Transfer::prologue : Transfer::copies;
}

// `rows` are those of the first of `phases`, the largest.
template <bool HasPrologue, template <class, int> class Filter, class T>
void launch_correlation(CorrelationArguments<T> args, int tile, int64_t phases, int64_t rows) {
  const TileShape shape = tile_shapes[tile];
  args.filter_stride = args.geometry.filter_pixel(1, 0, 0) * args.filter.stride;
  args.tiles_n = static_cast<int>(ceil_div(args.columns, shape.n));
  args.tiles_per_phase = static_cast<int>(ceil_div(rows, shape.m) * args.tiles_n);
  with_tile<HasPrologue>(tile, transfer_of(args), [&]<class Tile, Transfer transfer>() {
    launch<correlate<T, Tile, transfer, Filter>>(
        {phases * args.tiles_per_phase, mma_threads, static_cast<size_t>(Tile::shared_bytes)}, args);
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
