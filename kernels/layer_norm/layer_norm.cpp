#include "kernels/layer_norm/layer_norm.h"

#include "kernels/common/entry.h"
#include "kernels/layer_norm/layer_norm_impl.h"

namespace atrous::kernels {
namespace {

const char* can_in_registers(const LayerNormProblem& problem) {
  return problem.shape[-1] > layer_norm_most_in_registers ? "a row does not fit the registers of a warp"
                                                          : f32_or_bf16(problem);
}

constexpr Entry<LayerNormProblem, LayerNormForwardFn> forward{
    "layer_norm.forward",
    {
        ATROUS_ON_GPU("registers", can_in_registers, layer_norm_forward_registers),
        ATROUS_ON_GPU("warp", f32_or_bf16, layer_norm_forward_warp),
        ATROUS_ON_GPU("naive", f32_or_bf16, layer_norm_forward_naive),
        {"cpu", Device::cpu, f32_only, layer_norm_forward_cpu},
        {"ref", Device::cpu, f32_or_f64, layer_norm_forward_ref},
    }};
constexpr Entry<LayerNormProblem, LayerNormBackwardFn> backward{
    "layer_norm.backward",
    {
        ATROUS_ON_GPU("registers", can_in_registers, layer_norm_backward_registers),
        ATROUS_ON_GPU("warp", f32_or_bf16, layer_norm_backward_warp),
        ATROUS_ON_GPU("naive", f32_or_bf16, layer_norm_backward_naive),
        {"cpu", Device::cpu, f32_only, layer_norm_backward_cpu},
        {"ref", Device::cpu, f32_or_f64, layer_norm_backward_ref},
    }};

void check_input(const Tensor& x) {
  ATROUS_CHECK(x.defined() && x.rank() >= 1 && x.channels() > 0 && is_floating(x.dtype()), ErrorKind::usage,
               "[layer_norm] the input must be f32, f64 or bf16 [..., C] with C > 0. Got {}.", x.describe());
}

void check_tensor(const char* name, const Tensor& t, const Shape& shape, DType dtype, const Tensor& x) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == dtype, ErrorKind::usage,
               "[layer_norm] {} must be {} {} for the input {}. Got {}.", name, name_of(dtype), shape.str(),
               x.describe(), t.describe());
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
  forward(LayerNormProblem{x.shape(), x.dtype(), eps}, x, gamma, beta, writes(y), writes(mean),
          writes(invstd));
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
  backward(LayerNormProblem{x.shape(), x.dtype()}, x, dy, mean, invstd, gamma, writes(dx), writes(dgamma),
           writes(dbeta));
}

EntryList layer_norm_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
