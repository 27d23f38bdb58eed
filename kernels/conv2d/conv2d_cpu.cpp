// The register-tiled CPU implementations: conv2d in terms of correlations and weight gradients, group by
// group.
//
//   correlation_shape.h      forward and input gradient as correlations, for any type of factors
//   correlation.h            their plans and executions with f32 factors
//   weight_gradient_tasks.h  gradient of the filter, for any type of factors
//   weight_gradient.h        its plans and executions with f32 factors
//   pack.h                   filters in the order of the inner loop
//   rows.h                   input rows with their padding and prologue; no im2col
//   tiles.h                  the inner loops, one file per instruction set; all else is the same for each
//
// A plan (correlation_plan.cpp, weight_gradient_plan.cpp) depends on the sizes alone, and all groups share
// it.
//
// One core of a Sapphire Rapids Xeon (about 178 GFLOP/s in the bare inner loop), batch 1, f32, including the
// packing: 3x3 of 64 to 256 channels 160 to 170 GFLOP/s in both directions and 146 to 155 for the weight
// gradient; 16 channels 140 and 135; first layer (3 channels) 138 and 160.
#include <fmt/core.h>

#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/correlation.h"
#include "kernels/conv2d/weight_gradient.h"

namespace atrous::kernels {
namespace {

void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f, const Tensor& y,
             const TileKernels& kernels) {
  if (p.n == 0 && f.channel_sums.defined()) f.channel_sums.fill(0);
  if (p.n == 0) return;
  const CorrelationPlan plan = plan_correlation(
      forward_shape(p, {x.pixel_stride(), w.pixel_stride(), y.pixel_stride()}, f.has_prologue()), kernels);
  const std::string form = fmt::format("direct {} lanes", kernels.lanes);
  for (int64_t g = 0; g < p.groups; ++g) execute(plan, forward_operands(p, g, x, w, f, y, form), kernels);
}

void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx, const TileKernels& kernels) {
  if (p.n == 0) return;
  const CorrelationPlan plan = plan_correlation(
      backward_input_shape(p, {dx.pixel_stride(), w.pixel_stride(), dy.pixel_stride()}), kernels);
  for (int64_t g = 0; g < p.groups; ++g)
    execute(plan, backward_input_operands(p, g, dy, w, bias, dx), kernels);
}

void backward_weight(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw,
                     const TileKernels& kernels) {
  if (p.n == 0) return dw.fill(0);
  const WeightGradientPlan plan =
      plan_weight_gradient(group_problem(p), x.pixel_stride(), dy.pixel_stride(), kernels);
  for (int64_t g = 0; g < p.groups; ++g) execute(plan, weight_gradient_operands(p, g, dy, x, dw), kernels);
}

}  // namespace

void conv2d_forward_avx2(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                         const Tensor& y) {
  forward(p, x, w, f, y, tile_kernels_avx2());
}
void conv2d_forward_avx512(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                           const Tensor& y) {
  forward(p, x, w, f, y, tile_kernels_avx512());
}
void conv2d_backward_input_avx2(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                                const Tensor& dx) {
  backward_input(p, dy, w, bias, dx, tile_kernels_avx2());
}
void conv2d_backward_input_avx512(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                  const Tensor& bias, const Tensor& dx) {
  backward_input(p, dy, w, bias, dx, tile_kernels_avx512());
}
void conv2d_backward_weight_avx2(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                 const Tensor& dw) {
  backward_weight(p, dy, x, dw, tile_kernels_avx2());
}
void conv2d_backward_weight_avx512(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                   const Tensor& dw) {
  backward_weight(p, dy, x, dw, tile_kernels_avx512());
}

}  // namespace atrous::kernels
