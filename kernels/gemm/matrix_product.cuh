// out(i, j) = sum_l a(i, l) * b(l, j) on CUDA cores, f32 inside, for factors that describe themselves: gemm's
// matrices and the patches of a transposed convolution.
//
// A factor is a matrix as it lies in memory: `factor(row, column)` gives Width neighbours of a row as f32,
// zeros outside of `rows` x `columns`. Its rows run either across the reduction (the neighbours are results'
// rows or columns) or along it. The receiver `out(i, j, values)` takes Width neighbours of row i of the
// result.
//
// A block computes a tile in its registers (register_tile.cuh). Slabs of 8 along the reduction go from memory
// through registers to shared memory while the slab before is multiplied. Where the result has few tiles and
// the sums are long, blocks share the sums of a tile (split-K): each leaves its part in a workspace, a second
// kernel adds the parts in order. The split follows from the sizes, so every run is bit-identical.
#pragma once

#include <algorithm>

#include "kernels/common/register_tile.cuh"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

// Rows of a matrix at a distance of `stride` elements.
template <class T, int Width>
struct MatrixFactor {
  const T* data;
  int64_t stride;
  int rows, columns;
  __device__ Vec<float, Width> operator()(int row, int column) const {
    if (row >= rows || column >= columns) return {};
    return load_f32<Width>(data + row * stride + column);
  }
};

template <class T, int Width>
struct MatrixReceiver {
  Pixels<T> y;
  const float* bias;  // may be null
  __device__ void operator()(int row, int column, Vec<float, Width> values) const {
    for (int e = 0; bias && e < Width; ++e) values[e] += bias[column + e];
    store_f32<Width>(y.at(row) + column, values);
  }
};

using ProductTile = RegisterTile<64, 64>;

// This thread's share of the slabs of one factor.
template <bool Across, int Width, class Factor>
struct SlabLoader {
  static constexpr int extent = ProductTile::m, depth = ProductTile::depth;
  static constexpr int loads = extent * depth / (Width * ProductTile::threads);
  static_assert(ProductTile::m == ProductTile::n);

  Vec<float, Width> held[loads];

  // Position of load i in the slab: along the reduction, and along the tile.
  __device__ static int index(int i) { return static_cast<int>(threadIdx.x) + i * ProductTile::threads; }
  __device__ static int step(int i) {
    return Across ? index(i) / (extent / Width) : index(i) % (depth / Width) * Width;
  }
  __device__ static int place(int i) {
    return Across ? index(i) % (extent / Width) * Width : index(i) / (depth / Width);
  }

  __device__ void load(const Factor& factor, int first, int slab) {
    ATROUS_UNROLL
    for (int i = 0; i < loads; ++i) {
      held[i] = Across ? factor(slab + step(i), first + place(i)) : factor(first + place(i), slab + step(i));
    }
  }
  __device__ void store(float (&to)[depth][extent + 4]) const {
    ATROUS_UNROLL
    for (int i = 0; i < loads; ++i) {
      if constexpr (Across) {
        kernels::store<Width>(&to[step(i)][place(i)], held[i]);
      } else {
        ATROUS_UNROLL
        for (int e = 0; e < Width; ++e) to[step(i) + e][place(i)] = held[i][e];
      }
    }
  }
};

struct ProductSize {
  int m, n, k;
  int per_split;  // of k, a multiple of the depth of a slab

  int64_t splits() const { return std::max<int64_t>(1, blocks_for(k, per_split)); }
};

// Two blocks for each multiprocessor of a large GPU; no part shorter than 256, where adding the parts up
// costs more than it gains; at most 32 MB of them.
inline ProductSize product_size(int64_t m, int64_t n, int64_t k) {
  const int64_t tiles = blocks_for(m, ProductTile::m) * blocks_for(n, ProductTile::n);
  const int64_t most = std::min(k / 256, (int64_t{32} << 20) / std::max<int64_t>(1, m * n * 4));
  const int64_t splits = std::max<int64_t>(1, std::min(264 / std::max<int64_t>(1, tiles), most));
  const int64_t per_split = blocks_for(blocks_for(k, splits), ProductTile::depth) * ProductTile::depth;
  return {narrow<int>(m, "gemm"), narrow<int>(n, "gemm"), narrow<int>(k, "gemm"),
          narrow<int>(std::max<int64_t>(ProductTile::depth, per_split), "gemm")};
}

