// Pixels of a block in shared memory, one row each, so that a thread can own a pixel while memory is read and
// written in order.
//
// A thread that reads its own pixel of 21 classes touches memory 84 bytes from its neighbour's. Through
// shared memory neighbouring threads touch neighbouring elements, 16 bytes each where the tensor is dense.
// The pitch is odd, so that 32 threads that walk along their rows access 32 different banks.
#pragma once

#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

inline constexpr int rows_per_block = 128;  // one per thread

ATROUS_HD constexpr int row_pitch(int channels) {
  return channels | 1;
}
inline constexpr size_t bytes_of_rows(int64_t channels) {
  return static_cast<size_t>(rows_per_block * row_pitch(static_cast<int>(channels))) * sizeof(float);
}

// Whether blocks may move rows of t in 16-byte accesses: the rows of a block are then one aligned range.
inline bool rows_are_dense(const Tensor& t) {
  return t.contiguous() && reinterpret_cast<uintptr_t>(t.device_raw()) % 16 == 0;
}

// f(element, row, channel) for groups of N elements of `count` rows; row and channel are those of the first.
template <int N, class F>
__device__ inline void for_each_in_rows(int count, int channels, F&& f) {
  const int elements = count * channels;
  for (int e = static_cast<int>(threadIdx.x) * N; e < elements; e += rows_per_block * N) {
    const int row = e / channels;
    f(e, row, e - row * channels);
  }
}

// rows[p][k] = channel k of pixel first + p, for `count` pixels. No barrier.
template <class T>
__device__ inline void load_rows(float* rows, Pixels<const T> from, bool dense, int64_t first, int count,
                                 int channels) {
  const int pitch = row_pitch(channels), elements = count * channels;
  const T* start = from.at(first);
  if (!dense) {
    for_each_in_rows<1>(count, channels, [&](int, int row, int c) {
      rows[row * pitch + c] = static_cast<float>(start[row * from.stride + c]);
    });
    return;
  }
  constexpr int n = vector_width<T>;
  for_each_in_rows<n>(count, channels, [&](int e, int row, int c) {
    Vec<float, n> v;
    if (e + n <= elements) {
      v = load_f32<n>(start + e);
    } else {
      ATROUS_UNROLL
      for (int i = 0; i < n; ++i) v[i] = e + i < elements ? static_cast<float>(start[e + i]) : 0.0f;
    }
    ATROUS_UNROLL
    for (int i = 0; i < n; ++i) {
      if (e + i < elements) rows[row * pitch + c] = v[i];
      if (++c == channels) c = 0, ++row;
    }
  });
}

// The other way; the pixels at `to` are dense and aligned.
template <class T>
__device__ inline void store_rows(T* to, const float* rows, int64_t first, int count, int channels) {
  const int pitch = row_pitch(channels), elements = count * channels;
  T* start = to + first * channels;
  constexpr int n = vector_width<T>;
  for_each_in_rows<n>(count, channels, [&](int e, int row, int c) {
    Vec<float, n> v;
    ATROUS_UNROLL
    for (int i = 0; i < n; ++i) {
      v[i] = e + i < elements ? rows[row * pitch + c] : 0.0f;
      if (++c == channels) c = 0, ++row;
    }
    if (e + n <= elements) {
      store_f32(start + e, v);
    } else {
      ATROUS_UNROLL
      for (int i = 0; i < n; ++i) {
        if (e + i < elements) start[e + i] = static_cast<T>(v[i]);
      }
    }
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
