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
  for (const layers::NamedParameter& p : parameters) {
    if (!p.variable.requires_grad()) continue;
    const Tensor& value = p.variable.value();
    ATROUS_CHECK(value.dtype() == DType::f32 && value.contiguous(), ErrorKind::internal,
                 "[optimizer] parameters must be contiguous f32. Got {} for {}. Convert the network first.",
                 value.describe(), p.name);
    double lr_factor = in_backbone && in_backbone(p.name) ? options_.backbone_lr_factor : 1;
    double weight_decay = value.rank() <= 1 && !options_.decay_norm_and_bias ? 0 : options_.weight_decay;
    for (const ParameterGroup& g : options_.groups) {
      if (!p.name.starts_with(g.prefix) || !p.name.ends_with(g.suffix)) continue;
      lr_factor *= g.lr_factor;
      weight_decay *= g.weight_decay_factor;
    }
    group_of(lr_factor, weight_decay).slots.push_back(slots_.size());
    Slot& slot = slots_.emplace_back();
    slot.name = p.name;
    slot.parameter = p.variable;
    for (size_t i = 0; i < form_.moments.size(); ++i) slot.moments.push_back(Tensor::zeros_like(value));
    if (bf16_copies) slot.bf16_copy = Tensor::empty(value.shape(), DType::bf16, value.device());
  }
  ATROUS_CHECK(options_.backbone_lr_factor == 1 ||
                   std::any_of(parameters.begin(), parameters.end(),
                               [&](const auto& p) { return in_backbone && in_backbone(p.name); }),
               ErrorKind::config,
               "[optimizer.backbone_lr_factor] needs a network with a separate backbone. Got {}. Leave it "
               "out, or give optimizer.groups.",
               options_.backbone_lr_factor);
  for (const ParameterGroup& g : options_.groups) {
    ATROUS_CHECK(std::any_of(parameters.begin(), parameters.end(),
                             [&](const auto& p) {
                               return p.name.starts_with(g.prefix) && p.name.ends_with(g.suffix);
                             }),
                 ErrorKind::config,
                 "[optimizer.groups] must match parameters by name. Got prefix \"{}\" and suffix \"{}\", "
                 "which none has; the first is \"{}\". `atrous summary` lists them.",
                 g.prefix, g.suffix, parameters.empty() ? "" : parameters[0].name);
  }
  ATROUS_CHECK(!slots_.empty(), ErrorKind::config,
               "[optimizer] at least one parameter must be trainable. Got none. Shorten model.freeze.");
}

Optimizer::Group& Optimizer::group_of(double lr_factor, double weight_decay) {
  for (Group& group : groups_) {
    if (group.lr_factor == lr_factor && group.weight_decay == weight_decay) return group;
  }
  return groups_.emplace_back(Group{lr_factor, weight_decay, {}});
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
  const double rate = lr * group.lr_factor;
  const bool decoupled = form_.decoupled_decay;
  const auto t = static_cast<double>(steps_);
  kernels::OptimizerCoefficients c;
  c.lr = static_cast<float>(rate);
  c.weight_decay = static_cast<float>(decoupled ? 0 : group.weight_decay);
  c.shrink = static_cast<float>(decoupled ? 1 - rate * group.weight_decay : 1);
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
