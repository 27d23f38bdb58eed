// The implementations of dropout; private to this folder.
#pragma once

#include "kernels/dropout/dropout.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using DropoutFn = void(const DropoutProblem&, const Tensor& x, const Tensor& y);
DropoutFn dropout_ref, dropout_cpu;
ATROUS_DECLARE_ON_GPU(DropoutFn dropout_scalar, dropout_vectorised;)

// uniform = bits * 2^-24 >= p  <=>  bits >= ceil(p * 2^24): integers decide, as exactly as the comparison
// itself.
inline uint32_t dropout_threshold(double p) {
  const double scaled = p * 0x1p24;
  const auto threshold = static_cast<uint32_t>(scaled);
  return static_cast<double>(threshold) < scaled ? threshold + 1 : threshold;
}

}  // namespace atrous::kernels
