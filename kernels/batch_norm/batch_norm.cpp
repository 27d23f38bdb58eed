#include "kernels/batch_norm/batch_norm.h"

#include <algorithm>

#include "kernels/batch_norm/batch_norm_impl.h"
#include "kernels/common/dispatch.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const BatchNormProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<BatchNormProblem, BatchNormStatisticsFn> statistics_table[] = {
    ATROUS_ON_GPU("one_read", why_not_f64, batch_norm_statistics_one_read),
    ATROUS_ON_GPU("columns", why_not_f64, batch_norm_statistics_columns),
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_statistics_naive),
    {"cpu", Device::cpu, only_f32, BatchNormCpu::statistics},
    {"ref", Device::cpu, why_not_bf16, BatchNormRef::statistics},
};
constexpr Implementation<BatchNormProblem, BatchNormFromSumsFn> statistics_from_sums_table[] = {
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_statistics_from_sums_naive),
    {"ref", Device::cpu, always, BatchNormRef::statistics_from_sums},
};
constexpr Implementation<BatchNormProblem, BatchNormUpdateRunningFn> update_running_table[] = {
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_update_running_naive),
    {"ref", Device::cpu, always, BatchNormRef::update_running},
};
constexpr Implementation<BatchNormProblem, BatchNormInvstdFn> invstd_table[] = {
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_invstd_naive),
    {"ref", Device::cpu, always, BatchNormRef::invstd},
};
constexpr Implementation<BatchNormProblem, BatchNormApplyFn> apply_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, batch_norm_apply_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_apply_naive),
    {"cpu", Device::cpu, only_f32, BatchNormCpu::apply},
    {"ref", Device::cpu, why_not_bf16, BatchNormRef::apply},
};
constexpr Implementation<BatchNormProblem, BatchNormBackwardSumsFn> backward_sums_table[] = {
    ATROUS_ON_GPU("one_read", why_not_f64, batch_norm_backward_sums_one_read),
    ATROUS_ON_GPU("columns", why_not_f64, batch_norm_backward_sums_columns),
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_backward_sums_naive),
    {"cpu", Device::cpu, only_f32, BatchNormCpu::backward_sums},
    {"ref", Device::cpu, why_not_bf16, BatchNormRef::backward_sums},
};
constexpr Implementation<BatchNormProblem, BatchNormBackwardInputFn> backward_input_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, batch_norm_backward_input_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_backward_input_naive),
    {"cpu", Device::cpu, only_f32, BatchNormCpu::backward_input},
    {"ref", Device::cpu, why_not_bf16, BatchNormRef::backward_input},
};
constexpr Implementation<BatchNormProblem, BatchNormFoldFn> fold_table[] = {
    ATROUS_ON_GPU("naive", why_not_f64, batch_norm_fold_naive),
    {"cpu", Device::cpu, only_f32, BatchNormCpu::fold},
    {"ref", Device::cpu, why_not_bf16, BatchNormRef::fold},
};

void check_input(const Tensor& x) {
  ATROUS_CHECK(x.defined() && x.rank() >= 2 && is_floating(x.dtype()), ErrorKind::usage,
               "[batch_norm] the input must be f32, f64 or bf16 with channels last. Got {}.", x.describe());
}

void check_like(const char* name, const Tensor& t, const Tensor& x) {
  ATROUS_CHECK(t.shape() == x.shape() && t.dtype() == x.dtype(), ErrorKind::usage,
               "[batch_norm] {} must have the shape and dtype of the input. Got {} for {}.", name,
               t.describe(), x.describe());
}

void check_parameter(const char* name, const Tensor& t, const Tensor& x) {
  const DType dtype = parameter_dtype(x.dtype());
  ATROUS_CHECK(t.defined() && t.shape() == Shape{x.channels()} && t.dtype() == dtype, ErrorKind::usage,
               "[batch_norm] {} must be {} [{}], one value per channel of the input {}. Got {}.", name,
               name_of(dtype), x.channels(), x.describe(), t.describe());
}

