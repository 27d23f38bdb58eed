// y[i, c, r] = x[i, r, c]: x with any pixel stride, y dense. Elements are only moved, so kernels know their
// size alone.
//
//   naive    thread per element of y: neighbours write neighbours and read a whole row apart, so that a warp
//            touches 32 lines of x for 32 elements
//   tiled    a block moves a tile of 32x32 through shared memory: its warps read along rows of x and write
//            along rows of y, whole lines both times. A column more than there are keeps the elements of a
//            column of the tile in different banks
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"
#include "kernels/transpose/transpose_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int tile = 32;
constexpr int tile_rows = threads / tile;  // that the threads cover at once

struct Matrices {
  int64_t count, rows, columns;  // of x
};

template <class T>
__global__ void __launch_bounds__(threads) naive_kernel(Matrices m, Pixels<const T> x, T* y) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  const Division line = divide(i, m.rows);
  const Division matrix = divide(line.quotient, m.columns);
  if (matrix.quotient >= m.count) return;
  y[i] = x.at(matrix.quotient * m.rows + line.remainder)[matrix.remainder];
}

template <class T>
__global__ void __launch_bounds__(threads)
    tiled_kernel(Matrices m, int64_t down, int64_t across, Pixels<const T> x, T* y) {
  ATROUS_SHARED(T, staged, [tile][tile + 1]);
  const Division line = divide(blockIdx.x, across);
  const Division matrix = divide(line.quotient, down);
  const int64_t top = matrix.remainder * tile, left = line.remainder * tile;
  const int lane = static_cast<int>(threadIdx.x) % tile, first = static_cast<int>(threadIdx.x) / tile;
  for (int r = first; r < tile; r += tile_rows) {
    if (top + r < m.rows && left + lane < m.columns)
      staged[r][lane] = x.at(matrix.quotient * m.rows + top + r)[left + lane];
  }
  __syncthreads();
  for (int c = first; c < tile; c += tile_rows) {
    if (top + lane < m.rows && left + c < m.columns)
      y[(matrix.quotient * m.columns + left + c) * m.rows + top + lane] = staged[lane][c];
  }
}

// run(matrices, x, y) with pointers to unsigned integers of the size of the elements.
template <class F>
void visit_size(const TransposeProblem& p, const Tensor& x, const Tensor& y, F&& run) {
  const auto with = [&]<class T>(T) {
    run(Matrices{p.matrices, p.rows, p.columns},
        Pixels<const T>{reinterpret_cast<const T*>(x.device_raw()), x.pixel_stride()},
        reinterpret_cast<T*>(y.device_raw()));
  };
  switch (size_of(p.dtype)) {
    case 1: return with(uint8_t{});
    case 2: return with(uint16_t{});
    case 4: return with(uint32_t{});
    default: return with(uint64_t{});
  }
}

}  // namespace

void transpose_naive(const TransposeProblem& p, const Tensor& x, const Tensor& y) {
  visit_size(p, x, y, [&]<class T>(Matrices m, Pixels<const T> from, T* to) {
    launch<naive_kernel<T>>({blocks_for(y.numel(), threads), threads}, m, from, to);
  });
}

void transpose_tiled(const TransposeProblem& p, const Tensor& x, const Tensor& y) {
  const int64_t down = blocks_for(p.rows, tile), across = blocks_for(p.columns, tile);
  visit_size(p, x, y, [&]<class T>(Matrices m, Pixels<const T> from, T* to) {
    launch<tiled_kernel<T>>({p.matrices * down * across, threads}, m, down, across, from, to);
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
