#include "kernels/group_norm/group_norm.h"

#include "kernels/common/dispatch.h"
#include "kernels/group_norm/group_norm_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const GroupNormProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<GroupNormProblem, GroupNormForwardFn> forward_table[] = {
    {"cpu", Device::cpu, only_f32, group_norm_forward_cpu},
    {"ref", Device::cpu, always, group_norm_forward_ref},
};
constexpr Implementation<GroupNormProblem, GroupNormBackwardFn> backward_table[] = {
    {"cpu", Device::cpu, only_f32, group_norm_backward_cpu},
    {"ref", Device::cpu, always, group_norm_backward_ref},
};

void check_input(const Tensor& x, int64_t groups) {
  ATROUS_CHECK(
      x.defined() && x.rank() >= 2 && x.numel() > 0 && (x.dtype() == DType::f32 || x.dtype() == DType::f64),
      ErrorKind::usage, "[group_norm] the input must be f32 or f64 [N, ..., C] and not empty. Got {}.",
      x.describe());
  ATROUS_CHECK(
      groups >= 1 && x.channels() % groups == 0, ErrorKind::usage,
      "[group_norm] the groups must divide the channels. Got {} groups for {}. Choose a divisor of {}.",
      groups, x.describe(), x.channels());
}

void check_tensor(const char* name, const Tensor& t, const Shape& shape, const Tensor& x) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == x.dtype(), ErrorKind::usage,
               "[group_norm] {} must be {} {} for the input {}. Got {}.", name, name_of(x.dtype()),
               shape.str(), x.describe(), t.describe());
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
  check_tensor("gamma", gamma, {x.channels()}, x);
  check_tensor("beta", beta, {x.channels()}, x);
  check_tensor("y", y, x.shape(), x);
  check_tensor("mean", mean, {x.dim(0), groups}, x);
  check_tensor("invstd", invstd, {x.dim(0), groups}, x);
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
  if (activation != Activation::none) check_tensor("y", y, x.shape(), x);
  check_tensor("dy", dy, x.shape(), x);
  check_tensor("mean", mean, {x.dim(0), groups}, x);
  check_tensor("invstd", invstd, {x.dim(0), groups}, x);
  check_tensor("gamma", gamma, {x.channels()}, x);
  check_tensor("dx", dx, x.shape(), x);
  check_tensor("dgamma", dgamma, {x.channels()}, x);
  check_tensor("dbeta", dbeta, {x.channels()}, x);
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
