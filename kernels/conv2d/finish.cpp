#include "kernels/conv2d/finish.h"

#include "core/cpu.h"

namespace atrous::kernels {
namespace {

ATROUS_MULTIVERSION void add_sums(const float* y, int64_t stride, int64_t pixels, int64_t channels,
                                  double* sum, double* squares) {
  for (int64_t i = 0; i < pixels; ++i, y += stride) {
    for (int64_t k = 0; k < channels; ++k) {
      const double v = static_cast<double>(y[k]);
      sum[k] += v;
      squares[k] += v * v;
    }
  }
}

ATROUS_MULTIVERSION void add_residual(float* y, int64_t stride, const float* residual,
                                      int64_t residual_stride, int64_t pixels, int64_t channels) {
  for (int64_t i = 0; i < pixels; ++i, y += stride, residual += residual_stride) {
    for (int64_t k = 0; k < channels; ++k) y[k] += residual[k];
  }
}

ATROUS_MULTIVERSION void apply_relu(float* y, int64_t stride, int64_t pixels, int64_t channels) {
  for (int64_t i = 0; i < pixels; ++i, y += stride) {
    for (int64_t k = 0; k < channels; ++k) y[k] = y[k] < 0.0f ? 0.0f : y[k];
  }
}

}  // namespace

void finish_pixels(const CorrelationOperands& operands, const FinishedPixels& p, double* sums,
                   int64_t squares) {
  if (operands.sums) add_sums(p.y, p.y_stride, p.pixels, p.channels, sums, sums + squares);
  if (operands.residual) {
    add_residual(p.y, p.y_stride, operands.residual + p.index * operands.residual_stride + p.k,
                 operands.residual_stride, p.pixels, p.channels);
  }
  if (operands.relu) apply_relu(p.y, p.y_stride, p.pixels, p.channels);
}

}  // namespace atrous::kernels
