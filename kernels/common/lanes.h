// Vectors of L floats for kernels that are compiled once per instruction set: L = 4 anywhere, 8 with AVX2, 16
// with AVX-512.
//
// Everything is in an unnamed namespace: files compiled for different instruction sets must not share inline
// functions, or the linker keeps one version for all CPUs.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/common/exp_math.h"

namespace atrous::kernels {
namespace {

template <int L>
struct Lanes {
  typedef float F __attribute__((vector_size(L * sizeof(float))));
  typedef uint32_t U __attribute__((vector_size(L * sizeof(float))));
  typedef int32_t I __attribute__((vector_size(L * sizeof(float))));

  static F load(const float* p) {
    F v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static void store(float* p, const F& v) { std::memcpy(p, &v, sizeof v); }
  static F all(float x) { return F{} + x; }
  static I iota() { return iota(std::make_integer_sequence<int32_t, L>()); }
  static F exp(F v) {
    exp_in_place<Lanes>(v);
    return v;
  }
  // Reductions over the lanes, in every lane of the result. The order of the sum is fixed.
  static F max_of(F v) {
    max_step<L / 2>(v);
    return v;
  }
  static F sum_of(F v) {
    sum_step<L / 2>(v);
    return v;
  }

 private:
  template <int32_t... i>
  static I iota(std::integer_sequence<int32_t, i...>) {
    return I{i...};
  }
  template <int step, int... i>
  static F exchanged(const F& v, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (i ^ step)...);
  }
  template <int step>
  static void max_step(F& v) {
    if constexpr (step > 0) {
      const F other = exchanged<step>(v, std::make_integer_sequence<int, L>());
      v = v > other ? v : other;
      max_step<step / 2>(v);
    }
  }
  template <int step>
  static void sum_step(F& v) {
    if constexpr (step > 0) {
      v = v + exchanged<step>(v, std::make_integer_sequence<int, L>());
      sum_step<step / 2>(v);
    }
  }
};

}  // namespace
}  // namespace atrous::kernels
