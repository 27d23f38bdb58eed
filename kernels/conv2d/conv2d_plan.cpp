#include "kernels/conv2d/conv2d_plan.h"

#include "kernels/conv2d/conv2d_impl.h"

namespace atrous::kernels {
namespace {

const char* can_mma(const Conv2dProblem& p, DType dtype, int64_t taps) {
  constexpr int64_t limit = int64_t{1} << 30;
  if (p.dtype != dtype) return dtype == DType::bf16 ? "bf16 only" : "f32 only";
  if (p.groups != 1) return "one group only";
  if (taps > most_masked_taps) return "more than 64 taps";
  if (p.n * std::max(p.h * p.w, p.p() * p.q()) >= limit) return "2^30 pixels or more";
  if (p.r * p.s * std::max(p.c, p.k) >= limit) return "sums of 2^30 terms or more";
  if (std::max(p.h + 2 * p.pad_h, p.w + 2 * p.pad_w) >= limit) return "extents of 2^30 or more";
  return nullptr;
}

}  // namespace

template <DType dtype>
const char* conv2d_can_mma_forward(const Conv2dProblem& p) {
  return can_mma(p, dtype, p.r * p.s);
}
template <DType dtype>
const char* conv2d_can_mma_backward_input(const Conv2dProblem& p) {
  return can_mma(
      p, dtype,
      most_gradient_taps(p.r, p.stride_h, p.dilation_h) * most_gradient_taps(p.s, p.stride_w, p.dilation_w));
}
template <DType dtype>
const char* conv2d_can_mma_backward_weight(const Conv2dProblem& p) {
  return can_mma(p, dtype, 0);
}
template const char* conv2d_can_mma_forward<DType::bf16>(const Conv2dProblem&);
template const char* conv2d_can_mma_forward<DType::f32>(const Conv2dProblem&);
template const char* conv2d_can_mma_backward_input<DType::bf16>(const Conv2dProblem&);
template const char* conv2d_can_mma_backward_input<DType::f32>(const Conv2dProblem&);
template const char* conv2d_can_mma_backward_weight<DType::bf16>(const Conv2dProblem&);
template const char* conv2d_can_mma_backward_weight<DType::f32>(const Conv2dProblem&);

}  // namespace atrous::kernels
