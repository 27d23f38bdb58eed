#include "layers/scaled_gradient.h"

#include "core/parallel.h"

namespace atrous::layers {
namespace {

template <class T>
Tensor scaled(const Tensor& x, double factor) {
  const Tensor y = Tensor::empty_like(x);
  const T f = static_cast<T>(factor);
  parallel_for(x.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y.data<T>()[i] = f * x.data<T>()[i];
  });
  return y;
}

}  // namespace

Variable record_with_gradient(const char* op, const Tensor& loss, const Variable& input,
                              const Tensor& gradient) {
  return record(op, loss, {input}, [gradient](const BackwardContext& ctx) -> std::vector<Tensor> {
    const double seed = ctx.grad().item();
    if (seed == 1.0) return {gradient};
    return {gradient.dtype() == DType::f32 ? scaled<float>(gradient, seed) : scaled<double>(gradient, seed)};
  });
}

Variable weighted_sum(const std::vector<Variable>& terms, const std::vector<double>& weights) {
  ATROUS_ASSERT(!terms.empty() && terms.size() == weights.size());
  const DType dtype = terms[0].dtype();
  double sum = 0;
  for (size_t i = 0; i < terms.size(); ++i) sum += weights[i] * terms[i].value().item();
  return record("weighted_sum", Tensor::scalar(sum, dtype), terms,
                [weights, dtype](const BackwardContext& ctx) {
                  std::vector<Tensor> grads;
                  for (size_t i = 0; i < weights.size(); ++i) {
                    grads.push_back(ctx.needs(static_cast<int>(i))
                                        ? Tensor::scalar(weights[i] * ctx.grad().item(), dtype)
                                        : Tensor());
                  }
                  return grads;
                });
}

}  // namespace atrous::layers
