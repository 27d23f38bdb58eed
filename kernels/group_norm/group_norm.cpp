#include "kernels/group_norm/group_norm.h"

#include "kernels/common/dispatch.h"
#include "kernels/group_norm/group_norm_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const GroupNormProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<GroupNormProblem, GroupNormForwardFn> forward_table[] = {
    ATROUS_ON_GPU("channels", why_not_f64, group_norm_forward_channels),
    ATROUS_ON_GPU("naive", why_not_f64, group_norm_forward_naive),
    {"cpu", Device::cpu, only_f32, group_norm_forward_cpu},
    {"ref", Device::cpu, why_not_bf16, group_norm_forward_ref},
};
constexpr Implementation<GroupNormProblem, GroupNormBackwardFn> backward_table[] = {
    ATROUS_ON_GPU("channels", why_not_f64, group_norm_backward_channels),
    ATROUS_ON_GPU("naive", why_not_f64, group_norm_backward_naive),
    {"cpu", Device::cpu, only_f32, group_norm_backward_cpu},
    {"ref", Device::cpu, why_not_bf16, group_norm_backward_ref},
};

void check_input(const Tensor& x, int64_t groups) {
  ATROUS_CHECK(x.defined() && x.rank() >= 2 && x.numel() > 0 && is_floating(x.dtype()), ErrorKind::usage,
               "[group_norm] the input must be f32, f64 or bf16 [N, ..., C] and not empty. Got {}.",
               x.describe());
  ATROUS_CHECK(
      groups >= 1 && x.channels() % groups == 0, ErrorKind::usage,
      "[group_norm] the groups must divide the channels. Got {} groups for {}. Choose a divisor of {}.",
      groups, x.describe(), x.channels());
}

void check_tensor(const char* name, const Tensor& t, const Shape& shape, DType dtype, const Tensor& x) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == dtype, ErrorKind::usage,
               "[group_norm] {} must be {} {} for the input {}. Got {}.", name, name_of(dtype), shape.str(),
               x.describe(), t.describe());
  check_same_device("group_norm", {x, t});
}
void check_like(const char* name, const Tensor& t, const Tensor& x) {
  check_tensor(name, t, x.shape(), x.dtype(), x);
}
void check_parameter(const char* name, const Tensor& t, const Shape& shape, const Tensor& x) {
  check_tensor(name, t, shape, parameter_dtype(x.dtype()), x);
}

}  // namespace

std::string GroupNormProblem::str() const {
  return fmt::format("{} {} groups {}{}{}", name_of(dtype), shape.str(), groups,
                     activation == Activation::none ? "" : " ",
                     activation == Activation::none ? "" : name_of(activation));
}

void group_norm_forward(const Tensor& x, int64_t groups, const Tensor& gamma, const Tensor& beta, double eps,
                        Activation activation, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  check_input(x, groups);
  check_parameter("gamma", gamma, {x.channels()}, x);
  check_parameter("beta", beta, {x.channels()}, x);
  check_like("y", y, x);
  check_parameter("mean", mean, {x.dim(0), groups}, x);
  check_parameter("invstd", invstd, {x.dim(0), groups}, x);
  dispatch("group_norm", "group_norm.forward", forward_table,
           GroupNormProblem{x.shape(), groups, x.dtype(), activation, eps}, {y, mean, invstd}, x, gamma, beta,
           y, mean, invstd);
  y.bump_version();
}

void group_norm_backward(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& mean,
                         const Tensor& invstd, const Tensor& gamma, Activation activation, const Tensor& dx,
                         const Tensor& dgamma, const Tensor& dbeta) {
  const int64_t groups = mean.channels();
  check_input(x, groups);
  if (activation != Activation::none) check_like("y", y, x);
  check_like("dy", dy, x);
  check_parameter("mean", mean, {x.dim(0), groups}, x);
  check_parameter("invstd", invstd, {x.dim(0), groups}, x);
  check_parameter("gamma", gamma, {x.channels()}, x);
  check_like("dx", dx, x);
  check_parameter("dgamma", dgamma, {x.channels()}, x);
  check_parameter("dbeta", dbeta, {x.channels()}, x);
  dispatch("group_norm", "group_norm.backward", backward_table,
           GroupNormProblem{x.shape(), groups, x.dtype(), activation}, {dx, dgamma, dbeta}, x, y, dy, mean,
           invstd, gamma, dx, dgamma, dbeta);
}

std::vector<std::string> group_norm_candidates(std::string_view entry, const GroupNormProblem& problem,
                                               Device device) {
  if (entry == "forward") return candidates(forward_table, problem, device);
  if (entry == "backward") return candidates(backward_table, problem, device);
  unknown_entry("group_norm", entry);
}

}  // namespace atrous::kernels
