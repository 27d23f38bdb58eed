// Bilinear resize of low-resolution logits [N,h,w,K] to the labels' size [N,H,W], softmax and cross-entropy
// in one pass.
//
// The same numbers (within rounding) as cross_entropy(resize(logits)), see
// kernels/cross_entropy/cross_entropy.h and kernels/resize/resize_math.h, but full-resolution logits and
// their gradient are never written: for the head of DeepLab or FCN (64x64x21 to 512x512) these would be 22 MB
// each, while low-resolution logits and gradient are 0.3 MB.
#pragma once

#include <string>

#include "kernels/cross_entropy/cross_entropy.h"

namespace atrous::kernels {

struct ResizeCrossEntropyProblem {
  int64_t in_h = 0, in_w = 0;
  bool align_corners = false;
  CrossEntropyProblem loss;  // at the labels' resolution
  std::string str() const;   // "64x64 to n1 512x512 k21 f32"
};
inline DType* activation_dtype(ResizeCrossEntropyProblem& p) {
  return &p.loss.dtype;
}
inline ResizeCrossEntropyProblem on_host(const ResizeCrossEntropyProblem& p, Device device) {
  return {p.in_h, p.in_w, p.align_corners, on_host(p.loss, device)};
}

// As cross_entropy; the gradient has the shape of the low-resolution logits, pixel_losses that of the labels.
CrossEntropyResult resize_cross_entropy(const Tensor& logits, const Tensor& labels, bool align_corners,
                                        const CrossEntropyOptions& options, bool want_gradient,
                                        bool want_pixel_losses = false);

}  // namespace atrous::kernels
