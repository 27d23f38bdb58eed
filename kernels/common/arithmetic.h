// The arithmetic that an implementation uses, and the arithmetic that a model allows.
#pragma once

#include "core/dtype.h"

namespace atrous::kernels {

// How the results of an implementation relate to those of the reference. Tests choose their tolerance by it.
enum class Accuracy : unsigned char {
  exact,      // the same values: ops that copy, compare or count
  reordered,  // the sums of the definition, added in another order
  winograd,   // other sums with the same result (Winograd): fewer products, larger rounding errors
  tf32,       // factors of f32 rounded to 10 bits of mantissa, on tensor cores
  bf16,       // factors of f32 rounded to 7 bits of mantissa; sums in f32
  inherited,  // the accuracy of the ops that it calls, with the same Math
};

// What a model allows. Part of the problem of every op that has such implementations, so that two models of
// different arithmetic can run in one process. bf16 activations are not part of it: they are a dtype.
struct Math {
  bool exact_sums = false;  // no Accuracy::winograd. Config key `exact`
  bool tf32 = false;        // Accuracy::tf32. Config key `math`, on devices
  bool bf16 = false;        // Accuracy::bf16. Config key `math`, on the CPU

  constexpr bool allows(Accuracy accuracy) const {
    switch (accuracy) {
      case Accuracy::exact:
      case Accuracy::reordered:
      case Accuracy::inherited: return true;
      case Accuracy::winograd: return !exact_sums;
      case Accuracy::tf32: return tf32;
      case Accuracy::bf16: return bf16;
    }
    return false;
  }
  // What `inherited` stands for: the least accurate that is allowed.
  constexpr Accuracy resolve(Accuracy accuracy) const {
    if (accuracy != Accuracy::inherited) return accuracy;
    return bf16         ? Accuracy::bf16
           : tf32       ? Accuracy::tf32
           : exact_sums ? Accuracy::reordered
                        : Accuracy::winograd;
  }
  bool operator==(const Math&) const = default;
};

// The dtype of per-channel vectors, statistics and gradients of parameters for activations of `dtype`.
constexpr DType parameter_dtype(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

// The math of a problem; f32 with any algorithm for problems without one.
template <class Problem>
Math math_of(const Problem& p) {
  if constexpr (requires { p.math; })
    return p.math;
  else
    return {};
}

}  // namespace atrous::kernels
