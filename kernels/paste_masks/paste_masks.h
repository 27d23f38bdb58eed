// Pastes the masks that a network predicts for boxes into the image.
//
//   y[i,h,w] = masks[i] sampled at pixel (h, w), bilinearly; 0 outside of box i
//
// By torchvision's rule or Detectron2's (kernels/paste_masks/paste_masks_math.h).
//
// Not differentiable: no layer.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/paste_masks/paste_masks_math.h"

namespace atrous::kernels {

struct PasteMasksOptions {
  int64_t height = 0, width = 0;  // of the image
  PasteRule rule = PasteRule::torchvision;
  // true: u8, 1 where y exceeds the threshold (torchvision) or reaches it (Detectron2). false: y itself, four
  // times as large.
  bool binary = true;
  double threshold = 0.5;
};

struct PasteMasksProblem {
  int64_t count = 0, size = 0, height = 0, width = 0;
  PasteRule rule = PasteRule::torchvision;
  bool binary = true;
  float threshold = 0.5f;
  DType dtype = DType::f32;  // of the masks
  std::string str() const;   // "100 28x28 to 800x1344 torchvision u8 f32"
};

// masks: [n,M,M], M >= 1, f32, f64 (on the CPU) or bf16 (on a GPU). boxes: f32 [n,4], rows (x1, y1, x2, y2)
// in pixels of the image; one that is empty or NaN gives zeros. Returns [n,height,width], u8 or the masks'
// type, on their device. Errors (usage): other types or shapes, an image without pixels, several devices.
Tensor paste_masks(const Tensor& masks, const Tensor& boxes, const PasteMasksOptions& options);

}  // namespace atrous::kernels
