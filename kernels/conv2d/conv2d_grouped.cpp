// The rungs "grouped_avx512" and "grouped_avx2": several groups in one vector (grouped.h).
#include <fmt/core.h>

#include <algorithm>

#include "kernels/common/implementation.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/grouped.h"

namespace atrous::kernels {
namespace {

const char* can_group(const Conv2dProblem& p, int64_t lanes, const char* too_wide) {
  if (p.dtype != DType::f32) return "f32 only";
  if (p.groups == 1) return "one group";
  return std::max(p.c, p.k) / p.groups > lanes ? too_wide : nullptr;
}

// Floats of the filter from group to group.
int64_t filter_step(const Conv2dProblem& p, const Tensor& w) {
  return p.k / p.groups * p.r * p.s * w.pixel_stride();
}

void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f, const Tensor& y,
             const GroupKernels& kernels) {
  if (p.n == 0 && f.channel_sums.defined()) f.channel_sums.fill(0);
  if (p.n == 0) return;
  const GroupedCorrelationPlan plan = plan_grouped_correlation(
      forward_shape(p, {x.pixel_stride(), w.pixel_stride(), y.pixel_stride()}, f.has_prologue()), p.groups,
      kernels.lanes);
  const std::string form = fmt::format("grouped {} lanes", kernels.lanes);
  execute(plan, forward_operands(p, 0, x, w, f, y, form), filter_step(p, w), kernels);
}

void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx, const GroupKernels& kernels) {
  if (p.n == 0) return;
  const GroupedCorrelationPlan plan = plan_grouped_correlation(
      backward_input_shape(p, {dx.pixel_stride(), w.pixel_stride(), dy.pixel_stride()}), p.groups,
      kernels.lanes);
  execute(plan, backward_input_operands(p, 0, dy, w, bias, dx), filter_step(p, w), kernels);
}

void backward_weight(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw,
                     const GroupKernels& kernels) {
  if (p.n == 0) return dw.fill(0);
  execute(plan_grouped_weight(p, kernels.lanes), dy, x, dw, kernels);
}

}  // namespace

const char* conv2d_can_group_avx512(const Conv2dProblem& p) {
  return can_group(p, 16, "more than 16 channels in a group");
}
const char* conv2d_can_group_avx2(const Conv2dProblem& p) {
  return can_group(p, 8, "more than 8 channels in a group");
}

void conv2d_forward_grouped_avx512(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                   const Conv2dFusion& f, const Tensor& y) {
  forward(p, x, w, f, y, group_kernels_avx512());
}
void conv2d_forward_grouped_avx2(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                 const Conv2dFusion& f, const Tensor& y) {
  forward(p, x, w, f, y, group_kernels_avx2());
}
void conv2d_backward_input_grouped_avx512(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                          const Tensor& bias, const Tensor& dx) {
  backward_input(p, dy, w, bias, dx, group_kernels_avx512());
}
void conv2d_backward_input_grouped_avx2(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                        const Tensor& bias, const Tensor& dx) {
  backward_input(p, dy, w, bias, dx, group_kernels_avx2());
}
void conv2d_backward_weight_grouped_avx512(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                           const Tensor& dw) {
  backward_weight(p, dy, x, dw, group_kernels_avx512());
}
void conv2d_backward_weight_grouped_avx2(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                         const Tensor& dw) {
  backward_weight(p, dy, x, dw, group_kernels_avx2());
}

}  // namespace atrous::kernels
