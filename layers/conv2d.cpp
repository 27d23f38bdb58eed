#include "layers/conv2d.h"

#include "layers/low_precision.h"

namespace atrous::layers {

Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const Conv2dOptions& options,
                Tensor out) {
  kernels::Conv2dFusion fusion;
  if (bias.defined()) fusion.bias = bias.value();
  return conv2d_on_tape(kernels::conv2d(x.value(), filter_for(w, x.dtype()), options, fusion, std::move(out)),
                        x, w, bias, options);
}

Variable conv2d_on_tape(const Tensor& y, const Variable& x, const Variable& w, const Variable& bias,
                        const Conv2dOptions& options) {
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return record("conv2d", y, inputs,
                [x = Saved(x.value()), w = Saved(filter_for(w, x.dtype())), options,
                 has_bias = bias.defined()](const BackwardContext& ctx) -> std::vector<Tensor> {
                  const Tensor& dy = ctx.grad();
                  std::vector<Tensor> grads(has_bias ? 3 : 2);
                  if (ctx.needs(0))
                    grads[0] = kernels::conv2d_backward_input(dy, w.get(), options, x.get().shape());
                  if (ctx.needs(1))
                    grads[1] = kernels::conv2d_backward_weight(dy, x.get(), options, w.get().shape());
                  if (has_bias && ctx.needs(2)) grads[2] = kernels::conv2d_backward_bias(dy);
                  return grads;
                });
}

}  // namespace atrous::layers
