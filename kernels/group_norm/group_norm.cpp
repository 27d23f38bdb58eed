#include "kernels/group_norm/group_norm.h"

#include "kernels/common/entry.h"
#include "kernels/group_norm/group_norm_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<GroupNormProblem, GroupNormForwardFn> forward{
    "group_norm.forward",
    {
        ATROUS_ON_GPU("channels", f32_or_bf16, group_norm_forward_channels),
        ATROUS_ON_GPU("naive", f32_or_bf16, group_norm_forward_naive),
        {"cpu", Device::cpu, f32_only, group_norm_forward_cpu},
        {"ref", Device::cpu, f32_or_f64, group_norm_forward_ref},
    },
    reach_whole};
constexpr Entry<GroupNormProblem, GroupNormBackwardFn> backward{
    "group_norm.backward",
    {
        ATROUS_ON_GPU("channels", f32_or_bf16, group_norm_backward_channels),
        ATROUS_ON_GPU("naive", f32_or_bf16, group_norm_backward_naive),
        {"cpu", Device::cpu, f32_only, group_norm_backward_cpu},
        {"ref", Device::cpu, f32_or_f64, group_norm_backward_ref},
    }};

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
  forward(GroupNormProblem{x.shape(), groups, x.dtype(), activation, eps}, x, gamma, beta, writes(y),
          writes(mean), writes(invstd));
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
  backward(GroupNormProblem{x.shape(), groups, x.dtype(), activation}, x, y, dy, mean, invstd, gamma,
           writes(dx), writes(dgamma), writes(dbeta));
}

EntryList group_norm_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
