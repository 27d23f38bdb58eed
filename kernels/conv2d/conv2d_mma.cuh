// Product of two tiles on tensor cores (mma.sync), for bf16 and tf32; conv2d_plan.h says which matrices.
//
// A block of four warps, two by two, computes Tile::m x Tile::n sums. Step by step along the reduction both
// operands pass through shared memory (conv2d_mma_transfer.cuh, conv2d_mma_layout.cuh).
//
// An operand is a Source: Source::Layout is its tile in shared memory, and source.at(i, step, e) the address
// in global memory of element e of this thread's i-th 16-byte chunk, nullptr where the matrix has a zero.
#pragma once

#include "kernels/conv2d/conv2d_mma_transfer.cuh"
#include "kernels/conv2d/conv2d_plan.h"

namespace atrous::kernels::ATROUS_GPU {

// sum += A*B over one step, for this warp's part of the tile.
template <class Tile, class A, class B>
__device__ inline void multiply_step(typename Tile::Sums& sum, const unsigned char* a_tile,
                                     const unsigned char* b_tile) {
  const int warp = threadIdx.x / 32;
  const int m = warp / 2 * Tile::warp_m, n = warp % 2 * Tile::warp_n;
  ATROUS_UNROLL
  for (int s = 0; s < 2; ++s) {
    uint32_t b[Tile::warp_n / 8][2];
    ATROUS_UNROLL
    for (int j = 0; j < Tile::warp_n / 8; j += 2) B::load_b(b[j], b[j + 1], b_tile, n + 8 * j, s);
    ATROUS_UNROLL
    for (int i = 0; i < Tile::warp_m / 16; ++i) {
      uint32_t a[4];
      A::load_a(a, a_tile, m + 16 * i, s);
      ATROUS_UNROLL
      for (int j = 0; j < Tile::warp_n / 8; ++j) {
        if constexpr (sizeof(typename A::Element) == 2) {
          mma_bf16(sum[i][j], a, b[j]);
        } else {
          mma_tf32(sum[i][j], a, b[j]);
        }
      }
    }
  }
}

// sum = A*B over steps [first, first + steps) of the reduction. Afterwards no thread uses `shared` any more.
template <class Tile, Transfer transfer, class A, class B>
__device__ inline void multiply_tiles(typename Tile::Sums& sum, const A& a, const B& b, int first, int steps,
                                      unsigned char* shared) {
  ATROUS_UNROLL
  for (auto& row : sum) {
    ATROUS_UNROLL
    for (auto& fragment : row) {
      ATROUS_UNROLL
      for (float& value : fragment) value = 0;
    }
  }
  const auto a_tile = [=](int step) { return shared + step % Tile::stages * Tile::stage_bytes; };
  const auto b_tile = [=](int step) { return a_tile(step) + Tile::m * 64; };
  if constexpr (transfer != Transfer::copies) {  // two stages
    StagedChunks<A> a_chunks;
    const auto fetch_a = [&](int step) {
      if constexpr (transfer == Transfer::prologue) {
        a_chunks.fetch_vectors(a, first + step);
      } else {
        a_chunks.fetch(a, first + step);
      }
    };
    const auto copy_b = [&](int step) {
      if constexpr (transfer == Transfer::prologue) copy_async(b, first + step, b_tile(step % 2));
      cp_async_commit();
    };
    const auto put = [&](int step) {
      a_chunks.put(a, first + step, a_tile(step % 2));
      if constexpr (transfer == Transfer::elements) {
        StagedChunks<B> b_chunks;
        b_chunks.fetch(b, first + step);
        b_chunks.put(b, first + step, b_tile(step % 2));
      }
    };
    if (steps > 0) fetch_a(0), copy_b(0), put(0);
    for (int step = 0; step < steps; ++step) {
      const bool more = step + 1 < steps;
      if (more) fetch_a(step + 1);
      cp_async_wait<0>();
      __syncthreads();  // this step's tiles are complete, and those of the last step are no longer read
      if (more) copy_b(step + 1);
      multiply_step<Tile, typename A::Layout, typename B::Layout>(sum, a_tile(step % 2), b_tile(step % 2));
      if (more) put(step + 1);
    }
  } else {
    const auto copy = [&](int step) {
      if (step < steps) {
        copy_async(a, first + step, a_tile(step));
        copy_async(b, first + step, b_tile(step));
      }
      cp_async_commit();  // an empty group at the end keeps the count right
    };
    for (int step = 0; step < Tile::stages - 1; ++step) copy(step);
    for (int step = 0; step < steps; ++step) {
      cp_async_wait<Tile::stages - 2>();
      __syncthreads();  // as above; the stage that is overwritten next is that of the last step
      copy(step + Tile::stages - 1);
      multiply_step<Tile, typename A::Layout, typename B::Layout>(sum, a_tile(step), b_tile(step));
    }
  }
  __syncthreads();
}

// Calls f(row, column, first, second) for the pairs of neighbouring sums that this thread holds.
template <class Tile, class F>
__device__ inline void for_each_pair(const typename Tile::Sums& sum, F&& f) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int m = warp / 2 * Tile::warp_m + lane / 4, n = warp % 2 * Tile::warp_n + lane % 4 * 2;
  ATROUS_UNROLL
  for (int i = 0; i < Tile::warp_m / 16; ++i) {
    ATROUS_UNROLL
    for (int j = 0; j < Tile::warp_n / 8; ++j) {
      f(m + 16 * i, n + 8 * j, sum[i][j][0], sum[i][j][1]);
      f(m + 16 * i + 8, n + 8 * j, sum[i][j][2], sum[i][j][3]);
    }
  }
}

// Index of the largest of tile_shapes to be used: gathering by elements takes too many registers for the
// first.
inline int largest_tile(Transfer transfer) {
  return transfer == Transfer::elements ? 1 : 0;
}

// Calls f.template operator()<Tile, transfer>() for an index into tile_shapes.
template <bool HasPrologue, class F>
void with_tile(int tile, Transfer transfer, F&& f) {
  const auto with = [&]<class Tile>() {
    if constexpr (HasPrologue) {
      if (transfer == Transfer::prologue) return f.template operator()<Tile, Transfer::prologue>();
    }
    if constexpr (Tile::m + Tile::n < 256) {
      if (transfer == Transfer::elements) return f.template operator()<Tile, Transfer::elements>();
    }
    ATROUS_ASSERT(transfer == Transfer::copies);
    f.template operator()<Tile, Transfer::copies>();
  };
  const auto with_shape = [&]<int index>() {
    with.template operator()<MmaTile<tile_shapes[index].m, tile_shapes[index].n>>();
  };
  static_assert(std::size(tile_shapes) == 3);
  if (tile == 0) return with_shape.template operator()<0>();
  if (tile == 1) return with_shape.template operator()<1>();
  with_shape.template operator()<2>();
}

}  // namespace atrous::kernels::ATROUS_GPU
