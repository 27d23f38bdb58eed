// Inputs of the cases of ops on boxes. Boxes and scores are f32 in every run: never rounded to bf16, and made
// f32 again where the oracle's inputs are f64, since a decision that falls otherwise in f64 is no error.
#pragma once

#include <limits>

#include "tests/kernels/op_case.h"

namespace atrous::cases {

inline Input boxes_input(int64_t n, bool bad = false) {
  return {.shape = {n, 4}, .fill = bad ? Fill::bad_boxes : Fill::boxes, .parameter = true};
}

// In exact runs nearly all scores are equal to others.
inline Input scores_input(const Shape& shape) {
  return {.shape = shape, .fill = Fill::real, .parameter = true};
}

inline Tensor in_f32(const Tensor& t) {
  return t.to(DType::f32);
}

// Every fifth score replaced by NaN or an infinity.
inline Tensor spoiled_scores(const Tensor& scores) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float wrong[] = {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity};
  const Tensor host = scores.to(Device::cpu).to(DType::f32).clone();
  for (int64_t i = 2; i < host.numel(); i += 5) host.data<float>()[i] = wrong[i % 3];
  return host.to(scores.device());
}

}  // namespace atrous::cases
