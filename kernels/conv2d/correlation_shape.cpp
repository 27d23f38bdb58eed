#include "kernels/conv2d/correlation_shape.h"

#include <fmt/core.h>

#include <algorithm>

#include "kernels/common/ceil_div.h"

namespace atrous::kernels {
namespace {

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

// The filter of a group, read along C by the forward pass, along K by the input gradient.
FilterView filter_of(const Conv2dProblem& p, int64_t group, const Tensor& w, bool forward) {
  const int64_t pixel = w.pixel_stride(), channel = p.r * p.s * pixel;
  const float* data = w.data<float>() + group * (p.k / p.groups) * channel;
  return forward ? FilterView{data, pixel, 1, channel} : FilterView{data, pixel, channel, 1};
}

}  // namespace

int64_t CorrelationShape::rows() const {
  int64_t most = 0;
  for (const Phase& phase : phases) most = std::max(most, phase.rows);
  return most;
}

int64_t CorrelationShape::columns() const {
  int64_t most = 0;
  for (const Phase& phase : phases) most = std::max(most, phase.columns);
  return most;
}

std::vector<Tap> CorrelationShape::taps() const {
  std::vector<Tap> all;
  for (const Phase& phase : phases) all.insert(all.end(), phase.taps.begin(), phase.taps.end());
  return all;
}

CorrelationShape forward_shape(const Conv2dProblem& p, const PixelStrides& strides, bool has_prologue) {
  CorrelationShape s;
  s.images = p.n;
  s.h = p.h;
  s.w = p.w;
  s.c = p.c / p.groups;
  s.x_column = strides.x;
  s.has_prologue = has_prologue;
  s.step_h = p.stride_h;
  s.step_w = p.stride_w;
  s.phases = {{p.p(), p.q(), 0, forward_taps(p)}};
  s.k = p.k / p.groups;
  s.k_dense = p.r * p.s * strides.w == 1;
  s.y_column = strides.y;
  s.y_row = p.q() * s.y_column;
  s.y_image = p.p() * s.y_row;
  return s;
}

CorrelationShape backward_input_shape(const Conv2dProblem& p, const PixelStrides& strides) {
  CorrelationShape s;
  s.images = p.n;
  s.h = p.p();
  s.w = p.q();
  s.c = p.k / p.groups;
  s.x_column = strides.y;
  for (int64_t h = 0; h < std::min(p.h, p.stride_h); ++h) {
    for (int64_t v = 0; v < std::min(p.w, p.stride_w); ++v)
      s.phases.push_back(backward_input_phase(p, h, v, strides.x));
  }
  s.k = p.c / p.groups;
  s.k_dense = true;
  s.y_column = p.stride_w * strides.x;
  s.y_row = p.stride_h * p.w * strides.x;
  s.y_image = p.h * p.w * strides.x;
  return s;
}

CorrelationOperands forward_operands(const Conv2dProblem& p, int64_t group, const Tensor& x, const Tensor& w,
                                     const Conv2dFusion& f, const Tensor& y, const std::string& form) {
  const int64_t c = group * (p.c / p.groups), k = group * (p.k / p.groups);
  CorrelationOperands o;
  o.x = x.data<float>() + c;
  o.prologue = {data_or_null(f.in_scale, c), data_or_null(f.in_bias, c), f.in_relu};
  o.filter = filter_of(p, group, w, true);
  o.kept = f.kept;
  o.kept_name = fmt::format("{}, group {}", form, group);
  o.bias = data_or_null(f.bias, k);
  o.y = y.data<float>() + k;
  if (f.channel_sums.defined()) {
    o.sums = f.channel_sums.data<double>() + k;
    o.sums_stride = f.channel_sums.pixel_stride();
  }
  if (f.residual.defined()) {
    o.residual = f.residual.data<float>() + k;
    o.residual_stride = f.residual.pixel_stride();
  }
  o.relu = f.relu;
  return o;
}

CorrelationOperands backward_input_operands(const Conv2dProblem& p, int64_t group, const Tensor& dy,
                                            const Tensor& w, const Tensor& bias, const Tensor& dx) {
  const int64_t c = group * (p.c / p.groups), k = group * (p.k / p.groups);
  CorrelationOperands o;
  o.x = dy.data<float>() + k;
  o.filter = filter_of(p, group, w, false);
  o.bias = data_or_null(bias, c);
  o.y = dx.data<float>() + c;
  return o;
}

void sort_taps(CorrelationShape& shape) {
  for (Phase& phase : shape.phases) {
    std::sort(phase.taps.begin(), phase.taps.end(),
              [](const Tap& a, const Tap& b) { return a.h != b.h ? a.h < b.h : a.w < b.w; });
  }
}

void join_images(CorrelationShape& s) {
  if (s.phases.size() != 1 || !is_pointwise(s.phases[0].taps, s.step_h, s.step_w)) return;
  Phase& phase = s.phases[0];
  if (phase.rows != s.h || phase.columns != s.w) return;
  if (s.y_row != phase.columns * s.y_column || s.y_image != phase.rows * s.y_row) return;
  s.w = phase.columns = s.images * s.h * s.w;
  s.images = s.h = phase.rows = 1;
}

FloatBuffer padded_bias(const float* bias, int64_t k, int64_t lanes) {
  FloatBuffer padded(lanes);
  std::fill_n(padded.data(), lanes, 0.0f);
  if (bias) std::copy_n(bias, k, padded.data());
  return padded;
}

void combine_sums(const std::vector<double>& partial, int64_t tasks, int64_t k,
                  const CorrelationOperands& operands) {
  for (int64_t which = 0; which < 2; ++which) {
    double* total = operands.sums + which * operands.sums_stride;
    std::fill_n(total, k, 0.0);
    for (int64_t task = 0; task < tasks; ++task) {
      const double* part = &partial[static_cast<size_t>((task * 2 + which) * k)];
      for (int64_t i = 0; i < k; ++i) total[i] += part[i];
    }
  }
}

}  // namespace atrous::kernels