// Of the vectors between the passes. On the CPU they may mix f32 and f64.
void check_vector(const char* name, const Tensor& t, const Tensor& like) {
  ATROUS_CHECK(t.defined() && t.shape() == like.shape() && is_floating(t.dtype()) &&
                   (like.device() == Device::cpu || t.dtype() == like.dtype()),
               ErrorKind::usage, "[batch_norm] {} must be {} [{}]. Got {}.", name, name_of(like.dtype()),
               like.shape()[0], t.describe());
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
  check_same_device("batch_norm", {x, mean, variance});
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
  ATROUS_CHECK((sums.shape() == Shape{2, channels}) &&
                   (sums.dtype() == DType::f32 || sums.dtype() == DType::f64) && count > 0,
               ErrorKind::usage,
               "[batch_norm] precomputed sums must be [2, {}] in f32 or f64 over at least one pixel. Got {} "
               "over {}.",
               channels, sums.describe(), count);
  check_vector("variance", variance, mean);
  check_same_device("batch_norm", {sums, mean, variance});
  dispatch("batch_norm", "batch_norm.statistics_from_sums", statistics_from_sums_table,
           BatchNormProblem{mean.shape(), mean.dtype()}, {mean, variance}, sums, count, mean, variance);
  mean.bump_version();
  variance.bump_version();
}

void batch_norm_update_running(const Tensor& mean, const Tensor& variance, int64_t count, double momentum,
                               const Tensor& running_mean, const Tensor& running_var) {
  check_vector("variance", variance, mean);
  check_vector("the running mean", running_mean, mean);
  check_vector("the running variance", running_var, mean);
  check_same_device("batch_norm", {mean, variance, running_mean, running_var});
  const double unbias = static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, count - 1));
  const BatchNormProblem problem{mean.shape(), mean.dtype()};
  // Changes its inputs, so it cannot run twice for a comparison, as dispatch() may.
  constexpr const char* entry = "batch_norm.update_running";
  const auto& row = choose("batch_norm", entry, update_running_table, problem, mean.device());
  const OpScope scope(entry, row, problem);
  row.run(problem, mean, variance, momentum, unbias, running_mean, running_var);
  running_mean.bump_version();
  running_var.bump_version();
}

Tensor batch_norm_invstd(const Tensor& variance, double eps, DType dtype) {
  const Tensor result = Tensor::empty(variance.shape(), dtype, variance.device());
  check_vector("the variance", variance, result);
  dispatch("batch_norm", "batch_norm.invstd", invstd_table, BatchNormProblem{variance.shape(), dtype},
           {result}, variance, eps, result);
  return result;
}

FoldedFilter batch_norm_fold(const Tensor& filter, const Tensor& bias, const BatchNormConstants& c,
                             DType dtype) {
  ATROUS_CHECK(filter.defined() && filter.rank() >= 1 && parameter_dtype(dtype) == filter.dtype(),
               ErrorKind::usage, "[batch_norm] a filter to fold into must be {} [K, R, S, C] for {}. Got {}.",
               name_of(parameter_dtype(dtype)), name_of(dtype), filter.describe());
  const FoldedFilter folded{Tensor::empty(filter.shape(), dtype, filter.device()),
                            Tensor::empty({filter.dim(0)}, filter.dtype(), filter.device())};
  const auto check_constant = [&](const char* name, const Tensor& t) {
    ATROUS_CHECK(t.defined() && t.shape() == folded.bias.shape() && t.dtype() == filter.dtype(),
                 ErrorKind::usage, "[batch_norm] {} must be {} [{}], one value per filter. Got {}.", name,
                 name_of(filter.dtype()), filter.dim(0), t.describe());
  };
  check_constant("gamma", c.gamma);
  check_constant("beta", c.beta);
  check_constant("the mean", c.mean);
  check_constant("the variance", c.variance);
  if (bias.defined()) check_constant("the bias", bias);
  check_same_device("batch_norm", {filter, bias, c.gamma, c.beta, c.mean, c.variance});
  dispatch("batch_norm", "batch_norm.fold", fold_table, BatchNormProblem{filter.shape(), dtype},
           {folded.weight, folded.bias}, filter.contiguous_copy_if_needed(), bias, c.gamma, c.beta, c.mean,
           c.variance, c.eps, folded.weight, folded.bias);
  return folded;
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
  check_same_device("batch_norm", {x, mean, invstd, gamma, beta, residual, y});
  dispatch("batch_norm", "batch_norm.apply", apply_table,
           BatchNormProblem{x.shape(), x.dtype(), activation, residual.defined()}, {y}, x, mean, invstd,
           gamma, beta, residual, y);
  y.bump_version();
}

