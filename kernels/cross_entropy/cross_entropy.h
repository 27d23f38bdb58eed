// Softmax cross-entropy of logits z [N,H,W,K] against labels y [N,H,W], loss and gradient in one pass.
//
//   e_p = log(sum_k exp z_pk) - z_py          cross-entropy of pixel p, y = y_p
//   l_p = w_y u_p (1 - exp(-e_p))^gamma e_p   w: class weights, u: pixel weights, gamma: focal exponent
//   loss = s * sum_p l_p,    s = 1 / sum_p w_y u_p (mean; 0 if that sum is 0) or 1 (sum)
//   dloss/dz_pk = s w_y u_p c_p (softmax(z_p)_k - [k = y]),   c_p = 1 for gamma = 0 (cross_entropy_math.h)
//
// With label smoothing eps (for gamma = 0), PyTorch's, the target is 1 - eps on y and eps / K on every class:
//
//   l_p = u_p ((1 - eps) w_y e_p + eps/K sum_k w_k (log(sum_j exp z_pj) - z_pk))
//   dloss/dz_pk = s u_p (((1 - eps) w_y + eps/K sum_j w_j) softmax(z_p)_k - (1 - eps) w_y [k = y] - eps/K
//   w_k)
//
// Pixels with y = ignore_index are not counted. The mean is PyTorch's (a weighted mean). Since s depends on
// the labels only, the forward pass computes the gradient and no softmax is kept. The loss is summed in
// double, in fixed blocks. Bad labels on a device: kernels/loss_scale/loss_scale.h.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

enum class LossReduction : unsigned char { mean, sum };

struct CrossEntropyOptions {
  int64_t ignore_index = 255;
  LossReduction reduction = LossReduction::mean;
  double gamma = 0;            // focal loss for > 0
  double label_smoothing = 0;  // 0 to 1; only without focal loss
  Tensor class_weights{};  // [K], floating, on the device of the logits or in host memory; undefined: all 1
  Tensor pixel_weights{};  // [N,H,W], floating; undefined: all 1
};

// The arguments of an implementation, checked and converted.
struct CrossEntropyProblem {
  int64_t n = 0, h = 0, w = 0, classes = 0;
  DType dtype = DType::f32;
  int64_t ignore_index = 255;
  LossReduction reduction = LossReduction::mean;
  double gamma = 0;
  double label_smoothing = 0;
  // On the device of the logits. Weights are f64 on the CPU, f32 on a device.
  Tensor scale{};           // s above, one f64
  Tensor class_weights{};   // [K] or undefined
  Tensor pixel_weights{};   // [N,H,W] or undefined
  std::string str() const;  // "n8 144x192 k11 f32 weighted"
};

struct CrossEntropyResult {
  Tensor loss;          // scalar, dtype of the logits (f32 for bf16)
  Tensor gradient;      // like the logits, contiguous; undefined unless requested
  Tensor pixel_losses;  // l_p [N,H,W], dtype of the loss, 0 where ignored; undefined unless requested

  static void each_tensor(auto& self, const auto& f) {
    for (auto* t : {&self.loss, &self.gradient, &self.pixel_losses}) f(*t);
  }
};

// For this op and its fused form. Checks logits and options for labels of shape `pixels`, replaces the labels
// by the form that implementations expect, and sets the scale.
CrossEntropyProblem cross_entropy_problem(const char* op, const Tensor& logits, const Shape& pixels,
                                          const CrossEntropyOptions& options, Tensor& labels);
CrossEntropyResult cross_entropy_result(const CrossEntropyProblem& problem, const Tensor& logits,
                                        bool want_gradient, bool want_pixel_losses);

// The problem for the reference: tensors on the CPU (kernels/common/validation.h).
CrossEntropyProblem on_host(const CrossEntropyProblem& problem, Device device);

// logits: f32, f64 or (on a device) bf16, any pixel stride. labels: i32 or u8, on the same device. Errors: a
// label out of range (data), shapes, types (usage).
CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& labels,
                                 const CrossEntropyOptions& options, bool want_gradient,
                                 bool want_pixel_losses = false);

}  // namespace atrous::kernels
