#include "kernels/softmax/softmax.h"

#include "kernels/common/entry.h"
#include "kernels/softmax/softmax_impl.h"

namespace atrous::kernels {
namespace softmax_impl {
namespace {

template <int64_t most>
constexpr auto up_to =
    [](const SoftmaxProblem& p) { return p.channels > most ? "too many channels" : f32_or_bf16(p); };
// The loops hold at most 64 vectors of a pixel.
template <int lanes>
constexpr auto vectors_of =
    [](const SoftmaxProblem& p) { return p.channels > lanes * 64 ? "too many channels" : f32_only(p); };

constexpr Entry<SoftmaxProblem, ForwardFn> forward{
    "softmax.forward",
    {
        ATROUS_ON_GPU("staged", up_to<most_staged>, forward_staged),
        ATROUS_ON_GPU("registers", up_to<most_in_registers>, forward_registers),
        ATROUS_ON_GPU("warp", f32_or_bf16, forward_warp),
        ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive),
        {"avx512", Device::cpu, vectors_of<16>, forward_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, vectors_of<8>, forward_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, vectors_of<4>, forward_portable},
        {"ref", Device::cpu, f32_or_f64, forward_ref},
    }};
constexpr Entry<SoftmaxProblem, BackwardFn> backward{
    "softmax.backward",
    {
        ATROUS_ON_GPU("staged", up_to<most_staged_backward>, backward_staged),
        ATROUS_ON_GPU("registers", up_to<most_in_registers>, backward_registers),
        ATROUS_ON_GPU("warp", f32_or_bf16, backward_warp),
        ATROUS_ON_GPU("naive", f32_or_bf16, backward_naive),
        {"avx512", Device::cpu, vectors_of<16>, backward_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, vectors_of<8>, backward_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, vectors_of<4>, backward_portable},
        {"ref", Device::cpu, f32_or_f64, backward_ref},
    }};

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
  softmax_impl::forward(p, x, writes(y));
  return y;
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy, bool log) {
  const SoftmaxProblem p = softmax_impl::problem_of(y, log);
  ATROUS_CHECK(dy.shape() == y.shape() && dy.dtype() == y.dtype(), ErrorKind::usage,
               "[softmax] the gradient must be like the output. Got {} for {}.", dy.describe(), y.describe());
  const Tensor dx = Tensor::empty_like(y);
  softmax_impl::backward(p, y, dy, writes(dx));
  return dx;
}

EntryList softmax_entries() {
  return {&softmax_impl::forward, &softmax_impl::backward};
}

}  // namespace atrous::kernels
