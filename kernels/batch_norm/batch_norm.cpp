#include "kernels/batch_norm/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/batch_norm/batch_norm_impl.h"
#include "kernels/common/dispatch.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const BatchNormProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<BatchNormProblem, BatchNormStatisticsFn> statistics_table[] = {
    {"cpu", Device::cpu, only_f32, BatchNormCpu::statistics},
    {"ref", Device::cpu, always, BatchNormRef::statistics},
};
constexpr Implementation<BatchNormProblem, BatchNormApplyFn> apply_table[] = {
    {"cpu", Device::cpu, only_f32, BatchNormCpu::apply},
    {"ref", Device::cpu, always, BatchNormRef::apply},
};
constexpr Implementation<BatchNormProblem, BatchNormBackwardSumsFn> backward_sums_table[] = {
    {"cpu", Device::cpu, only_f32, BatchNormCpu::backward_sums},
    {"ref", Device::cpu, always, BatchNormRef::backward_sums},
};
constexpr Implementation<BatchNormProblem, BatchNormBackwardInputFn> backward_input_table[] = {
    {"cpu", Device::cpu, only_f32, BatchNormCpu::backward_input},
    {"ref", Device::cpu, always, BatchNormRef::backward_input},
};

void check_input(const Tensor& x) {
  ATROUS_CHECK(x.defined() && x.rank() >= 2 && (x.dtype() == DType::f32 || x.dtype() == DType::f64),
               ErrorKind::usage, "[batch_norm] the input must be f32 or f64 with channels last. Got {}.",
               x.describe());
}

void check_like(const char* name, const Tensor& t, const Tensor& x) {
  ATROUS_CHECK(t.shape() == x.shape() && t.dtype() == x.dtype(), ErrorKind::usage,
               "[batch_norm] {} must have the shape and dtype of the input. Got {} for {}.", name,
               t.describe(), x.describe());
}

void check_parameter(const char* name, const Tensor& t, const Tensor& x) {
  ATROUS_CHECK(t.defined() && t.shape() == Shape{x.channels()} && t.dtype() == x.dtype(), ErrorKind::usage,
               "[batch_norm] {} must be {} [{}], one value per channel of the input {}. Got {}.", name,
               name_of(x.dtype()), x.channels(), x.describe(), t.describe());
}

}  // namespace

std::string BatchNormProblem::str() const {
  std::string s = fmt::format("{} {}", name_of(dtype), shape.str());
  if (activation != Activation::none) s += fmt::format(" {}", name_of(activation));
  if (residual) s += " residual";
  return s;
}

void batch_norm_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  check_input(x);
  check_parameter("mean", mean, x);
  check_parameter("variance", variance, x);
  ATROUS_CHECK(x.pixels() > 0, ErrorKind::usage,
               "[batch_norm] statistics need at least one value per channel. Got {}.", x.describe());
  dispatch("batch_norm", "batch_norm.statistics", statistics_table, BatchNormProblem{x.shape(), x.dtype()},
           {mean, variance}, x, mean, variance);
  mean.bump_version();
  variance.bump_version();
}

void batch_norm_statistics_from_sums(const Tensor& sums, int64_t count, const Tensor& mean,
                                     const Tensor& variance) {
  const int64_t channels = mean.channels();
  ATROUS_CHECK((sums.shape() == Shape{2, channels}) && is_floating(sums.dtype()) && count > 0,
               ErrorKind::usage,
               "[batch_norm] precomputed sums must be [2, {}] over at least one pixel. Got {} over {}.",
               channels, sums.describe(), count);
  const Tensor s = sums.to(DType::f64).contiguous_copy_if_needed();
  Tensor m = Tensor::empty({channels}, DType::f64), v = Tensor::empty({channels}, DType::f64);
  for (int64_t c = 0; c < channels; ++c) {
    const double first = s.data<double>()[c] / static_cast<double>(count);
    m.data<double>()[c] = first;
    v.data<double>()[c] =
        std::max(0.0, s.data<double>()[channels + c] / static_cast<double>(count) - first * first);
  }
  mean.copy_from(m);
  variance.copy_from(v);
}

