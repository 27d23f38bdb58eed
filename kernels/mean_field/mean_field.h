// Not differentiable: no layer.
//
// One mean-field update of a dense CRF (Krähenbühl and Koltun 2011). Per pixel,
//
//   z = log_unary - sum over the kernels m of C_m(v_m)      q = softmax(z)
//
// where v_m are the probabilities of the classes as kernel m has filtered them over the whole image, and C_m,
// the compatibility, turns them into costs of each class. Slicing v_m from a lattice, compatibility, sum and
// softmax are one pass over the pixels. (For training, the update is made of differentiable
// layers.)
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/common/validation.h"
#include "kernels/lattice_build/lattice_build.h"

namespace atrous::kernels {

struct MeanFieldTerm {
  Tensor filtered = {};  // v [N, C], any pixel stride; undefined: lattice_slice(lattice, vertex_values)
  Lattice lattice = {};
  Tensor vertex_values = {};  // [V, C], any pixel stride
  // [1]: C(v) = compatibility v; [C]: a factor per class; [C, C]: the product of matrix and v.
  Tensor compatibility = {};

  static void each_tensor(auto& self, const auto& f) {
    f(self.filtered);
    f(self.lattice);
    f(self.vertex_values);
    f(self.compatibility);
  }
};

struct MeanFieldProblem {
  int64_t points = 0, channels = 0;
  std::string kernels = {};  // one letter each: f filtered, l lattice; behind it s, d or m: the compatibility
  DType dtype = DType::f32;
  std::string str() const;  // "n2304 c21 fs ls f32"
};

// q [N, C] from log_unary, N rows of C classes in any shape with any pixel stride. f32 or (on the CPU) f64.
// Without terms it is softmax(log_unary). At most mean_field_most_terms. Written into `out` if given. Errors
// (usage): other sizes, types and devices.
Tensor mean_field_update(const Tensor& log_unary, const std::vector<MeanFieldTerm>& terms, Tensor out = {});
inline constexpr size_t mean_field_most_terms = 4;

// log(max(p, 1e-5)) of probabilities, N rows of C classes in any shape, f32 or (on the CPU) f64 -> [N, C].
// The floor is pydensecrf's: no class is excluded for good. Errors: another type, no pixels, fewer than two
// classes (usage); a pixel whose probabilities are negative or NaN or do not sum to 1 within 0.01 (data),
// which leaves room for probabilities that were stored in half precision.
Tensor mean_field_unary(const Tensor& probabilities);
inline constexpr double least_probability = 1e-5, probability_sum_tolerance = 0.01;

}  // namespace atrous::kernels
