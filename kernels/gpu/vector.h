// Vector accesses and conversions. One 16-byte access moves 4 f32 or 8 bf16 channels of a pixel.
#pragma once

#include "core/tensor.h"
#include "kernels/gpu/compiler.h"
#if !defined(__CUDACC__)
#include "kernels/sim/sim.h"
#endif

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  T v[N];
  ATROUS_HD T& operator[](int i) { return v[i]; }
  ATROUS_HD const T& operator[](int i) const { return v[i]; }
};

// Elements of T in the widest access.
template <class T>
inline constexpr int vector_width = 16 / sizeof(T);

// On the simulator a misaligned access stops the kernel, as it does on a GPU.
template <class T, int N>
ATROUS_HD inline void check_alignment([[maybe_unused]] const T* p) {
#if !defined(__CUDACC__)
  if (reinterpret_cast<uintptr_t>(p) % (sizeof(T) * N)) {
    simulator::fail_kernel(
        fmt::format("misaligned access: {} bytes at address {}", sizeof(T) * N, static_cast<const void*>(p)));
  }
#endif
}

template <int N, class T>
ATROUS_HD inline Vec<T, N> load(const T* p) {
  check_alignment<T, N>(p);
  return *reinterpret_cast<const Vec<T, N>*>(p);
}
template <int N, class T>
ATROUS_HD inline void store(T* p, const Vec<T, N>& value) {
  check_alignment<T, N>(p);
  *reinterpret_cast<Vec<T, N>*>(p) = value;
}

// N elements as f32, from f32 or bf16 memory.
template <int N, class T>
ATROUS_HD inline Vec<float, N> load_f32(const T* p) {
  const Vec<T, N> raw = load<N>(p);
  Vec<float, N> result;
  for (int i = 0; i < N; ++i) result[i] = static_cast<float>(raw[i]);
  return result;
}
template <int N, class T>
ATROUS_HD inline void store_f32(T* p, const Vec<float, N>& value) {
  Vec<T, N> raw;
  for (int i = 0; i < N; ++i) raw[i] = static_cast<T>(value[i]);
  store<N>(p, raw);
}

// Whether every pixel of t can be read in groups of `n` channels: aligned start, stride and number of
// channels.
inline bool vectorises(const Tensor& t, int64_t n) {
  const auto bytes = static_cast<uintptr_t>(n) * size_of(t.dtype());
  return t.channels() % n == 0 && (t.pixels() <= 1 || t.pixel_stride() % n == 0) &&
         reinterpret_cast<uintptr_t>(t.device_raw()) % bytes == 0;
}

// A pixel-strided tensor as passed to a kernel: the channels of pixel i begin at at(i).
template <class T>
struct Pixels {
  T* data = nullptr;
  int64_t stride = 0;
  ATROUS_HD T* at(int64_t pixel) const { return data + pixel * stride; }
  ATROUS_HD explicit operator bool() const { return data != nullptr; }
};

template <class T>
Pixels<T> pixels_of(const Tensor& t) {
  if (!t.defined()) return {};
  return {t.device_data<std::remove_const_t<T>>(), t.pixel_stride()};
}

// From a run-time dtype to the element type of activations on a GPU: f(float{}) or f(bf16{}).
template <class F>
void visit_activation(DType dtype, F&& f) {
  if (dtype == DType::bf16) return f(bf16{});
  ATROUS_ASSERT(dtype == DType::f32);
  return f(float{});
}

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
