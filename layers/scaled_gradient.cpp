#include "layers/scaled_gradient.h"

#include "kernels/pointwise/pointwise.h"

namespace atrous::layers {

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
  const DType dtype = terms[0].dtype();
  const Device device = terms[0].value().device();
  double sum = 0;
  for (size_t i = 0; i < terms.size(); ++i) sum += weights[i] * terms[i].value().item();
  return record("weighted_sum", Tensor::scalar(sum, dtype, device), terms,
                [weights, dtype, device](const BackwardContext& ctx) {
                  std::vector<Tensor> grads;
                  for (size_t i = 0; i < weights.size(); ++i) {
                    grads.push_back(ctx.needs(static_cast<int>(i))
                                        ? Tensor::scalar(weights[i] * ctx.grad().item(), dtype, device)
                                        : Tensor());
                  }
                  return grads;
                });
}

}  // namespace atrous::layers
