// Convolutions of f32 tensors with factors rounded to bf16 and sums in f32, for the config key "math":
// "bf16": three rungs of one function, taken where the math allows Accuracy::bf16.
//
//   amx_bf16      tdpbf16ps   }  bf16_correlation.h, bf16_weight_gradient.h: loops, tasks, borders
//   avx512_bf16   vdpbf16ps   }  bf16_blocks.h: rounding and packing; bf16_tiles.h: the inner loops
//   bf16_rounded  any CPU: rounds copies of both factors, then takes the direct sums of f32
//
// In the entries AMX stands before Winograd in f32, which it beats on every 3x3 layer that was measured;
// Winograd stands before the others. Milliseconds on two cores of a Sapphire Rapids Xeon, batch 1 (f32
// includes Winograd, which has the 3x3 layers of stride and rate 1):
//
//                          forward        backward_input   backward_weight
//                          f32   bf16     f32   bf16       f32   bf16
//   45x60   1x1 c512 k2048  19.4   4.1     18.7   3.5       21.5   6.5
//   45x60   1x1 c1024 k256   4.6   1.2      5.2   1.2        5.7   2.4
//   64x64   3x3 c128 k128    2.0   0.8      3.3   1.0        2.9   2.1
//   256x256 3x3 c32 k32      2.4   1.5      2.5   1.2        7.0   1.4
//   64x64   3x3 c64 k128 stride 2  0.64  0.22  1.3  0.25     1.4   0.66
//
// The instructions treat denormal numbers as zero and add in a different order; else products are exact
// and results differ by the rounding of f32 sums. Where rows of few channels are folded into one reduction,
// an infinity or NaN of x also reaches outputs up to 30/C columns beyond the filter.
#include "core/amx.h"
#include "core/cpu.h"
#include "kernels/conv2d/bf16_correlation.h"
#include "kernels/conv2d/bf16_weight_gradient.h"
#include "kernels/conv2d/conv2d_impl.h"

namespace atrous::kernels {
namespace {

void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f, const Tensor& y,
             const Bf16Kernels& kernels) {
  if (p.n == 0 && f.channel_sums.defined()) f.channel_sums.fill(0);
  if (p.n == 0) return;
  const Bf16CorrelationPlan plan = plan_bf16_correlation(
      forward_shape(p, {x.pixel_stride(), w.pixel_stride(), y.pixel_stride()}, f.has_prologue()));
  for (int64_t g = 0; g < p.groups; ++g) execute(plan, forward_operands(p, g, x, w, f, y, "bf16"), kernels);
}

void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx, const Bf16Kernels& kernels) {
  if (p.n == 0) return;
  const Bf16CorrelationPlan plan = plan_bf16_correlation(
      backward_input_shape(p, {dx.pixel_stride(), w.pixel_stride(), dy.pixel_stride()}));
  for (int64_t g = 0; g < p.groups; ++g)
    execute(plan, backward_input_operands(p, g, dy, w, bias, dx), kernels);
}

void backward_weight(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw,
                     const Bf16Kernels& kernels) {
  if (p.n == 0) return dw.fill(0);
  const Bf16WeightGradientPlan plan =
      plan_bf16_weight_gradient(group_problem(p), x.pixel_stride(), dy.pixel_stride());
  for (int64_t g = 0; g < p.groups; ++g) execute(plan, weight_gradient_operands(p, g, dy, x, dw), kernels);
}

Tensor rounded(const Tensor& t) {
  return t.to(DType::bf16).to(DType::f32);
}

// relu?(in_scale[c]*x + in_bias[c])
Tensor with_prologue(const Tensor& x, const Conv2dFusion& f) {
  if (!f.has_prologue()) return x;
  const Tensor result = x.clone();
  const int64_t channels = x.channels();
  for (int64_t i = 0; i < result.numel(); ++i) {
    float& v = result.data<float>()[i];
    if (f.in_scale.defined())
      v = f.in_scale.data<float>()[i % channels] * v + f.in_bias.data<float>()[i % channels];
    if (f.in_relu && v < 0) v = 0;
  }
  return result;
}

}  // namespace

const Needs needs_amx_bf16{"needs AMX", cpu_has_amx_bf16};
const Needs needs_avx512_bf16{"needs AVX512_BF16", [] { return cpu_isa() >= Isa::avx512 && cpu_has_bf16(); }};

void conv2d_forward_amx_bf16(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                             const Tensor& y) {
  forward(p, x, w, f, y, bf16_kernels_amx());
}
void conv2d_forward_avx512_bf16(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                const Conv2dFusion& f, const Tensor& y) {
  forward(p, x, w, f, y, bf16_kernels_avx512());
}
void conv2d_forward_bf16_rounded(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                 const Conv2dFusion& f, const Tensor& y) {
  Conv2dFusion rest = f;
  rest.in_scale = rest.in_bias = Tensor();
  rest.in_relu = false;
  rest.kept = nullptr;  // they are of the filter as it is
  const auto run = cpu_isa() >= Isa::avx512 ? conv2d_forward_avx512
                   : cpu_isa() >= Isa::avx2 ? conv2d_forward_avx2
                                            : conv2d_forward_ref;
  run(p, rounded(with_prologue(x, f)), rounded(w), rest, y);
}

void conv2d_backward_input_amx_bf16(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                    const Tensor& bias, const Tensor& dx) {
  backward_input(p, dy, w, bias, dx, bf16_kernels_amx());
}
void conv2d_backward_input_avx512_bf16(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                       const Tensor& bias, const Tensor& dx) {
  backward_input(p, dy, w, bias, dx, bf16_kernels_avx512());
}
void conv2d_backward_input_bf16_rounded(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                        const Tensor& bias, const Tensor& dx) {
  const auto run = cpu_isa() >= Isa::avx512 ? conv2d_backward_input_avx512
                   : cpu_isa() >= Isa::avx2 ? conv2d_backward_input_avx2
                                            : conv2d_backward_input_ref;
  run(p, rounded(dy), rounded(w), bias, dx);
}

void conv2d_backward_weight_amx_bf16(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                     const Tensor& dw) {
  backward_weight(p, dy, x, dw, bf16_kernels_amx());
}
void conv2d_backward_weight_avx512_bf16(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                        const Tensor& dw) {
  backward_weight(p, dy, x, dw, bf16_kernels_avx512());
}
void conv2d_backward_weight_bf16_rounded(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                         const Tensor& dw) {
  const auto run = cpu_isa() >= Isa::avx512 ? conv2d_backward_weight_avx512
                   : cpu_isa() >= Isa::avx2 ? conv2d_backward_weight_avx2
                                            : conv2d_backward_weight_ref;
  run(p, rounded(dy), rounded(x), dw);
}

}  // namespace atrous::kernels
