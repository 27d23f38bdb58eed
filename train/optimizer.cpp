#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/cpu.h"
#include "core/parallel.h"

namespace atrous::train {
namespace {

constexpr int64_t grain = 1 << 15;  // elements per chunk; also the unit in which the norm is added up

// What one element's update needs, in f32 as PyTorch's kernels have it.
struct Coefficients {
  float lr, weight_decay, gradient_scale, momentum, beta1, beta2, eps, alpha;
  float rest1, rest2, rest_alpha;  // 1 - beta1, ...: rounded once, since 1 - 0.999f is not 0.001f
  float correction1, correction2;  // adam: lr / (1 - b1^t) and sqrt(1 - b2^t)
  bool nesterov;
};

ATROUS_MULTIVERSION
void sgd(float* p, const float* gradient, float* buffer, int64_t n, const Coefficients& c) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * c.gradient_scale + c.weight_decay * p[i];
    const float b = c.momentum * buffer[i] + g;
    buffer[i] = b;
    p[i] -= c.lr * (c.nesterov ? g + c.momentum * b : b);
  }
}

ATROUS_MULTIVERSION
void plain_sgd(float* p, const float* gradient, int64_t n, const Coefficients& c) {
  for (int64_t i = 0; i < n; ++i) p[i] -= c.lr * (gradient[i] * c.gradient_scale + c.weight_decay * p[i]);
}

// `l2`: weight decay as part of the gradient (adam); `shrink`: factor on the parameter before (adamw).
ATROUS_MULTIVERSION
void adam(float* p, const float* gradient, float* m, float* v, int64_t n, const Coefficients& c, float l2,
          float shrink) {
  for (int64_t i = 0; i < n; ++i) {
    const float old = p[i] * shrink;
    const float g = gradient[i] * c.gradient_scale + l2 * old;
    m[i] = c.beta1 * m[i] + c.rest1 * g;
    v[i] = c.beta2 * v[i] + c.rest2 * g * g;
    p[i] = old - c.correction1 * m[i] / (std::sqrt(v[i]) / c.correction2 + c.eps);
  }
}

ATROUS_MULTIVERSION
void rmsprop(float* p, const float* gradient, float* square, float* buffer, int64_t n,
             const Coefficients& c) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * c.gradient_scale + c.weight_decay * p[i];
    square[i] = c.alpha * square[i] + c.rest_alpha * g * g;
    buffer[i] = c.momentum * buffer[i] + g / (std::sqrt(square[i]) + c.eps);
    p[i] -= c.lr * buffer[i];
  }
}

ATROUS_MULTIVERSION
double sum_of_squares(const float* x, int64_t n) {
  // Eight lanes: vectorises, and the order is part of the code.
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int l = 0; l < 8; ++l) lanes[l] += static_cast<double>(x[i + l]) * x[i + l];
  }
  for (; i < n; ++i) lanes[0] += static_cast<double>(x[i]) * x[i];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, const std::vector<layers::NamedParameter>& parameters,
                     const std::string& backbone_prefix)
    : options_(options) {
  if (options_.name == "sgd") {
    if (options_.momentum > 0) moment_names_ = {"momentum"};
  } else if (options_.name == "adam" || options_.name == "adamw") {
    moment_names_ = {"exp_avg", "exp_avg_sq"};
  } else if (options_.name == "rmsprop") {
    moment_names_ = {"square_avg", "momentum"};
  } else {
    fail(ErrorKind::config,
         "[optimizer] the name must be sgd, adam, adamw or rmsprop. Got \"{}\". Correct optimizer.name.",
         options_.name);
  }
  for (const layers::NamedParameter& p : parameters) {
    if (!p.variable.requires_grad()) continue;
    const Tensor& value = p.variable.value();
    ATROUS_CHECK(value.dtype() == DType::f32 && value.contiguous(), ErrorKind::internal,
                 "[optimizer] parameters must be contiguous f32. Got {} for {}. Convert the network first.",
                 value.describe(), p.name);
    Slot& slot = slots_.emplace_back();
    slot.name = p.name;
    slot.parameter = p.variable;
    const bool backbone = !backbone_prefix.empty() && p.name.starts_with(backbone_prefix);
    slot.lr_factor = backbone ? options_.backbone_lr_factor : 1;
    slot.weight_decay = value.rank() <= 1 && !options_.decay_norm_and_bias ? 0 : options_.weight_decay;
    for (size_t i = 0; i < moment_names_.size(); ++i) slot.moments.push_back(Tensor::zeros_like(value));
  }
  ATROUS_CHECK(!slots_.empty(), ErrorKind::config,
               "[optimizer] at least one parameter must be trainable. Got none. Shorten model.freeze.");
}

