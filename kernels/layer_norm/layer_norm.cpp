#include "kernels/layer_norm/layer_norm.h"

#include "kernels/common/dispatch.h"
#include "kernels/layer_norm/layer_norm_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const LayerNormProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

const char* why_not_in_registers(const LayerNormProblem& problem) {
  return problem.shape[-1] > layer_norm_most_in_registers ? "a row does not fit the registers of a warp"
                                                          : why_not_f64(problem);
}

constexpr Implementation<LayerNormProblem, LayerNormForwardFn> forward_table[] = {
    ATROUS_ON_GPU("registers", why_not_in_registers, layer_norm_forward_registers),
    ATROUS_ON_GPU("warp", why_not_f64, layer_norm_forward_warp),
    ATROUS_ON_GPU("naive", why_not_f64, layer_norm_forward_naive),
    {"cpu", Device::cpu, only_f32, layer_norm_forward_cpu},
    {"ref", Device::cpu, why_not_bf16, layer_norm_forward_ref},
};
constexpr Implementation<LayerNormProblem, LayerNormBackwardFn> backward_table[] = {
    ATROUS_ON_GPU("registers", why_not_in_registers, layer_norm_backward_registers),
    ATROUS_ON_GPU("warp", why_not_f64, layer_norm_backward_warp),
    ATROUS_ON_GPU("naive", why_not_f64, layer_norm_backward_naive),
    {"cpu", Device::cpu, only_f32, layer_norm_backward_cpu},
    {"ref", Device::cpu, why_not_bf16, layer_norm_backward_ref},
};

void check_input(const Tensor& x) {
  ATROUS_CHECK(x.defined() && x.rank() >= 1 && x.channels() > 0 && is_floating(x.dtype()), ErrorKind::usage,
               "[layer_norm] the input must be f32, f64 or bf16 [..., C] with C > 0. Got {}.", x.describe());
}

void check_tensor(const char* name, const Tensor& t, const Shape& shape, DType dtype, const Tensor& x) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == dtype, ErrorKind::usage,
               "[layer_norm] {} must be {} {} for the input {}. Got {}.", name, name_of(dtype), shape.str(),
               x.describe(), t.describe());
  check_same_device("layer_norm", {x, t});
}
void check_like(const char* name, const Tensor& t, const Tensor& x) {
  check_tensor(name, t, x.shape(), x.dtype(), x);
}
void check_parameter(const char* name, const Tensor& t, const Shape& shape, const Tensor& x) {
  check_tensor(name, t, shape, parameter_dtype(x.dtype()), x);
}

}  // namespace

std::string LayerNormProblem::str() const {
  return fmt::format("{} {}", name_of(dtype), shape.str());
}

void layer_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& y,
                        const Tensor& mean, const Tensor& invstd) {
  check_input(x);
  check_parameter("gamma", gamma, {x.channels()}, x);
  check_parameter("beta", beta, {x.channels()}, x);
  check_like("y", y, x);
  check_parameter("mean", mean, {x.pixels()}, x);
  check_parameter("invstd", invstd, {x.pixels()}, x);
  dispatch("layer_norm", "layer_norm.forward", forward_table, LayerNormProblem{x.shape(), x.dtype(), eps},
           {y, mean, invstd}, x, gamma, beta, y, mean, invstd);
  y.bump_version();
}

void layer_norm_backward(const Tensor& x, const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                         const Tensor& gamma, const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta) {
  check_input(x);
  check_like("dy", dy, x);
  check_parameter("mean", mean, {x.pixels()}, x);
  check_parameter("invstd", invstd, {x.pixels()}, x);
  check_parameter("gamma", gamma, {x.channels()}, x);
  check_like("dx", dx, x);
  check_parameter("dgamma", dgamma, {x.channels()}, x);
  check_parameter("dbeta", dbeta, {x.channels()}, x);
  dispatch("layer_norm", "layer_norm.backward", backward_table, LayerNormProblem{x.shape(), x.dtype()},
           {dx, dgamma, dbeta}, x, dy, mean, invstd, gamma, dx, dgamma, dbeta);
}

std::vector<std::string> layer_norm_candidates(std::string_view entry, const LayerNormProblem& problem,
                                               Device device) {
  if (entry == "forward") return candidates(forward_table, problem, device);
  if (entry == "backward") return candidates(backward_table, problem, device);
  unknown_entry("layer_norm", entry);
}

}  // namespace atrous::kernels
