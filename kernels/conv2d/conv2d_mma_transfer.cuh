// How a Source (conv2d_mma.cuh) is loaded into shared memory: by asynchronous copies or by way of registers.
#pragma once

#include "kernels/conv2d/conv2d_mma_layout.cuh"
#include "kernels/gpu/async.h"

namespace atrous::kernels::ATROUS_GPU {

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

// How operands are loaded into shared memory.
enum class Transfer {
  copies,    // both by asynchronous copies, several steps ahead
  prologue,  // A by way of registers, one step ahead; both in vectors
  elements,  // both by way of registers, each in vectors or element by element
};

}  // namespace atrous::kernels::ATROUS_GPU