namespace {

void check_applied(const Tensor& x, const Tensor& y, const Tensor& dy, const BatchNormApplied& a) {
  if (x.defined()) {
    check_like("x", x, dy);
    check_parameter("mean", a.mean, dy);
    check_same_device("batch_norm", {dy, x, a.mean});
  }
  if (a.activation != Activation::none) {
    check_like("y", y, dy);
    check_same_device("batch_norm", {dy, y});
  }
  check_parameter("invstd", a.invstd, dy);
  check_parameter("gamma", a.gamma, dy);
  if (a.beta.defined()) check_parameter("beta", a.beta, dy);
  check_same_device("batch_norm", {dy, a.invstd, a.gamma, a.beta});
}

// Validation runs the op twice on the same gradient, which a result in its place would have replaced.
Tensor kept(const Tensor& dy, const Tensor& result) {
  return validation_is_on() && result.shares_memory_with(dy) ? dy.clone() : dy;
}

}  // namespace

void batch_norm_backward_sums(const Tensor& x, const Tensor& y, const Tensor& dy, const BatchNormApplied& a,
                              const Tensor& dgamma, const Tensor& dbeta, const Tensor& dresidual) {
  check_input(x);
  check_like("dy", dy, x);
  check_applied(x, y, dy, a);
  check_parameter("dgamma", dgamma, x);
  check_parameter("dbeta", dbeta, x);
  if (dresidual.defined()) check_like("dresidual", dresidual, x);
  check_same_device("batch_norm", {x, dgamma, dbeta, dresidual});
  dispatch("batch_norm", "batch_norm.backward_sums", backward_sums_table,
           BatchNormProblem{x.shape(), x.dtype(), a.activation, dresidual.defined()},
           {dgamma, dbeta, dresidual}, x, y, kept(dy, dresidual), a.mean, a.invstd, a.gamma, a.beta, dgamma,
           dbeta, dresidual);
}

void batch_norm_backward_input(const Tensor& x, const Tensor& y, const Tensor& dy, const BatchNormApplied& a,
                               const Tensor& dgamma, const Tensor& dbeta, const Tensor& dx) {
  check_input(dy);
  check_applied(x, y, dy, a);
  if (dgamma.defined()) {
    check_like("x", x, dy);
    check_parameter("dgamma", dgamma, dy);
    check_parameter("dbeta", dbeta, dy);
  }
  check_like("dx", dx, dy);
  check_same_device("batch_norm", {dy, dgamma, dbeta, dx});
  dispatch("batch_norm", "batch_norm.backward_input", backward_input_table,
           BatchNormProblem{dy.shape(), dy.dtype(), a.activation, false}, {dx}, x, y, kept(dy, dx), a.mean,
           a.invstd, a.gamma, a.beta, dgamma, dbeta, dx);
}

std::vector<std::string> batch_norm_candidates(std::string_view entry, const BatchNormProblem& problem,
                                               Device device) {
  if (entry == "statistics") return candidates(statistics_table, problem, device);
  if (entry == "statistics_from_sums") return candidates(statistics_from_sums_table, problem, device);
  if (entry == "update_running") return candidates(update_running_table, problem, device);
  if (entry == "invstd") return candidates(invstd_table, problem, device);
  if (entry == "fold") return candidates(fold_table, problem, device);
  if (entry == "apply") return candidates(apply_table, problem, device);
  if (entry == "backward_sums") return candidates(backward_sums_table, problem, device);
  if (entry == "backward_input") return candidates(backward_input_table, problem, device);
  unknown_entry("batch_norm", entry);
}

}  // namespace atrous::kernels
