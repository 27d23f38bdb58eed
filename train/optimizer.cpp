#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "layers/low_precision.h"

namespace atrous::train {

using kernels::OptimizerRule;

OptimizerForm form_of(const OptimizerOptions& options) {
  switch (options.name) {
    case OptimizerKind::sgd:
      if (options.momentum == 0) return {OptimizerRule::plain_sgd, {}};
      return {OptimizerRule::sgd, {"momentum"}};
    case OptimizerKind::adam:  // Kingma & Ba, arXiv 1412.6980
      return {OptimizerRule::adam, {"exp_avg", "exp_avg_sq"}};
    case OptimizerKind::adamw:  // Loshchilov & Hutter, arXiv 1711.05101
      return {OptimizerRule::adam, {"exp_avg", "exp_avg_sq"}, /*decoupled_decay=*/true};
    case OptimizerKind::rmsprop: return {OptimizerRule::rmsprop, {"square_avg", "momentum"}};
  }
  fail(ErrorKind::internal, "[optimizer] unknown optimiser");
}

Optimizer::Optimizer(const OptimizerOptions& options, const std::vector<layers::NamedParameter>& parameters,
                     const InBackbone& in_backbone, bool bf16_copies)
    : options_(options), form_(form_of(options)) {
  const std::vector<ParameterRate> rates = parameter_rates(options, parameters, in_backbone);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const layers::NamedParameter& p = parameters[i];
    if (!p.variable.requires_grad()) continue;
    const Tensor& value = p.variable.value();
    ATROUS_CHECK(value.dtype() == DType::f32 && value.contiguous(), ErrorKind::internal,
                 "[optimizer] parameters must be contiguous f32. Got {} for {}. Convert the network first.",
                 value.describe(), p.name);
    group_of(rates[i]).slots.push_back(slots_.size());
    Slot& slot = slots_.emplace_back();
    slot.name = p.name;
    slot.parameter = p.variable;
    for (size_t m = 0; m < form_.moments.size(); ++m) slot.moments.push_back(Tensor::zeros_like(value));
    if (bf16_copies) slot.bf16_copy = Tensor::empty(value.shape(), DType::bf16, value.device());
  }
  ATROUS_CHECK(!slots_.empty(), ErrorKind::config,
               "[optimizer] at least one parameter must be trainable. Got none. Shorten model.freeze.");
}

Optimizer::Group& Optimizer::group_of(const ParameterRate& rate) {
  for (Group& group : groups_) {
    if (group.rate == rate) return group;
  }
  return groups_.emplace_back(Group{rate, {}});
}

double Optimizer::gradient_norm() const {
  return std::sqrt(squared_gradient_norm().item());
}

Tensor Optimizer::squared_gradient_norm() const {
  std::vector<Tensor> gradients;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined())
      gradients.push_back(slot.parameter.grad().contiguous_copy_if_needed());
  }
  const Tensor sum = Tensor::empty({1}, DType::f64, slots_[0].parameter.value().device());
  kernels::sum_of_squares(gradients, sum);
  return sum;
}

kernels::OptimizerCoefficients Optimizer::coefficients(const Group& group, double lr,
                                                       double gradient_scale) const {
  const double rate = lr * group.rate.lr_factor;
  const bool decoupled = form_.decoupled_decay;
  // The moments' bias is that of the steps that they have seen.
  const auto t = static_cast<double>(steps_ - group.rate.first_step);
  kernels::OptimizerCoefficients c;
  c.lr = static_cast<float>(rate);
  c.weight_decay = static_cast<float>(decoupled ? 0 : group.rate.weight_decay);
  c.shrink = static_cast<float>(decoupled ? 1 - rate * group.rate.weight_decay : 1);
  c.gradient_scale = static_cast<float>(gradient_scale);
  c.momentum = static_cast<float>(options_.momentum);
  c.beta1 = static_cast<float>(options_.beta1);
  c.beta2 = static_cast<float>(options_.beta2);
  c.eps = static_cast<float>(options_.eps);
  c.alpha = static_cast<float>(options_.alpha);
  c.rest1 = static_cast<float>(1 - options_.beta1);
  c.rest2 = static_cast<float>(1 - options_.beta2);
  c.rest_alpha = static_cast<float>(1 - options_.alpha);
  c.correction1 = static_cast<float>(rate / (1 - std::pow(options_.beta1, t)));
  c.correction2 = static_cast<float>(std::sqrt(1 - std::pow(options_.beta2, t)));
  c.nesterov = options_.nesterov;
  return c;
}

void Optimizer::step(double lr, double gradient_norm) {
  NoGradGuard no_grad;
  ++steps_;
  double scale = 1;
  if (options_.clip_norm > 0) scale = std::min(1.0, options_.clip_norm / (gradient_norm + 1e-6));
  for (const Group& group : groups_) {
    if (steps_ <= group.rate.first_step) continue;
    std::vector<kernels::ParameterUpdate> updates;
    for (size_t i : group.slots) {
      const Slot& slot = slots_[i];
      if (!slot.parameter.grad().defined()) continue;
      kernels::ParameterUpdate& u = updates.emplace_back();
      u.value = slot.parameter.value();
      u.gradient = slot.parameter.grad().contiguous_copy_if_needed();
      std::copy(slot.moments.begin(), slot.moments.end(), u.moments.begin());
      u.low_precision = slot.bf16_copy;
    }
    kernels::optimizer_step(form_.rule, coefficients(group, lr, scale), updates);
  }
  for (const Slot& slot : slots_) {
    if (slot.bf16_copy.defined() && slot.parameter.grad().defined())
      layers::set_low_precision(slot.parameter, slot.bf16_copy);
  }
  clear_gradients();
}

void Optimizer::clear_gradients() {
  for (Slot& slot : slots_) slot.parameter.clear_grad();
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> out;
  for (const Slot& slot : slots_) {
    for (size_t i = 0; i < slot.moments.size(); ++i)
      out.emplace_back(form_.moments[i] + "." + slot.name, slot.moments[i]);
  }
  return out;
}

}  // namespace atrous::train
