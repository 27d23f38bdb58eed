// How threads share the elements of tensors of equal shape: each takes N neighbours, one 16-byte access where
// memory allows it.
//
// Tensors that are all dense are one long row; else each pixel is a separate row.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

inline constexpr int element_threads = 256;

struct Elements {
  int64_t rows = 0, width = 0;
  bool aligned = false;  // groups of 16 bytes lie on 16-byte boundaries in every tensor

  // Undefined tensors do not matter. With `by_pixel`, rows are pixels even if everything is dense.
  Elements(std::initializer_list<const Tensor*> tensors, bool by_pixel = false) {
    const Tensor& first = **tensors.begin();
    const bool dense = !by_pixel && std::all_of(tensors.begin(), tensors.end(), [](const Tensor* t) {
      return !t->defined() || t->contiguous();
    });
    rows = dense ? 1 : first.pixels();
    width = dense ? first.numel() : first.channels();
    aligned = std::all_of(tensors.begin(), tensors.end(), [&](const Tensor* t) {
      return !t->defined() ||
             (reinterpret_cast<uintptr_t>(t->device_raw()) % 16 == 0 &&
              (rows <= 1 || static_cast<size_t>(t->pixel_stride()) * size_of(t->dtype()) % 16 == 0));
    });
  }
  // Groups of n, the last of a row may be smaller.
  ATROUS_HD int64_t groups(int n) const { return rows * ((width + n - 1) / n); }
};

// The share of a thread: `count` elements of a row.
template <int N>
struct Group {
  int64_t row = 0, column = 0;
  int count = 0;

  __device__ Group(const Elements& e, int64_t index) {
    const int64_t per_row = (e.width + N - 1) / N;
    if (e.rows > 1) row = divide(index, per_row).quotient;
    column = (index - row * per_row) * N;
    count = static_cast<int>(min(static_cast<int64_t>(N), e.width - column));
  }

  template <class T>
  __device__ Vec<float, N> load(const Pixels<T>& from) const {
    const T* p = from.at(row) + column;
    if (count == N) return load_f32<N>(p);
    Vec<float, N> v;
    ATROUS_UNROLL
    for (int i = 0; i < N; ++i) v[i] = i < count ? static_cast<float>(p[i]) : 0.0f;
    return v;
  }
  template <class T>
  __device__ void store(const Pixels<T>& to, const Vec<float, N>& v) const {
    T* p = to.at(row) + column;
    if (count == N) return store_f32(p, v);
    ATROUS_UNROLL
    for (int i = 0; i < N; ++i) {
      if (i < count) p[i] = static_cast<T>(v[i]);
    }
  }
};

__device__ inline int64_t own_group() {
  return static_cast<int64_t>(blockIdx.x) * element_threads + threadIdx.x;
}

// run(width constant, blocks) for groups of 16 bytes if requested and memory allows it, else of one.
template <class T, class F>
void with_groups(const Elements& e, bool wide, F&& run) {
  if (wide && e.aligned) {
    constexpr int n = vector_width<T>;
    run(std::integral_constant<int, n>{}, blocks_for(e.groups(n), element_threads));
  } else {
    run(std::integral_constant<int, 1>{}, blocks_for(e.groups(1), element_threads));
  }
}

}  // namespace atrous::kernels::ATROUS_GPU