// The sums of part blockIdx.z of the reduction, into `parts` [splits][m][n] unless that is null. 4 blocks per
// multiprocessor leave a thread 255 registers; without this the compiler aims at more blocks and spills.
template <bool AcrossA, bool AcrossB, int Width, class A, class B, class Out>
__global__ void __launch_bounds__(ProductTile::threads, 4)
    matrix_product_kernel(A a, B b, Out out, ProductSize size, float* parts) {
  ATROUS_SHARED(ProductTile::Factors, factors, [1]);
  const int row = static_cast<int>(blockIdx.x) * ProductTile::m;
  const int column = static_cast<int>(blockIdx.y) * ProductTile::n;
  const int begin = static_cast<int>(blockIdx.z) * size.per_split;
  // A part begins and ends with whole slabs; past k both factors are zero.
  const int end = size.k - begin < size.per_split ? size.k : begin + size.per_split;
  ProductTile sum;
  SlabLoader<AcrossA, Width, A> left;
  SlabLoader<AcrossB, Width, B> right;
  int buffer = 0;
  left.load(a, row, begin);
  right.load(b, column, begin);
  left.store(factors[0].a[0]);
  right.store(factors[0].b[0]);
  __syncthreads();
  for (int slab = begin; slab < end; slab += ProductTile::depth, buffer ^= 1) {
    const bool more = slab + ProductTile::depth < end;
    if (more) {
      left.load(a, row, slab + ProductTile::depth);
      right.load(b, column, slab + ProductTile::depth);
    }
    sum.multiply(factors[0].a[buffer], factors[0].b[buffer]);
    if (more) {
      left.store(factors[0].a[buffer ^ 1]);
      right.store(factors[0].b[buffer ^ 1]);
    }
    __syncthreads();
  }
  float* part = parts ? parts + int64_t{blockIdx.z} * size.m * size.n : nullptr;
  ATROUS_UNROLL
  for (int i = 0; i < ProductTile::rows; ++i) {
    const int r = row + sum.row(i);
    ATROUS_UNROLL
    for (int j = 0; j < ProductTile::columns; j += Width) {
      const int c = column + sum.column(j);
      if (r >= size.m || c >= size.n) continue;
      Vec<float, Width> values;
      ATROUS_UNROLL
      for (int e = 0; e < Width; ++e) values[e] = sum.sum[i][j + e];
      if (part) {
        store<Width>(part + int64_t{r} * size.n + c, values);
      } else {
        out(r, c, values);
      }
    }
  }
}

template <int Width, class Out>
__global__ void __launch_bounds__(256)
    sum_parts_kernel(const float* parts, int count, Out out, ProductSize size) {
  const int64_t i = (blockIdx.x * int64_t{256} + threadIdx.x) * Width, all = int64_t{size.m} * size.n;
  if (i >= all) return;
  Vec<float, Width> sum = load<Width>(parts + i);
  for (int part = 1; part < count; ++part) {
    const Vec<float, Width> more = load<Width>(parts + part * all + i);
    for (int e = 0; e < Width; ++e) sum[e] += more[e];
  }
  out(static_cast<int>(i / size.n), static_cast<int>(i % size.n), sum);
}

template <bool AcrossA, bool AcrossB, int Width, class A, class B, class Out>
void matrix_product(const A& a, const B& b, const Out& out, const ProductSize& size, Device device) {
  const int64_t splits = size.splits();
  const LaunchShape shape{{blocks_for(size.m, ProductTile::m), blocks_for(size.n, ProductTile::n), splits},
                          ProductTile::threads};
  if (splits == 1) {
    launch<matrix_product_kernel<AcrossA, AcrossB, Width, A, B, Out>>(shape, a, b, out, size,
                                                                      static_cast<float*>(nullptr));
    return;
  }
  const Tensor parts = Tensor::empty({splits, size.m, size.n}, DType::f32, device);
  launch<matrix_product_kernel<AcrossA, AcrossB, Width, A, B, Out>>(shape, a, b, out, size,
                                                                    parts.device_data<float>());
  launch<sum_parts_kernel<Width, Out>>({blocks_for(int64_t{size.m} * size.n, 256 * Width), 256},
                                       parts.device_data<float>(), static_cast<int>(splits), out, size);
}

}  // namespace
}  // namespace atrous::kernels::ATROUS_GPU