double Optimizer::gradient_norm() const {
  double total = 0;
  std::vector<double> partial;
  for (const Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    const Tensor gradient = slot.parameter.grad().contiguous_copy_if_needed();
    const int64_t n = gradient.numel();
    partial.assign(static_cast<size_t>((n + grain - 1) / grain), 0.0);
    parallel_for(n, grain, [&](int64_t begin, int64_t end) {
      partial[static_cast<size_t>(begin / grain)] =
          sum_of_squares(gradient.data<float>() + begin, end - begin);
    });
    for (double p : partial) total += p;
  }
  return std::sqrt(total);
}

void Optimizer::step(double lr, double gradient_norm) {
  NoGradGuard no_grad;
  ++steps_;
  double scale = 1;
  if (options_.clip_norm > 0) scale = std::min(1.0, options_.clip_norm / (gradient_norm + 1e-6));
  for (Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    const Tensor gradient = slot.parameter.grad().contiguous_copy_if_needed();
    const double rate = lr * slot.lr_factor;
    Coefficients c{};
    c.lr = static_cast<float>(rate);
    c.weight_decay = static_cast<float>(slot.weight_decay);
    c.gradient_scale = static_cast<float>(scale);
    c.momentum = static_cast<float>(options_.momentum);
    c.beta1 = static_cast<float>(options_.beta1);
    c.beta2 = static_cast<float>(options_.beta2);
    c.eps = static_cast<float>(options_.eps);
    c.alpha = static_cast<float>(options_.alpha);
    c.rest1 = static_cast<float>(1 - options_.beta1);
    c.rest2 = static_cast<float>(1 - options_.beta2);
    c.rest_alpha = static_cast<float>(1 - options_.alpha);
    c.nesterov = options_.nesterov;
    const auto t = static_cast<double>(steps_);
    c.correction1 = static_cast<float>(rate / (1 - std::pow(options_.beta1, t)));
    c.correction2 = static_cast<float>(std::sqrt(1 - std::pow(options_.beta2, t)));
    const bool decoupled = options_.name == "adamw";
    const float l2 = decoupled ? 0.0f : c.weight_decay;
    const auto shrink = static_cast<float>(decoupled ? 1 - rate * slot.weight_decay : 1.0);

    float* p = slot.parameter.value().data<float>();
    const float* g = gradient.data<float>();
    parallel_for(gradient.numel(), grain, [&](int64_t begin, int64_t end) {
      const int64_t n = end - begin;
      const auto moment = [&](size_t i) { return slot.moments[i].data<float>() + begin; };
      if (options_.name == "sgd" && slot.moments.empty()) {
        plain_sgd(p + begin, g + begin, n, c);
      } else if (options_.name == "sgd") {
        sgd(p + begin, g + begin, moment(0), n, c);
      } else if (options_.name == "rmsprop") {
        rmsprop(p + begin, g + begin, moment(0), moment(1), n, c);
      } else {
        adam(p + begin, g + begin, moment(0), moment(1), n, c, l2, shrink);
      }
    });
    slot.parameter.value().bump_version();
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
      out.emplace_back(moment_names_[i] + "." + slot.name, slot.moments[i]);
  }
  return out;
}

}  // namespace atrous::train