void batch_norm_update_running(const Tensor& mean, const Tensor& variance, int64_t count, double momentum,
                               const Tensor& running_mean, const Tensor& running_var) {
  const double unbias = static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, count - 1));
  auto blend = [&](const Tensor& running, const Tensor& batch, double factor) {
    ATROUS_CHECK(running.defined() && running.shape() == batch.shape() && is_floating(running.dtype()),
                 ErrorKind::usage, "[batch_norm] running statistics must be {}. Got {}.", batch.shape().str(),
                 running.describe());
    const Tensor old_value = running.to(DType::f64), b = batch.to(DType::f64);
    Tensor next = Tensor::empty(batch.shape(), DType::f64);
    for (int64_t c = 0; c < batch.numel(); ++c) {
      next.data<double>()[c] =
          (1 - momentum) * old_value.data<double>()[c] + momentum * factor * b.data<double>()[c];
    }
    running.copy_from(next);
  };
  blend(running_mean, mean, 1.0);
  blend(running_var, variance, unbias);
}

Tensor batch_norm_invstd(const Tensor& variance, double eps, DType dtype) {
  const Tensor v = variance.to(DType::f64);
  Tensor result = Tensor::empty(variance.shape(), DType::f64);
  for (int64_t c = 0; c < v.numel(); ++c)
    result.data<double>()[c] = 1.0 / std::sqrt(v.data<double>()[c] + eps);
  return result.to(dtype);
}

void batch_norm_apply(const Tensor& x, const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                      const Tensor& beta, const Tensor& residual, Activation activation, const Tensor& y) {
  check_input(x);
  check_parameter("mean", mean, x);
  check_parameter("invstd", invstd, x);
  check_parameter("gamma", gamma, x);
  check_parameter("beta", beta, x);
  if (residual.defined()) check_like("the residual", residual, x);
  check_like("the output", y, x);
  dispatch("batch_norm", "batch_norm.apply", apply_table,
           BatchNormProblem{x.shape(), x.dtype(), activation, residual.defined()}, {y}, x, mean, invstd,
           gamma, beta, residual, y);
  y.bump_version();
}

void batch_norm_backward_sums(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& mean,
                              const Tensor& invstd, Activation activation, const Tensor& dgamma,
                              const Tensor& dbeta, const Tensor& dresidual) {
  check_input(x);
  check_like("dy", dy, x);
  if (activation != Activation::none) check_like("y", y, x);
  check_parameter("mean", mean, x);
  check_parameter("invstd", invstd, x);
  check_parameter("dgamma", dgamma, x);
  check_parameter("dbeta", dbeta, x);
  if (dresidual.defined()) check_like("dresidual", dresidual, x);
  dispatch("batch_norm", "batch_norm.backward_sums", backward_sums_table,
           BatchNormProblem{x.shape(), x.dtype(), activation, dresidual.defined()},
           {dgamma, dbeta, dresidual}, x, y, dy, mean, invstd, dgamma, dbeta, dresidual);
}

void batch_norm_backward_input(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& mean,
                               const Tensor& invstd, const Tensor& gamma, const Tensor& dgamma,
                               const Tensor& dbeta, Activation activation, const Tensor& dx) {
  check_input(dy);
  if (dgamma.defined()) {
    check_like("x", x, dy);
    check_parameter("mean", mean, dy);
    check_parameter("dgamma", dgamma, dy);
    check_parameter("dbeta", dbeta, dy);
  }
  if (activation != Activation::none) check_like("y", y, dy);
  check_parameter("invstd", invstd, dy);
  check_parameter("gamma", gamma, dy);
  check_like("dx", dx, dy);
  dispatch("batch_norm", "batch_norm.backward_input", backward_input_table,
           BatchNormProblem{dy.shape(), dy.dtype(), activation, false}, {dx}, x, y, dy, mean, invstd, gamma,
           dgamma, dbeta, dx);
}

std::vector<std::string> batch_norm_candidates(std::string_view entry, const BatchNormProblem& problem,
                                               Device device) {
  if (entry == "statistics") return candidates(statistics_table, problem, device);
  if (entry == "apply") return candidates(apply_table, problem, device);
  if (entry == "backward_sums") return candidates(backward_sums_table, problem, device);
  if (entry == "backward_input") return candidates(backward_input_table, problem, device);
  unknown_entry("batch_norm", entry);
}

}  // namespace atrous::kernels
