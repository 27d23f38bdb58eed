// The register-tiled CPU implementations: conv2d in terms of correlations and weight gradients, group by
// group.
//
//   pack.h             filters in the order of the inner loop
//   rows.h             input rows with their padding and prologue; no im2col
//   correlation.h      forward and input gradient
//   weight_gradient.h  gradient of the filter
//   tiles.h            the inner loops, one file per instruction set; all else is the same for each
//
// One core of a Sapphire Rapids Xeon (about 178 GFLOP/s in the bare inner loop), batch 1, f32, including the
// packing: 3x3 of 64 to 256 channels 160 to 170 GFLOP/s in both directions and 146 to 155 for the weight
// gradient; 16 channels 140 and 135; first layer (3 channels) 138 and 160.
#include <fmt/core.h>

#include "core/cpu.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/correlation.h"
#include "kernels/conv2d/weight_gradient.h"

namespace atrous::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

Grid grid_of(const Tensor& t, int64_t first_channel) {
  return {t.data<float>() + first_channel, t.dim(1), t.dim(2), t.pixel_stride()};
}

const float* data_or_null(const Tensor& t, int64_t first) {
  return t.defined() ? t.data<float>() + first : nullptr;
}

// Rows and columns of dx that share a remainder modulo the stride form one correlation over dy.
Phase backward_input_phase(const Conv2dProblem& p, int64_t phase_h, int64_t phase_w, int64_t pixel_stride) {
  Phase phase{ceil_div(p.h - phase_h, p.stride_h),
              ceil_div(p.w - phase_w, p.stride_w),
              (phase_h * p.w + phase_w) * pixel_stride,
              {}};
  for (int64_t r = 0; r < p.r; ++r) {
    for (int64_t s = 0; s < p.s; ++s) {
      const int64_t h = phase_h + p.pad_h - r * p.dilation_h, v = phase_w + p.pad_w - s * p.dilation_w;
      if (h % p.stride_h == 0 && v % p.stride_w == 0)
        phase.taps.push_back({h / p.stride_h, v / p.stride_w, r * p.s + s});
    }
  }
  return phase;
}

void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f, const Tensor& y,
             const TileKernels& kernels) {
  const int64_t cg = p.c / p.groups, kg = p.k / p.groups;
  if (p.n == 0 && f.channel_sums.defined()) f.channel_sums.fill(0);
  for (int64_t g = 0; g < p.groups; ++g) {
    Correlation c;
    c.images = p.n;
    c.x = grid_of(x, g * cg);
    c.c = cg;
    c.prologue = {data_or_null(f.in_scale, g * cg), data_or_null(f.in_bias, g * cg), f.in_relu};
    c.step_h = p.stride_h;
    c.step_w = p.stride_w;
    Phase all{p.p(), p.q(), 0, {}};
    for (int64_t r = 0; r < p.r; ++r) {
      for (int64_t s = 0; s < p.s; ++s) {
        all.taps.push_back({r * p.dilation_h - p.pad_h, s * p.dilation_w - p.pad_w, r * p.s + s});
      }
    }
    c.phases.push_back(std::move(all));
    c.filter = {w.data<float>() + g * kg * p.r * p.s * w.pixel_stride(), w.pixel_stride(), 1,
                p.r * p.s * w.pixel_stride()};
    c.k = kg;
    c.y = y.data<float>() + g * kg;
    c.y_column = y.pixel_stride();
    c.y_row = p.q() * c.y_column;
    c.y_image = p.p() * c.y_row;
    c.bias = data_or_null(f.bias, g * kg);
    if (f.channel_sums.defined()) {
      c.sums = f.channel_sums.data<double>() + g * kg;
      c.sums_stride = f.channel_sums.pixel_stride();
    }
    if (f.residual.defined()) {
      c.residual = f.residual.data<float>() + g * kg;
      c.residual_stride = f.residual.pixel_stride();
    }
    c.relu = f.relu;
    c.kept = f.kept;
    c.kept_name = fmt::format("direct {} lanes, group {}", kernels.lanes, g);
    correlate(std::move(c), kernels);
  }
}

void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx, const TileKernels& kernels) {
  const int64_t cg = p.c / p.groups, kg = p.k / p.groups, stride = dx.pixel_stride();
  for (int64_t g = 0; g < p.groups; ++g) {
    Correlation c;
    c.images = p.n;
    c.x = grid_of(dy, g * kg);
    c.c = kg;
    for (int64_t h = 0; h < std::min(p.h, p.stride_h); ++h) {
      for (int64_t v = 0; v < std::min(p.w, p.stride_w); ++v) {
        c.phases.push_back(backward_input_phase(p, h, v, stride));
      }
    }
    c.filter = {w.data<float>() + g * kg * p.r * p.s * w.pixel_stride(), w.pixel_stride(),
                p.r * p.s * w.pixel_stride(), 1};
    c.k = cg;
    c.y = dx.data<float>() + g * cg;
    c.y_image = p.h * p.w * stride;
    c.y_row = p.stride_h * p.w * stride;
    c.y_column = p.stride_w * stride;
    c.bias = data_or_null(bias, g * cg);
    correlate(std::move(c), kernels);
  }
}

void backward_weight(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw,
                     const TileKernels& kernels) {
  const int64_t cg = p.c / p.groups, kg = p.k / p.groups;
  Conv2dProblem one = p;
  one.c = cg;
  one.k = kg;
  one.groups = 1;
  for (int64_t g = 0; g < p.groups; ++g) {
    weight_gradient(
        {one, grid_of(dy, g * kg), grid_of(x, g * cg), dw.data<float>() + g * kg * p.r * p.s * cg}, kernels);
  }
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
