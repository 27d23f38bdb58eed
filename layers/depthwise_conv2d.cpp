#include "layers/depthwise_conv2d.h"

#include "layers/low_precision.h"

namespace atrous::layers {

Variable depthwise_conv2d(const Variable& x, const Variable& w, const Variable& bias,
                          const DepthwiseConv2dOptions& options, const Tensor& out) {
  const bool has_bias = bias.defined();
  const Tensor filter = filter_for(w, x.dtype());
  const Tensor y =
      kernels::depthwise_conv2d(x.value(), filter, has_bias ? bias.value() : Tensor(), options, out);
  std::vector<Variable> inputs{x, w};
  if (has_bias) inputs.push_back(bias);
  return record(
      "depthwise_conv2d", y, inputs,
      [x = Saved(x.value()), w = Saved(filter), options,
       has_bias](const BackwardContext& ctx) -> std::vector<Tensor> {
        const Tensor& dy = ctx.grad();
        std::vector<Tensor> grads(has_bias ? 3 : 2);
        if (ctx.needs(0)) {
          grads[0] = kernels::depthwise_conv2d_backward_input(dy, w.get(), options, x.get().shape());
        }
        if (ctx.needs(1)) {
          grads[1] = kernels::depthwise_conv2d_backward_weight(dy, x.get(), options, w.get().shape());
        }
        if (has_bias && ctx.needs(2)) grads[2] = kernels::conv2d_backward_bias(dy);
        return grads;
      });
}

}  // namespace atrous::layers
