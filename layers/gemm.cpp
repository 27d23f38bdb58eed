#include "layers/gemm.h"

#include "kernels/conv2d/conv2d.h"
#include "layers/low_precision.h"

namespace atrous::layers {
namespace {

using kernels::GemmForm;

// [..., C] as a matrix [pixels, C].
Tensor as_matrix(const Tensor& t) {
  return t.reshape({t.pixels(), t.channels()});
}

}  // namespace

Variable linear(const Variable& x, const Variable& w, const Variable& bias, kernels::Math math) {
  ATROUS_CHECK(
      x.shape().rank() >= 1 && w.shape().rank() == 2 && x.dim(-1) == w.dim(1), ErrorKind::usage,
      "[linear] the last axis of the input must match the weight [O,I]. Got input {}, weight {}. Check the "
      "layer's sizes.",
      x.value().describe(), w.value().describe());
  const Tensor matrix = filter_for(w, x.dtype());
  const Tensor y = kernels::gemm(as_matrix(x.value()), matrix, GemmForm::nt,
                                 bias.defined() ? bias.value() : Tensor(), {}, math)
                       .reshape(x.shape().with(-1, w.dim(0)));
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return record("linear", y, inputs,
                [x = Saved(x.value()), w = Saved(matrix), math,
                 has_bias = bias.defined()](const BackwardContext& ctx) -> std::vector<Tensor> {
                  const Tensor dy = as_matrix(ctx.grad());
                  std::vector<Tensor> grads(has_bias ? 3 : 2);
                  if (ctx.needs(0))
                    grads[0] =
                        kernels::gemm(dy, w.get(), GemmForm::nn, {}, {}, math).reshape(x.get().shape());
                  if (ctx.needs(1))
                    grads[1] = kernels::gemm(dy, as_matrix(x.get()), GemmForm::tn, {}, {}, math);
                  if (has_bias && ctx.needs(2)) grads[2] = kernels::conv2d_backward_bias(dy);
                  return grads;
                });
}

}  // namespace atrous::layers
