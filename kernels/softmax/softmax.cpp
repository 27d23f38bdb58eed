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

template <int64_t most>
constexpr auto up_to = [](const SoftmaxProblem& p) -> const
    char* { return p.channels > most ? "too many channels" : why_not_f64(p); };

constexpr Implementation<SoftmaxProblem, ForwardFn> forward_table[] = {
    ATROUS_ON_GPU("staged", up_to<most_staged>, forward_staged),
    ATROUS_ON_GPU("registers", up_to<most_in_registers>, forward_registers),
    ATROUS_ON_GPU("warp", why_not_f64, forward_warp),
    ATROUS_ON_GPU("naive", why_not_f64, forward_naive),
    {"avx512", Device::cpu, vectors_of<16, Isa::avx512>, forward_avx512},
    {"avx2", Device::cpu, vectors_of<8, Isa::avx2>, forward_avx2},
    {"portable", Device::cpu, vectors_of<4, Isa::generic>, forward_portable},
    {"ref", Device::cpu, why_not_bf16, forward_ref},
};
constexpr Implementation<SoftmaxProblem, BackwardFn> backward_table[] = {
    ATROUS_ON_GPU("staged", up_to<most_staged_backward>, backward_staged),
    ATROUS_ON_GPU("registers", up_to<most_in_registers>, backward_registers),
    ATROUS_ON_GPU("warp", why_not_f64, backward_warp),
    ATROUS_ON_GPU("naive", why_not_f64, backward_naive),
    {"avx512", Device::cpu, vectors_of<16, Isa::avx512>, backward_avx512},
    {"avx2", Device::cpu, vectors_of<8, Isa::avx2>, backward_avx2},
    {"portable", Device::cpu, vectors_of<4, Isa::generic>, backward_portable},
    {"ref", Device::cpu, why_not_bf16, backward_ref},
};

SoftmaxProblem problem_of(const Tensor& x, bool log) {
  ATROUS_CHECK(is_floating(x.dtype()) && x.rank() >= 1 && x.channels() > 0, ErrorKind::usage,
               "[softmax] the input must be f32, f64 or bf16 with at least one channel. Got {}.",
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
  check_same_device("softmax", {y, dy});
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
