#include "kernels/batch_norm/batch_norm.h"

#include <algorithm>

#include "kernels/batch_norm/batch_norm_impl.h"
#include "kernels/common/entry.h"

namespace atrous::kernels {
namespace {

constexpr Entry<BatchNormProblem, BatchNormStatisticsFn> statistics{
    "batch_norm.statistics",
    {
        ATROUS_ON_GPU("one_read", f32_or_bf16, batch_norm_statistics_one_read),
        ATROUS_ON_GPU("columns", f32_or_bf16, batch_norm_statistics_columns),
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_statistics_naive),
        {"cpu", Device::cpu, f32_only, BatchNormCpu::statistics},
        {"ref", Device::cpu, f32_or_f64, BatchNormRef::statistics},
    }};
constexpr Entry<BatchNormProblem, BatchNormFromSumsFn> statistics_from_sums{
    "batch_norm.statistics_from_sums",
    {
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_statistics_from_sums_naive),
        {"ref", Device::cpu, always, BatchNormRef::statistics_from_sums},
    }};
constexpr Entry<BatchNormProblem, BatchNormUpdateRunningFn> update_running{
    "batch_norm.update_running",
    {
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_update_running_naive),
        {"ref", Device::cpu, always, BatchNormRef::update_running},
    }};
constexpr Entry<BatchNormProblem, BatchNormInvstdFn> inverse_deviation{
    "batch_norm.invstd",
    {
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_invstd_naive),
        {"ref", Device::cpu, always, BatchNormRef::invstd},
    }};
constexpr Entry<BatchNormProblem, BatchNormApplyFn> apply{
    "batch_norm.apply",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, batch_norm_apply_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_apply_naive),
        {"cpu", Device::cpu, f32_only, BatchNormCpu::apply},
        {"ref", Device::cpu, f32_or_f64, BatchNormRef::apply},
    }};
constexpr Entry<BatchNormProblem, BatchNormBackwardSumsFn> backward_sums{
    "batch_norm.backward_sums",
    {
        ATROUS_ON_GPU("one_read", f32_or_bf16, batch_norm_backward_sums_one_read),
        ATROUS_ON_GPU("columns", f32_or_bf16, batch_norm_backward_sums_columns),
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_backward_sums_naive),
        {"cpu", Device::cpu, f32_only, BatchNormCpu::backward_sums},
        {"ref", Device::cpu, f32_or_f64, BatchNormRef::backward_sums},
    }};
constexpr Entry<BatchNormProblem, BatchNormBackwardInputFn> backward_input{
    "batch_norm.backward_input",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, batch_norm_backward_input_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_backward_input_naive),
        {"cpu", Device::cpu, f32_only, BatchNormCpu::backward_input},
        {"ref", Device::cpu, f32_or_f64, BatchNormRef::backward_input},
    }};
constexpr Entry<BatchNormProblem, BatchNormFoldFn> fold{
    "batch_norm.fold",
    {
        ATROUS_ON_GPU("naive", f32_or_bf16, batch_norm_fold_naive),
        {"cpu", Device::cpu, f32_only, BatchNormCpu::fold},
        {"ref", Device::cpu, f32_or_f64, BatchNormRef::fold},
    }};

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

// Checks the vectors between the passes. On the CPU they may mix f32 and f64.
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
  ATROUS_CHECK(x.pixels() > 0, ErrorKind::usage,
               "[batch_norm] statistics need at least one value per channel. Got {}.", x.describe());
  statistics(BatchNormProblem{x.shape(), x.dtype()}, x, writes(mean), writes(variance));
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
  statistics_from_sums(BatchNormProblem{mean.shape(), mean.dtype()}, sums, count, writes(mean),
                       writes(variance));
}

void batch_norm_update_running(const Tensor& mean, const Tensor& variance, int64_t count, double momentum,
                               const Tensor& running_mean, const Tensor& running_var) {
  check_vector("variance", variance, mean);
  check_vector("the running mean", running_mean, mean);
  check_vector("the running variance", running_var, mean);
  const double unbias = static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, count - 1));
  update_running(BatchNormProblem{mean.shape(), mean.dtype()}, mean, variance, momentum, unbias,
                 updates(running_mean), updates(running_var));
}

Tensor batch_norm_invstd(const Tensor& variance, double eps, DType dtype) {
  const Tensor result = Tensor::empty(variance.shape(), dtype, variance.device());
  check_vector("the variance", variance, result);
  inverse_deviation(BatchNormProblem{variance.shape(), dtype}, variance, eps, writes(result));
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
  fold(BatchNormProblem{filter.shape(), dtype}, filter.contiguous_copy_if_needed(), bias, c.gamma, c.beta,
       c.mean, c.variance, c.eps, writes(folded.weight), writes(folded.bias));
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
  apply(BatchNormProblem{x.shape(), x.dtype(), activation, residual.defined()}, x, mean, invstd, gamma, beta,
        residual, writes(y));
}

namespace {

void check_applied(const Tensor& x, const Tensor& y, const Tensor& dy, const BatchNormApplied& a) {
  if (x.defined()) {
    check_like("x", x, dy);
    check_parameter("mean", a.mean, dy);
  }
  if (a.activation != Activation::none) check_like("y", y, dy);
  check_parameter("invstd", a.invstd, dy);
  check_parameter("gamma", a.gamma, dy);
  if (a.beta.defined()) check_parameter("beta", a.beta, dy);
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
  backward_sums(BatchNormProblem{x.shape(), x.dtype(), a.activation, dresidual.defined()}, x, y, dy, a.mean,
                a.invstd, a.gamma, a.beta, writes(dgamma), writes(dbeta), writes(dresidual));
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
  backward_input(BatchNormProblem{dy.shape(), dy.dtype(), a.activation, false}, x, y, dy, a.mean, a.invstd,
                 a.gamma, a.beta, dgamma, dbeta, writes(dx));
}

EntryList batch_norm_entries() {
  return {&statistics, &statistics_from_sums, &update_running, &inverse_deviation,
          &apply,      &backward_sums,        &backward_input, &fold};
}

}  // namespace atrous::kernels
