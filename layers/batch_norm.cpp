#include "layers/batch_norm.h"

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/common/arithmetic.h"
#include "kernels/pointwise/pointwise.h"

namespace atrous::layers {
namespace {

using kernels::Activation;

// Values saved for backward.
struct Context {
  Saved x, y, gamma;
  Saved beta;           // undefined if there was a residual
  Tensor mean, invstd;  // private to this call: no other code can change them
  Activation activation;
  bool training;
};

std::vector<Tensor> batch_norm_backward(const Context& s, const BackwardContext& ctx, bool has_residual) {
  const Tensor& dy = ctx.grad();
  const Tensor x = s.x.defined() ? s.x.get() : Tensor();
  const bool masked = s.activation != Activation::none;
  const Tensor y = masked ? s.y.get() : Tensor();
  const bool want_x = ctx.needs(0);
  const bool want_parameters = ctx.needs(1) || ctx.needs(2);
  const bool want_residual = has_residual && ctx.needs(3);

  Tensor dgamma, dbeta, masked_dy;
  if (want_residual && masked) masked_dy = ctx.room_for_grad();
  kernels::BatchNormApplied applied{.mean = s.mean,
                                    .invstd = s.invstd,
                                    .gamma = s.gamma.get(),
                                    .beta = s.beta.defined() ? s.beta.get() : Tensor(),
                                    .activation = s.activation};
  if (want_parameters || (want_x && s.training)) {
    dgamma = Tensor::empty_like(s.gamma.get());
    dbeta = Tensor::empty_like(dgamma);
    kernels::batch_norm_backward_sums(x, y, dy, applied, dgamma, dbeta, masked_dy);
  } else if (masked_dy.defined()) {
    // The sums are not needed, and x may be freed already.
    const bool relu6 = s.activation == Activation::relu6;
    kernels::unary_backward(relu6 ? kernels::Unary::relu6 : kernels::Unary::relu, y, dy, masked_dy);
  }
  // If the masked gradient exists, the second pass reads it instead of y and dy.
  if (masked_dy.defined()) applied.activation = Activation::none;
  const Tensor& g = masked_dy.defined() ? masked_dy : dy;
  Tensor dx;
  if (want_x) {
    dx = want_residual ? Tensor::empty_like(dy) : ctx.room_for_grad();
    kernels::batch_norm_backward_input(x, y, g, applied, s.training ? dgamma : Tensor(),
                                       s.training ? dbeta : Tensor(), dx);
  }
  std::vector<Tensor> grads{dx, ctx.needs(1) ? dgamma : Tensor(), ctx.needs(2) ? dbeta : Tensor()};
  if (has_residual) grads.push_back(want_residual ? g : Tensor());
  return grads;
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    const Tensor& running_mean, const Tensor& running_var, const BatchNormOptions& options,
                    const Variable& residual, const Tensor& out) {
  const Tensor& input = x.value();
  const DType dtype = kernels::parameter_dtype(input.dtype());
  Tensor mean, invstd;
  if (options.training) {
    // A single value is its own mean: the result would be the bias, whatever the input, and the gradient 0.
    // PyTorch refuses it too.
    ATROUS_CHECK(
        input.pixels() > 1, ErrorKind::config,
        "[batch_norm{}{}] training needs more than one value per channel. Got {}. Use at least 2 images per "
        "batch and drop the short last batch, or set model.norm to \"group\" or \"frozen\".",
        ModuleScope::path().empty() ? "" : " ", ModuleScope::path(), input.describe());
    mean = Tensor::empty({input.channels()}, dtype, input.device());
    const Tensor variance = Tensor::empty_like(mean);
    if (options.sums.defined()) {
      kernels::batch_norm_statistics_from_sums(options.sums, input.pixels(), mean, variance);
    } else {
      kernels::batch_norm_statistics(input, mean, variance);
    }
    if (running_mean.defined()) {
      kernels::batch_norm_update_running(mean, variance, input.pixels(), options.momentum, running_mean,
                                         running_var);
    }
    invstd = kernels::batch_norm_invstd(variance, options.eps, dtype);
  } else {
    ATROUS_CHECK(running_mean.defined() && running_var.defined(), ErrorKind::usage,
                 "[batch_norm] evaluation needs running statistics. Got none. Load weights or train first.");
    // A copy: the running statistics may change before backward.
    mean = running_mean.dtype() == dtype ? running_mean.clone() : running_mean.to(dtype);
    invstd = kernels::batch_norm_invstd(running_var, options.eps, dtype);
  }
  const Tensor y = out.defined() ? out : Tensor::empty_like(input);
  kernels::batch_norm_apply(input, mean, invstd, gamma.value(), beta.value(),
                            residual.defined() ? residual.value() : Tensor(), options.activation, y);

  std::vector<Variable> inputs{x, gamma, beta};
  if (residual.defined()) inputs.push_back(residual);
  const bool keep_y = options.activation != Activation::none;
  // With constant statistics and frozen parameters the gradient is dy times a constant: x is not saved.
  const bool keep_x = options.training || any_requires_grad({&gamma, &beta});
  Context saved{keep_x ? Saved(input) : Saved(),
                keep_y ? Saved(y) : Saved(),
                Saved(gamma.value()),
                residual.defined() ? Saved() : Saved(beta.value()),
                mean,
                invstd,
                options.activation,
                options.training};
  return record("batch_norm", y, std::move(inputs),
                [saved = std::move(saved), has_residual = residual.defined()](const BackwardContext& ctx) {
                  return batch_norm_backward(saved, ctx, has_residual);
                });
}

}  // namespace atrous::layers
