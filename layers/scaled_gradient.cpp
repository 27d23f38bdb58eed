#include "layers/scaled_gradient.h"

#include "kernels/pointwise/pointwise.h"

namespace atrous::layers {
namespace {

// In double on the CPU; on a device in f32 kernels, so that the host need not wait for the terms.
Tensor sum_of(const std::vector<Variable>& terms, const std::vector<double>& weights) {
  const Tensor& first = terms[0].value();
  if (first.device() == Device::cpu) {
    double sum = 0;
    for (size_t i = 0; i < terms.size(); ++i) sum += weights[i] * terms[i].value().item();
    return Tensor::scalar(sum, first.dtype());
  }
  const Tensor sum = Tensor::empty_like(first), term = Tensor::empty_like(first);
  for (size_t i = 0; i < terms.size(); ++i) {
    kernels::unary_forward(kernels::Unary::scale, terms[i].value(), i == 0 ? sum : term, weights[i]);
    if (i > 0) kernels::binary_forward(kernels::Binary::add, sum, term, sum);
  }
  return sum;
}

}  // namespace

Variable record_with_gradient(const char* op, const Tensor& loss, const Variable& input,
                              const Tensor& gradient) {
  return record(op, loss, {input}, [gradient](const BackwardContext& ctx) -> std::vector<Tensor> {
    const double seed = ctx.grad().item();
    if (seed == 1.0) return {gradient};
    const Tensor scaled = Tensor::empty_like(gradient);
    kernels::unary_forward(kernels::Unary::scale, gradient, scaled, seed);
    return {scaled};
  });
}

Variable weighted_sum(const std::vector<Variable>& terms, const std::vector<double>& weights) {
  ATROUS_ASSERT(!terms.empty() && terms.size() == weights.size());
  return record("weighted_sum", sum_of(terms, weights), terms, [weights](const BackwardContext& ctx) {
    const Tensor& dy = ctx.grad();
    const double seed = dy.item();
    std::vector<Tensor> grads(weights.size());
    for (size_t i = 0; i < weights.size(); ++i) {
      if (ctx.needs(static_cast<int>(i)))
        grads[i] = Tensor::scalar(weights[i] * seed, dy.dtype(), dy.device());
    }
    return grads;
  });
}

}  // namespace atrous::layers
