// A tile of a matrix product that lives in the registers of a block: M x N results, 8 x 8 of them (8 x 4 if
// the tile is narrow) per thread. A value that a thread reads from shared memory takes part in 8 products.
//
// A thread's rows are two groups of four neighbours, half a tile apart, so that the threads of a warp read
// neighbouring groups of four: 16-byte accesses without bank conflicts. The same for its columns.
#pragma once

#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

template <int M, int N>
struct RegisterTile {
  static constexpr int m = M, n = N;
  static constexpr int depth = 8;  // of the slabs of both factors in shared memory
  static constexpr int rows = 8, columns = N >= 64 ? 8 : 4;
  static constexpr int threads_n = N / columns, threads = M / rows * threads_n;

  // Two slabs: while one is multiplied the next one is stored. The 4 extra columns spread over the banks what
  // is stored along a column.
  struct alignas(16) Factors {
    float a[2][depth][M + 4];
    float b[2][depth][N + 4];
  };

  float sum[rows][columns] = {};

  // The position of a thread's results in the tile.
  __device__ static int row(int i) {
    return i / 4 * (M / 2) + static_cast<int>(threadIdx.x) / threads_n * 4 + i % 4;
  }
  __device__ static int column(int j) {
    return j / 4 * (N / 2) + static_cast<int>(threadIdx.x) % threads_n * 4 + j % 4;
  }

  // Adds a^T b.
  __device__ void multiply(const float (&a)[depth][M + 4], const float (&b)[depth][N + 4]) {
    ATROUS_UNROLL
    for (int k = 0; k < depth; ++k) {
      float left[rows], right[columns];
      read(left, a[k], row(0), M / 2);
      read(right, b[k], column(0), N / 2);
      ATROUS_UNROLL
      for (int i = 0; i < rows; ++i) {
        ATROUS_UNROLL
        for (int j = 0; j < columns; ++j) sum[i][j] += left[i] * right[j];
      }
    }
  }

 private:
  template <int Count>
  __device__ static void read(float (&to)[Count], const float* from, int first, int distance) {
    ATROUS_UNROLL
    for (int group = 0; group < Count / 4; ++group) {
      const Vec<float, 4> four = load<4>(from + first + group * distance);
      ATROUS_UNROLL
      for (int i = 0; i < 4; ++i) to[group * 4 + i] = four[i];
    }
  }
};

}  // namespace atrous::kernels::ATROUS_GPU
