// Normalisation modules, and the convolution that they follow.
#include <numeric>
#include <optional>

#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/low_precision.h"
#include "layers/modules.h"
#include "layers/pointwise.h"

namespace atrous::layers {

std::string Norm::arguments() const {
  return std::to_string(channels);
}

BatchNorm2d::BatchNorm2d(int64_t c, double e, double m)
    : Norm(c),
      eps(e),
      momentum(m),
      weight(register_parameter("weight", Tensor::empty({c}))),
      bias(register_parameter("bias", Tensor::empty({c}))),
      running_mean(register_buffer("running_mean", Tensor::empty({c}))),
      running_var(register_buffer("running_var", Tensor::empty({c}))),
      num_batches_tracked(register_buffer("num_batches_tracked", Tensor::zeros({}, DType::i64))) {}

void BatchNorm2d::initialise_own(const KeyOf&) {
  weight.value().fill(1);
  bias.value().fill(0);
  running_mean.fill(0);
  running_var.fill(1);
  num_batches_tracked.fill(0);
}

Variable BatchNorm2d::forward(const Variable& x, Activation activation, const Variable& residual,
                              const Tensor& out, const Tensor& sums) const {
  const ModuleScope scope(name());
  BatchNormOptions options;
  options.training = training();
  options.momentum = momentum;
  options.eps = eps;
  options.activation = activation;
  if (training()) {
    options.sums = sums;
    *num_batches_tracked.data<int64_t>() += 1;
  }
  return batch_norm(x, weight, bias, running_mean, running_var, options, residual, out);
}

kernels::BatchNormConstants BatchNorm2d::constants() const {
  if (training()) return {};
  return {weight.value(), bias.value(), running_mean, running_var, eps};
}

FrozenBatchNorm2d::FrozenBatchNorm2d(int64_t c, double e)
    : Norm(c),
      eps(e),
      weight(register_buffer("weight", Tensor::empty({c}))),
      bias(register_buffer("bias", Tensor::empty({c}))),
      running_mean(register_buffer("running_mean", Tensor::empty({c}))),
      running_var(register_buffer("running_var", Tensor::empty({c}))) {}

void FrozenBatchNorm2d::initialise_own(const KeyOf&) {
  weight.fill(1);
  bias.fill(0);
  running_mean.fill(0);
  running_var.fill(1);
}

Variable FrozenBatchNorm2d::forward(const Variable& x, Activation activation, const Variable& residual,
                                    const Tensor& out, const Tensor&) const {
  const ModuleScope scope(name());
  BatchNormOptions options;
  options.training = false;
  options.eps = eps;
  options.activation = activation;
  return batch_norm(x, Variable(weight), Variable(bias), running_mean, running_var, options, residual, out);
}

kernels::BatchNormConstants FrozenBatchNorm2d::constants() const {
  return {weight, bias, running_mean, running_var, eps};
}

GroupNorm::GroupNorm(int64_t g, int64_t c, double e)
    : Norm(c),
      groups(g),
      eps(e),
      weight(register_parameter("weight", Tensor::empty({c}))),
      bias(register_parameter("bias", Tensor::empty({c}))) {}

void GroupNorm::initialise_own(const KeyOf&) {
  weight.value().fill(1);
  bias.value().fill(0);
}

std::string GroupNorm::arguments() const {
  return fmt::format("{} in {} groups", channels, groups);
}

Variable GroupNorm::forward(const Variable& x, Activation activation, const Variable& residual,
                            const Tensor& out, const Tensor&) const {
  const ModuleScope scope(name());
  if (!residual.defined()) return group_norm(x, groups, weight, bias, eps, activation, out);
  ATROUS_ASSERT(!out.defined() && activation != Activation::relu6);
  const Variable sum = add(group_norm(x, groups, weight, bias, eps), residual);
  return activation == Activation::relu ? relu_(sum) : sum;
}

std::shared_ptr<Norm> make_norm(const NormOptions& options, int64_t channels) {
  const auto& [kind, eps, momentum] = options;
  switch (kind) {
    case NormKind::batch: return std::make_shared<BatchNorm2d>(channels, eps, momentum);
    case NormKind::frozen: return std::make_shared<FrozenBatchNorm2d>(channels, eps);
    case NormKind::group: return std::make_shared<GroupNorm>(std::gcd(channels, int64_t{32}), channels, eps);
    case NormKind::none: break;
  }
  return nullptr;
}

ConvNorm Block::conv_norm(const std::string& conv_name, const std::string& norm_name, Conv2dArgs args,
                          const NormOptions& norm_options) {
  args.bias = norm_options.kind == NormKind::none;
  ConvNorm both{register_module<Conv2d>(conv_name, args), make_norm(norm_options, args.out)};
  if (both.norm) add_child(norm_name, both.norm);
  return both;
}

namespace {

struct FusedConv {
  Tensor weight, bias, residual, out, channel_sums;
  bool relu = false;
  kernels::KeptFilters* kept = nullptr;
};

Tensor run_conv(const Tensor& x, const FusedConv& f, const Conv2dOptions& options) {
  kernels::Conv2dFusion fusion;
  fusion.bias = f.bias;
  fusion.residual = f.residual;
  fusion.relu = f.relu;
  fusion.channel_sums = f.channel_sums;
  fusion.kept = f.kept;
  return kernels::conv2d(x, f.weight, options, fusion, f.out);
}

// Whether more than a bias may run in the convolution's pass: the kernels for depthwise filters do not
// support it.
bool is_fusible(const Conv2d& conv) {
  return conv.args.groups == 1 || conv.args.groups != conv.args.in;
}

// relu?(conv(x) + bias) on the tape.
Variable conv_on_tape(const Conv2d& conv, const Variable& x, bool relu, const Tensor& out,
                      const Tensor& channel_sums) {
  const Conv2dOptions options = conv.options();
  if (grad_enabled()) conv.inference_filter.drop();
  FusedConv fused{.weight = {},
                  .bias = conv.bias.defined() ? conv.bias.value() : Tensor(),
                  .residual = {},
                  .out = out,
                  .channel_sums = channel_sums,
                  .relu = relu};
  std::shared_ptr<InferenceFilter::Ready> ready;
  if (grad_enabled()) {
    fused.weight = filter_for(conv.weight, x.dtype());
  } else {
    ready = conv.inference_filter.get(conv.weight, conv.bias, {}, x.dtype());
    fused.weight = ready->weight;
    fused.kept = &ready->forms;
  }
  const Tensor y = run_conv(x.value(), fused, options);
  const Variable z = conv2d_on_tape(y, x, conv.weight, conv.bias, options);
  if (!relu) return z;
  // One pass forward, two entries on the tape: so dy is freed before the convolution runs backward from its
  // masked copy. The ReLU's mask is computed from the output; nothing more is kept than without it.
  return record("relu", y, {z}, [y = Saved(y)](const BackwardContext& ctx) -> std::vector<Tensor> {
    const Tensor masked = ctx.room_for_grad();
    kernels::unary_backward(kernels::Unary::relu, y.get(), ctx.grad(), masked);
    return {masked};
  });
}

kernels::Unary op_of(Activation activation) {
  return activation == Activation::relu6 ? kernels::Unary::relu6 : kernels::Unary::relu;
}

// norm(conv(x)) as one convolution, without a tape. An activation that the convolution cannot apply runs in
// place behind it.
Tensor folded_conv(const Conv2d& conv, const kernels::BatchNormConstants& constants, const Tensor& x,
                   const ConvNormActOptions& options) {
  const auto folded = conv.inference_filter.get(conv.weight, conv.bias, constants, x.dtype());
  const Conv2dOptions o = conv.options();
  const bool fused = is_fusible(conv) && options.activation == Activation::relu;
  const Tensor y = run_conv(x,
                            {.weight = folded->weight,
                             .bias = folded->bias,
                             .residual = options.residual.defined() ? options.residual.value() : Tensor(),
                             .out = options.out,
                             .channel_sums = {},
                             .relu = fused,
                             .kept = &folded->forms},
                            o);
  if (!fused && options.activation != Activation::none)
    kernels::unary_forward(op_of(options.activation), y, y);
  return y;
}

}  // namespace

Variable conv_norm_act(const Conv2d& conv, const Norm* norm, const Variable& x,
                       const ConvNormActOptions& options) {
  // Hooks see each module's own output.
  const bool apart = OutputHook::any();
  const bool fusible = is_fusible(conv);
  if (!norm) {
    // The epilogue of the convolution can apply a ReLU; the rarer cases are separate passes.
    std::optional<ModuleScope> scope(std::in_place, conv.name());
    const bool fused =
        fusible && options.activation == Activation::relu && !options.residual.defined() && !apart;
    Variable z = conv_on_tape(conv, x, fused, options.out, {});
    if (apart) scope.reset();
    if (options.residual.defined()) {
      ATROUS_ASSERT(!options.out.defined());
      z = add(z, options.residual);
    }
    if (fused || options.activation == Activation::none) return z;
    return unary_(op_of(options.activation), z);
  }
  const bool can_fold = (fusible || !options.residual.defined()) && !grad_enabled() &&
                        conv.weight.dtype() == DType::f32 && !apart;
  if (can_fold) {
    const kernels::BatchNormConstants constants = norm->constants();
    const ModuleScope scope(conv.name());
    if (constants.gamma.defined()) return Variable(folded_conv(conv, constants, x.value(), options));
  }
  Tensor sums;
  if (fusible && norm->wants_sums()) sums = Tensor::empty({2, conv.args.out}, DType::f64, x.value().device());
  Variable z;
  {
    const ModuleScope scope(conv.name());
    z = conv_on_tape(conv, x, false, {}, sums);
  }
  return norm_act(*norm, z, options, sums);
}

Variable norm_act(const Norm& norm, const Variable& x, const ConvNormActOptions& o, const Tensor& sums) {
  if (!OutputHook::any()) return norm.forward(x, o.activation, o.residual, o.out, sums);
  ATROUS_ASSERT(!o.residual.defined() || !o.out.defined());
  Variable y = norm.forward(x, Activation::none, {}, o.out, sums);
  if (o.residual.defined()) y = add(y, o.residual);
  return o.activation == Activation::none ? y : unary_(op_of(o.activation), y);
}

}  // namespace atrous::layers
