// Product of two tiles on tensor cores (mma.sync), for bf16 and tf32; conv2d_plan.h says which matrices.
//
// A block of four warps, two by two, computes Tile::m x Tile::n sums. One step takes 64 bytes of the
// reduction (32 bf16, 16 f32) of both operands through shared memory. With that unit bf16 and tf32 are one
// program: a fragment is 32 bytes of the reduction in both, in the same order of bytes, and ldmatrix deals
// them out for both.
//
// An operand is a Source: Source::Layout is its tile in shared memory, and source.at(i, step, e) the address
// in global memory of element e of this thread's i-th 16-byte chunk, nullptr where the matrix has a zero.
#pragma once

#include "kernels/conv2d/conv2d_plan.h"
#include "kernels/gpu/async.h"
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

// This thread's chunks of one step straight from global into shared memory.
template <class Source>
__device__ inline void copy_async(const Source& source, int step, unsigned char* tile) {
  using Layout = typename Source::Layout;
  ATROUS_UNROLL
  for (int i = 0; i < Layout::chunks; ++i) {
    const auto* from = source.at(i, step, 0);
    cp_async<16>(tile + Layout::offset(Layout::row(i), Layout::chunk()), from ? from : source.data, from);
  }
}

// The same by way of registers, for what a copy cannot do: apply a prologue, which must not touch the zeros
// of the padding, and read channels that do not fill 16 aligned bytes.
template <class Source>
class StagedChunks {
  using Layout = typename Source::Layout;
  using T = typename Layout::Element;
  static constexpr int width = vector_width<T>;
  Vec<T, width> chunk_[Layout::chunks];
  uint32_t exists_;  // one bit per element

  __device__ void apply_prologue(const Source& source, int step) {
    ATROUS_UNROLL
    for (int e = 0; e < width; ++e) {
      const int channel = source.channel(step, e);
      ATROUS_UNROLL
      for (int i = 0; i < Layout::chunks; ++i) {
        if (!(exists_ >> (i * width + e) & 1)) continue;
        chunk_[i][e] = static_cast<T>(source.prologue(static_cast<float>(chunk_[i][e]), channel));
      }
    }
  }

 public:
  __device__ void fetch_vectors(const Source& source, int step) {
    exists_ = 0;
    ATROUS_UNROLL
    for (int i = 0; i < Layout::chunks; ++i) {
      const T* from = source.at(i, step, 0);
      chunk_[i] = from ? load<width>(from) : Vec<T, width>{};
      if (from) exists_ |= ((1u << width) - 1) << (i * width);
    }
  }
  __device__ void fetch_elements(const Source& source, int step) {
    exists_ = 0;
    ATROUS_UNROLL
    for (int e = 0; e < width; ++e) {
      ATROUS_UNROLL
      for (int i = 0; i < Layout::chunks; ++i) {
        const T* from = source.at(i, step, e);
        chunk_[i][e] = from ? *from : T{};
        if (from) exists_ |= 1u << (i * width + e);
      }
    }
  }
  __device__ void fetch(const Source& source, int step) {
    source.vectorised ? fetch_vectors(source, step) : fetch_elements(source, step);
  }
  __device__ void put(const Source& source, int step, unsigned char* tile) {
    if constexpr (requires { source.has_prologue; }) {
      if (source.has_prologue) apply_prologue(source, step);
    }
    ATROUS_UNROLL
    for (int i = 0; i < Layout::chunks; ++i) {
      store<width>(reinterpret_cast<T*>(tile + Layout::offset(Layout::row(i), Layout::chunk())), chunk_[i]);
    }
  }
};

// How operands come into shared memory.
enum class Transfer {
  copies,    // both by asynchronous copies, several steps ahead
  prologue,  // A by way of registers, one step ahead; both in vectors
  elements,  // both by way of registers, each in vectors or element by element
};

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
