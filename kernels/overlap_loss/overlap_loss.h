// Soft Dice and soft IoU (Jaccard) losses of class probabilities p [N,H,W,K] against labels y [N,H,W].
//
// Over the valid pixels of the whole batch, per class k:
//   I_k = sum p_k [y = k],   P_k = sum p_k (or p_k^2 if `squared`),   G_k = sum [y = k]
//   dice      S_k = (2 I_k + s) / (P_k + G_k + s)          Milletari et al., "V-Net", 3DV 2016 (squared form)
//   soft IoU  S_k = (I_k + s) / (P_k + G_k - I_k + s)      Rahman and Wang, ISVC 2016
//   loss = 1 - mean of S_k over the classes with G_k > 0; 0 if no pixel is valid
//
// Absent classes are left out: with them the mean would reward a batch for classes that it lacks. Loss and
// gradient with respect to p are computed by one call; sums are in double, in fixed blocks.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

enum class OverlapMeasure : unsigned char { dice, iou };

struct OverlapLossOptions {
  OverlapMeasure measure = OverlapMeasure::dice;
  double smooth = 1.0;  // s above, at least 0
  bool squared = false;
  int64_t ignore_index = 255;
};

struct OverlapLossProblem {
  int64_t pixels = 0, classes = 0;
  OverlapLossOptions options;
  DType dtype = DType::f32;
  std::string str() const;  // "p4096 k21 dice smooth 1 f32"
};

struct OverlapLossResult {
  Tensor loss;      // scalar, dtype of p (f32 for bf16)
  Tensor gradient;  // like p, contiguous; undefined unless requested

  static void each_tensor(auto& self, const auto& f) {
    f(self.loss);
    f(self.gradient);
  }
};

// p: f32, f64 or (on a device) bf16, any pixel stride; labels: i32 or u8. Errors: a label out of range
// (data), shapes, types, smooth (usage).
OverlapLossResult overlap_loss(const Tensor& probabilities, const Tensor& labels,
                               const OverlapLossOptions& options, bool want_gradient);

}  // namespace atrous::kernels
