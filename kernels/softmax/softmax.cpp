#include "kernels/softmax/softmax.h"

#include "kernels/common/dispatch.h"
#include "kernels/softmax/softmax_kernels.h"

namespace atrous::kernels {
namespace softmax_impl {
namespace {

template <int lanes, Isa needed>
constexpr auto vectors_of = [](const SoftmaxProblem& p) -> const char* {
  if (p.dtype != DType::f32) return "f32 only";
  if (p.channels > lanes * 64) return "too many channels";
  return cpu_isa() < needed ? "needs a newer instruction set" : nullptr;
};

constexpr Implementation<SoftmaxProblem, ForwardFn> forward_table[] = {
    {"avx512", Device::cpu, vectors_of<16, Isa::avx512>, forward_avx512},
    {"avx2", Device::cpu, vectors_of<8, Isa::avx2>, forward_avx2},
    {"portable", Device::cpu, vectors_of<4, Isa::generic>, forward_portable},
    {"ref", Device::cpu, always, forward_ref},
};
constexpr Implementation<SoftmaxProblem, BackwardFn> backward_table[] = {
    {"avx512", Device::cpu, vectors_of<16, Isa::avx512>, backward_avx512},
    {"avx2", Device::cpu, vectors_of<8, Isa::avx2>, backward_avx2},
    {"portable", Device::cpu, vectors_of<4, Isa::generic>, backward_portable},
    {"ref", Device::cpu, always, backward_ref},
};

SoftmaxProblem problem_of(const Tensor& x, bool log) {
  ATROUS_CHECK((x.dtype() == DType::f32 || x.dtype() == DType::f64) && x.rank() >= 1 && x.channels() > 0,
               ErrorKind::usage, "[softmax] the input must be f32 or f64 with at least one channel. Got {}.",
               x.describe());
  return {x.pixels(), x.channels(), log, x.dtype()};
}

}  // namespace
}  // namespace softmax_impl

std::string SoftmaxProblem::str() const {
  return fmt::format("p{} c{}{} {}", pixels, channels, log ? " log" : "", name_of(dtype));
}

Tensor softmax_forward(const Tensor& x, bool log) {
  const SoftmaxProblem p = softmax_impl::problem_of(x, log);
  const Tensor y = Tensor::empty_like(x);
  dispatch("softmax", "softmax.forward", softmax_impl::forward_table, p, {y}, x, y);
  return y;
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy, bool log) {
  const SoftmaxProblem p = softmax_impl::problem_of(y, log);
  ATROUS_CHECK(dy.shape() == y.shape() && dy.dtype() == y.dtype(), ErrorKind::usage,
               "[softmax] the gradient must be like the output. Got {} for {}.", dy.describe(), y.describe());
  const Tensor dx = Tensor::empty_like(y);
  dispatch("softmax", "softmax.backward", softmax_impl::backward_table, p, {dx}, y, dy, dx);
  return dx;
}

std::vector<std::string> softmax_candidates(std::string_view entry, const SoftmaxProblem& problem,
                                            Device device) {
  if (entry == "forward") return candidates(softmax_impl::forward_table, problem, device);
  if (entry == "backward") return candidates(softmax_impl::backward_table, problem, device);
  unknown_entry("softmax", entry);
}

}  // namespace atrous::kernels
