// How the tiles of conv2d_mma.cuh lie in shared memory, and how fragments are fetched from them.
//
// One step takes 64 bytes of the reduction (32 bf16, 16 f32) of both operands. With that unit bf16 and tf32
// are one program: a fragment is 32 bytes of the reduction in both, in the same order of bytes, and ldmatrix
// deals them out for both.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/gpu/gpu.h"
#include "kernels/gpu/mma.h"

namespace atrous::kernels::ATROUS_GPU {

constexpr int mma_threads = 128;

template <int M, int N>
struct MmaTile {
  static constexpr int m = M, n = N, stages = 4;
  static constexpr int warp_m = M / 2, warp_n = N / 2;
  static constexpr int padded_n = N + 8;  // of the result in shared memory: rows begin 8 banks apart
  static constexpr int stage_bytes = (M + N) * 64;
  static constexpr int shared_bytes = std::max(stages * stage_bytes, M* padded_n * 4);
  using Sums = float[warp_m / 16][warp_n / 8][4];
};

template <class T>
constexpr int step_elements = 64 / sizeof(T);

template <class T>
__device__ inline void round_fragment(uint32_t& r) {
  if constexpr (sizeof(T) == 4) r = to_tf32(std::bit_cast<float>(r));
}

// Tile whose rows run along M or N, each with 64 bytes of the reduction. Chunks of 16 bytes are swizzled so
// that eight rows of ldmatrix lie in eight different groups of banks.
template <class T, int Extent>
struct ReductionDense {
  using Element = T;
  static constexpr int chunks = Extent * 4 / mma_threads;  // of one thread
  __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / 4 + i * (mma_threads / 4); }
  __device__ static int chunk() { return threadIdx.x % 4; }
  __device__ static int offset(int row, int chunk) { return row * 64 + (chunk ^ (row / 2 % 4)) * 16; }

  // Rows [m, m+16) of A, half s of the step.
  __device__ static void load_a(uint32_t (&a)[4], const unsigned char* tile, int m, int s) {
    const int lane = threadIdx.x % 32;
    ldmatrix(a, tile + offset(m + lane % 16, 2 * s + lane / 16));
    for (uint32_t& r : a) round_fragment<T>(r);
  }
  // Columns [n, n+16) of B, two fragments.
  __device__ static void load_b(uint32_t (&b0)[2], uint32_t (&b1)[2], const unsigned char* tile, int n,
                                int s) {
    const int lane = threadIdx.x % 32;
    uint32_t r[4];
    ldmatrix(r, tile + offset(n + lane % 8 + lane / 16 * 8, 2 * s + lane / 8 % 2));
    for (uint32_t& v : r) round_fragment<T>(v);
    b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
  }
};

// Tile whose rows run along the reduction. ldmatrix transposes 16-bit elements; f32 are read one by one.
template <class T, int Extent>
struct ExtentDense {
  using Element = T;
  static constexpr int row_chunks = Extent * static_cast<int>(sizeof(T)) / 16;
  static constexpr int chunks = Extent * 4 / mma_threads;
  __device__ static int row(int i) {
    return static_cast<int>(threadIdx.x) / row_chunks + i * (mma_threads / row_chunks);
  }
  __device__ static int chunk() { return threadIdx.x % row_chunks; }
  // bf16: eight rows of one chunk; f32: four rows of two neighbouring chunks.
  __device__ static int offset(int row, int chunk) {
    return row * row_chunks * 16 + (chunk ^ (sizeof(T) == 2 ? row % 8 : row % 4 * 2)) * 16;
  }
  __device__ static uint32_t tf32_at(const unsigned char* tile, int row, int column) {
    return to_tf32(*reinterpret_cast<const float*>(tile + offset(row, column / 4) + column % 4 * 4));
  }

  __device__ static void load_a(uint32_t (&a)[4], const unsigned char* tile, int m, int s) {
    const int lane = threadIdx.x % 32;
    if constexpr (sizeof(T) == 2) {
      ldmatrix_trans(a, tile + offset(16 * s + lane % 8 + lane / 16 * 8, m / 8 + lane / 8 % 2));
    } else {
      ATROUS_UNROLL
      for (int i = 0; i < 4; ++i)
        a[i] = tf32_at(tile, 8 * s + lane % 4 + i / 2 * 4, m + lane / 4 + i % 2 * 8);
    }
  }
  __device__ static void load_b(uint32_t (&b0)[2], uint32_t (&b1)[2], const unsigned char* tile, int n,
                                int s) {
    const int lane = threadIdx.x % 32;
    if constexpr (sizeof(T) == 2) {
      uint32_t r[4];
      ldmatrix_trans(r, tile + offset(16 * s + lane % 16, n / 8 + lane / 16));
      b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
    } else {
      ATROUS_UNROLL
      for (int i = 0; i < 2; ++i) {
        b0[i] = tf32_at(tile, 8 * s + lane % 4 + i * 4, n + lane / 4);
        b1[i] = tf32_at(tile, 8 * s + lane % 4 + i * 4, n + lane / 4 + 8);
      }
    }
  }
};

}  // namespace atrous::kernels::ATROUS_GPU
