#include "kernels/layer_norm/layer_norm.h"

#include "kernels/common/dispatch.h"
#include "kernels/layer_norm/layer_norm_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const LayerNormProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<LayerNormProblem, LayerNormForwardFn> forward_table[] = {
    {"cpu", Device::cpu, only_f32, layer_norm_forward_cpu},
    {"ref", Device::cpu, always, layer_norm_forward_ref},
};
constexpr Implementation<LayerNormProblem, LayerNormBackwardFn> backward_table[] = {
    {"cpu", Device::cpu, only_f32, layer_norm_backward_cpu},
    {"ref", Device::cpu, always, layer_norm_backward_ref},
};

void check_input(const Tensor& x) {
  ATROUS_CHECK(x.defined() && x.rank() >= 1 && x.channels() > 0 &&
                   (x.dtype() == DType::f32 || x.dtype() == DType::f64),
               ErrorKind::usage, "[layer_norm] the input must be f32 or f64 [..., C] with C > 0. Got {}.",
               x.describe());
}

void check_tensor(const char* name, const Tensor& t, const Shape& shape, const Tensor& x) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == x.dtype(), ErrorKind::usage,
               "[layer_norm] {} must be {} {} for the input {}. Got {}.", name, name_of(x.dtype()),
               shape.str(), x.describe(), t.describe());
}

}  // namespace

std::string LayerNormProblem::str() const {
  return fmt::format("{} {}", name_of(dtype), shape.str());
}

void layer_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& y,
                        const Tensor& mean, const Tensor& invstd) {
  check_input(x);
  check_tensor("gamma", gamma, {x.channels()}, x);
  check_tensor("beta", beta, {x.channels()}, x);
  check_tensor("y", y, x.shape(), x);
  check_tensor("mean", mean, {x.pixels()}, x);
  check_tensor("invstd", invstd, {x.pixels()}, x);
  dispatch("layer_norm", "layer_norm.forward", forward_table, LayerNormProblem{x.shape(), x.dtype(), eps},
           {y, mean, invstd}, x, gamma, beta, y, mean, invstd);
  y.bump_version();
}

void layer_norm_backward(const Tensor& x, const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                         const Tensor& gamma, const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta) {
  check_input(x);
  check_tensor("dy", dy, x.shape(), x);
  check_tensor("mean", mean, {x.pixels()}, x);
  check_tensor("invstd", invstd, {x.pixels()}, x);
  check_tensor("gamma", gamma, {x.channels()}, x);
  check_tensor("dx", dx, x.shape(), x);
  check_tensor("dgamma", dgamma, {x.channels()}, x);
  check_tensor("dbeta", dbeta, {x.channels()}, x);
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
