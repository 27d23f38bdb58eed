// Softmax cross-entropy over a run of pixels with L-wide vectors. Logits of a pixel are contiguous (NHWC), so
// with up to 4 L classes a pixel lives in registers from load to gradient.
#pragma once

#include <algorithm>

#include "kernels/cross_entropy/cross_entropy_impl.h"
#include "kernels/cross_entropy/pixel_lanes.h"

namespace atrous::kernels::cross_entropy_impl {
namespace {

// Label smoothing, not inlined into the common case: sum_k w_k (max - z_k), and the part of the gradient that
// every class has.
[[gnu::noinline, maybe_unused]] float distance_below(const float* logits, const float* weights, int classes,
                                                     float max) {
  float sum = 0;
  for (int k = 0; k < classes; ++k) sum += (weights ? weights[k] : 1.0f) * (max - logits[k]);
  return sum;
}
[[gnu::noinline, maybe_unused]] inline void subtract_weights(float* gradient, const float* weights,
                                                             int classes, float factor) {
  for (int k = 0; k < classes; ++k) gradient[k] -= factor * (weights ? weights[k] : 1.0f);
}

template <int L, int NV>
double run_pixels(const PixelRun& r) {
  const auto k = static_cast<int>(r.classes);
  PixelLogits<L, NV> z((k + L - 1) / L);
  const int64_t padded = z.vectors * L;
  double total = 0;
  for (int64_t i = 0; i < r.count; ++i) {
    const float* logits = r.logits + i * r.stride;
    const int32_t label = r.labels[i];
    float* gradient = r.gradient ? r.gradient + i * r.classes : nullptr;
    if (label == r.ignore_index) {
      if (gradient) __builtin_memset(gradient, 0, static_cast<size_t>(k) * sizeof(float));
      if (r.pixel_losses) r.pixel_losses[i] = 0;
      continue;
    }
    z.load(logits, k, i * r.stride + padded <= (r.count - 1) * r.stride + k, -__builtin_inff());
    float max, sum;
    z.exponentials(max, sum);
    float weight = 1.0f;
    if (r.class_weights) weight = r.class_weights[label];
    if (r.pixel_weights) weight *= r.pixel_weights[i];
    float loss = log_approx(sum) + (max - logits[label]);
    float factor = 1.0f;
    if (r.gamma != 0.0f) {
      const FocalFloat f = focal_float(loss, r.gamma);
      loss = f.loss;
      factor = f.gradient_factor;
    }
    float spread = 0;  // the weight of every class, but for its class weight
    if (r.smoothing != 0.0f) {
      spread = r.smoothing / static_cast<float>(k) * (r.pixel_weights ? r.pixel_weights[i] : 1.0f);
      weight *= 1.0f - r.smoothing;
    }
    loss *= weight;
    if (r.smoothing != 0.0f)
      loss += spread * (r.sum_of_weights * log_approx(sum) + distance_below(logits, r.class_weights, k, max));
    total += static_cast<double>(loss);
    if (r.pixel_losses) r.pixel_losses[i] = loss;
    if (!gradient) continue;
    const float hit = weight * factor * r.scale;
    z.gradient(hit + spread * r.sum_of_weights * r.scale, hit, sum, label);
    z.store(gradient, k, i * r.classes + padded <= r.count * r.classes);
    if (r.smoothing != 0.0f) subtract_weights(gradient, r.class_weights, k, spread * r.scale);
  }
  return total;
}

template <int L>
double run_any_classes(const PixelRun& r) {
  switch ((r.classes + L - 1) / L) {
    case 1: return run_pixels<L, 1>(r);
    case 2: return run_pixels<L, 2>(r);
    case 3: return run_pixels<L, 3>(r);
    case 4: return run_pixels<L, 4>(r);
    default: return run_pixels<L, 0>(r);
  }
}

}  // namespace
}  // namespace atrous::kernels::cross_entropy_impl
