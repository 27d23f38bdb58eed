// For losses whose forward pass has already computed the gradient of their one input.
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

// Puts the scalar `loss` on the tape; its backward returns `gradient` times the incoming scalar. On a device
// it waits for that number unless it lies in host memory (core/autograd.h, backward).
Variable record_with_gradient(const char* op, const Tensor& loss, const Variable& input,
                              const Tensor& gradient);

// sum_i weights[i] * terms[i], for scalar terms of one dtype, on their device. Gradients lie on the device of
// the incoming one.
Variable weighted_sum(const std::vector<Variable>& terms, const std::vector<double>& weights);

}  // namespace atrous::layers
