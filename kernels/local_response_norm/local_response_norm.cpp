#include "kernels/local_response_norm/local_response_norm.h"

#include "kernels/common/entry.h"
#include "kernels/common/pool2d.h"
#include "kernels/local_response_norm/local_response_norm_impl.h"

namespace atrous::kernels {
namespace {

// Backward holds three rows of a pixel in 48 KB.
const char* can_shared(const LocalResponseNormProblem& p) {
  return p.shape[-1] > 4096 ? "a pixel does not fit shared memory" : f32_or_bf16(p);
}

constexpr Entry<LocalResponseNormProblem, LocalResponseNormForwardFn> forward{
    "local_response_norm.forward",
    {
        ATROUS_ON_GPU("shared", can_shared, local_response_norm_forward_shared),
        ATROUS_ON_GPU("naive", f32_or_bf16, local_response_norm_forward_naive),
        {"vector", Device::cpu, f32_only, local_response_norm_forward_vector},
        {"ref", Device::cpu, f32_or_f64, local_response_norm_forward_ref},
    }};
constexpr Entry<LocalResponseNormProblem, LocalResponseNormBackwardFn> backward{
    "local_response_norm.backward",
    {
        ATROUS_ON_GPU("shared", can_shared, local_response_norm_backward_shared),
        ATROUS_ON_GPU("naive", f32_or_bf16, local_response_norm_backward_naive),
        {"vector", Device::cpu, f32_only, local_response_norm_backward_vector},
        {"ref", Device::cpu, f32_or_f64, local_response_norm_backward_ref},
    }};

}  // namespace

LocalResponseNormProblem LocalResponseNormProblem::make(const char* where, const Shape& shape, DType dtype,
                                                        const LocalResponseNormOptions& o) {
  ATROUS_CHECK(shape.rank() >= 1 && shape.numel() > 0 && is_floating(dtype), ErrorKind::usage,
               "[{}] the input must be a non-empty [..., C] in f32, f64 or bf16. Got {} {}.", where,
               name_of(dtype), shape.str());
  ATROUS_CHECK(
      o.size >= 1 && o.alpha >= 0 && o.k > 0, ErrorKind::usage,
      "[{}] size must be at least 1, alpha at least 0 and k above 0. Got size {}, alpha {}, k {}. The scale "
      "k + alpha*mean(x^2) must stay positive.",
      where, o.size, o.alpha, o.k);
  return {shape, o, dtype};
}

std::string LocalResponseNormProblem::str() const {
  return fmt::format("{} {} size {} alpha {} beta {} k {}", name_of(dtype), shape.str(), options.size,
                     options.alpha, options.beta, options.k);
}

Tensor local_response_norm(const Tensor& x, const LocalResponseNormOptions& options, Tensor out) {
  const char* where = "local_response_norm";
  const auto problem = LocalResponseNormProblem::make(where, x.shape(), x.dtype(), options);
  const Tensor y = pool_target(where, std::move(out), x.shape(), x);
  forward(problem, x, writes(y));
  return y;
}

Tensor local_response_norm_backward(const Tensor& dy, const Tensor& x,
                                    const LocalResponseNormOptions& options) {
  const char* where = "local_response_norm backward";
  const auto problem = LocalResponseNormProblem::make(where, x.shape(), x.dtype(), options);
  check_tensor(where, "output gradient", dy, x.shape(), x.dtype());
  const Tensor dx = Tensor::empty_like(x);
  backward(problem, dy, x, writes(dx));
  return dx;
}

EntryList local_response_norm_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
