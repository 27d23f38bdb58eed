// Sums over pixels per channel: one launch, one read, bit-identical on every run.
//
// Each thread sums its pixels in registers; the rows of a block are merged in shared memory, pairwise; each
// block writes its part, and the last one to arrive merges the parts in the order of the strips. So no atomic
// addition of floats is needed.
#pragma once

#include "kernels/common/channel_grid.cuh"
#include "kernels/gpu/tickets.h"

namespace atrous::kernels::ATROUS_GPU {

// rows[0] = rows[0] merged with all others, where a row is `width` sums; for all threads of the block.
template <class Sum>
__device__ inline void merge_rows(Sum* rows, int count, int width) {
  const int threads = static_cast<int>(blockDim.x);
  for (int n = count; n > 1; n = (n + 1) / 2) {
    const int kept = (n + 1) / 2;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < (n - kept) * width; i += threads)
      rows[i].merge(rows[kept * width + i]);
  }
  __syncthreads();
}

// Merges the rows of this block's tile [rows][width], then, through `parts` [strips][stride] in global
// memory, those of all `strips` blocks; finish(i, sum) for the first `own` columns, in one of the blocks.
// Every thread of the block must call it.
template <class Sum, class Finish>
__device__ inline void merge_strips(Sum* tile, int rows, int width, int own, Sum* parts, int64_t stride,
                                    int64_t strip, int64_t strips, unsigned* counter, Finish&& finish) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  merge_rows(tile, rows, width);
  if (strips > 1) {
    for (int i = thread; i < own; i += threads) parts[strip * stride + i] = tile[i];
    if (!last_block_to_arrive(counter, static_cast<unsigned>(strips))) return;
    for (int i = thread; i < rows * width; i += threads) {
      const int column = i % width;
      Sum sum{};
      for (int64_t s = i / width; s < strips && column < own; s += rows)
        sum.merge(parts[s * stride + column]);
      tile[i] = sum;
    }
    merge_rows(tile, rows, width);
  }
  for (int i = thread; i < own; i += threads) finish(i, tile[i]);
}

// finish(image, channel, sum) for all of them. `parts` [images, strips, channels] and `counters` [images,
// columns] are needed if there are several strips. The grid has about two blocks per multiprocessor: the
// compiler need not save registers for more.
template <class Walk, int W, class Finish>
__global__ __launch_bounds__(channel_threads, 2) void channel_sums(ChannelGrid grid,
                                                                   typename Walk::Arguments arguments,
                                                                   Finish finish, typename Walk::Sum* parts,
                                                                   unsigned* counters) {
  ATROUS_SHARED(typename Walk::Sum, tile, [channel_threads * W]);
  const ChannelPlace at = grid.template place<false>();
  {
    Walk own_pixels(arguments, at);
    walk(at, own_pixels);
    ATROUS_UNROLL
    for (int j = 0; j < W; ++j) tile[static_cast<int>(threadIdx.x) * W + j] = own_pixels.sum(j);
  }
  const int width = grid.lanes * W, first = at.column * width;
  merge_strips(tile, grid.rows, width, min(width, grid.channels - first),
               parts + (at.image * grid.strips * grid.channels + first), grid.channels, at.strip, grid.strips,
               counters + at.image * grid.columns + at.column,
               [&](int i, const auto& sum) { finish(at.image, first + i, sum); });
}

template <class Walk, int W, class Finish>
void launch_channel_sums(const Tensor& x, int64_t images, const typename Walk::Arguments& arguments,
                         const Finish& finish) {
  using Sum = typename Walk::Sum;
  // Enough blocks to fill a GPU once, few enough that merging their parts is cheap.
  const ChannelGrid grid(x, images, W, 256, 4 * pixels_in_flight);
  Tensor parts;
  unsigned* counters = nullptr;
  if (grid.strips > 1) {
    const int64_t words = sizeof(Sum) / sizeof(float);
    parts = Tensor::empty({images * grid.strips * grid.channels * words}, DType::f32, x.device());
    counters = tickets(x.device(), images * grid.columns);
  }
  launch<channel_sums<Walk, W, Finish>>(grid.shape(), grid, arguments, finish,
                                        reinterpret_cast<Sum*>(parts.device_raw()), counters);
}

}  // namespace atrous::kernels::ATROUS_GPU
