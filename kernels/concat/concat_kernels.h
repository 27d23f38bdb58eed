// Implementations of concat; concat.cpp lists them.
#pragma once

#include "kernels/concat/concat.h"

namespace atrous::kernels::concat {

void forward_ref(const ConcatProblem& p, const std::vector<Tensor>& parts, const Tensor& y);
void backward_ref(const ConcatProblem& p, const Tensor& dy, const std::vector<Tensor>& parts);

}  // namespace atrous::kernels::concat
