// The per-pixel part of the kernels of cross-entropy and of its fused form, once the logits are known.
#pragma once

#include <algorithm>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cross_entropy/cross_entropy_math.h"
#include "kernels/gpu/gpu.h"
#include "kernels/labels/label_view.h"

namespace atrous::kernels::ATROUS_GPU {

// Everything but the logits.
struct Targets {
  LabelView labels;
  int32_t classes;
  int32_t ignore_index;
  const float* class_weights;  // or null
  const float* pixel_weights;  // or null
  const double* scale;
  float gamma;
  float smoothing;      // label smoothing
  float* pixel_losses;  // or null
  double* partial;      // one sum of losses per block

  Targets(const CrossEntropyProblem& p, const Tensor& labels_, const CrossEntropyResult& out,
          const Tensor& partial_)
      : labels(labels_),
        classes(static_cast<int32_t>(p.classes)),
        ignore_index(static_cast<int32_t>(p.ignore_index)),
        class_weights(p.class_weights.defined() ? p.class_weights.device_data<float>() : nullptr),
        pixel_weights(p.pixel_weights.defined() ? p.pixel_weights.device_data<float>() : nullptr),
        scale(p.scale.device_data<double>()),
        gamma(static_cast<float>(p.gamma)),
        smoothing(static_cast<float>(p.label_smoothing)),
        pixel_losses(out.pixel_losses.defined() ? out.pixel_losses.device_data<float>() : nullptr),
        partial(partial_.device_data<double>()) {}

  // Labels out of range are not counted, so that no kernel reads past its logits: loss_scale reports them.
  __device__ bool counts(int32_t label) const {
    return label != ignore_index && label >= 0 && label < classes;
  }
  __device__ float class_weight(int k) const { return class_weights ? class_weights[k] : 1.0f; }
};

// The loss l of a pixel, and its gradient: gradient_factor (softmax - onehot) and, with label smoothing,
// besides spread (sum_of_weights softmax - class weights).
struct PixelLoss {
  float loss;
  float gradient_factor;
  float spread = 0, sum_of_weights = 0;
};

// What label smoothing needs of all classes: sums over k of w_k and of w_k (max - z_k).
struct SmoothSums {
  float weights = 0, distances = 0;
  __device__ void add(const Targets& t, int k, float below_max) {
    weights += t.class_weight(k);
    distances += t.class_weight(k) * below_max;
  }
};

// From the cross-entropy e of a pixel that counts.
__device__ inline PixelLoss pixel_loss(const Targets& t, int64_t pixel, int32_t label, float e) {
  const float weight =
      (t.class_weights ? t.class_weights[label] : 1.0f) * (t.pixel_weights ? t.pixel_weights[pixel] : 1.0f);
  const FocalTerm<float> term = focal_term(e, t.gamma);
  return {weight * term.loss, static_cast<float>(*t.scale) * weight * term.gradient_factor};
}

// The same with label smoothing; `log_sum`: log of the sum of exp(z - max).
__device__ inline PixelLoss smoothed(const Targets& t, int64_t pixel, PixelLoss plain, float log_sum,
                                     const SmoothSums& sums) {
  const float keep = 1 - t.smoothing;
  const float spread =
      t.smoothing / static_cast<float>(t.classes) * (t.pixel_weights ? t.pixel_weights[pixel] : 1.0f);
  return {keep * plain.loss + spread * (sums.weights * log_sum + sums.distances),
          keep * plain.gradient_factor, static_cast<float>(*t.scale) * spread, sums.weights};
}

// loss = scale * sum of the partial sums, by one block, in order. A template, since several files contain it.
inline constexpr int finish_threads = 128;
template <class = void>
__global__ void __launch_bounds__(finish_threads)
    finish_loss_kernel(const double* partial, int64_t blocks, const double* scale, float* loss) {
  double sum = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += finish_threads) sum += partial[b];
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) *loss = static_cast<float>(*scale * sum);
}

inline void finish_loss(const CrossEntropyProblem& p, const Tensor& partial, const CrossEntropyResult& out) {
  launch<finish_loss_kernel<>>({1, finish_threads}, static_cast<const double*>(partial.device_data<double>()),
                               partial.numel(), static_cast<const double*>(p.scale.device_data<double>()),
                               out.loss.device_data<float>());
}

}  // namespace atrous::kernels::ATROUS_GPU
