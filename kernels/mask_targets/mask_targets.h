// Training targets of a mask head: the mask of an object, cut out by a region of interest and resampled to a
// fixed size (He et al. 2017, Mask R-CNN, arXiv:1703.06870).
//
//   y[r,p,q] = share of ones among the samples of bin (p, q) of region r in mask rois[r,0]
//
// RoIAlign (kernels/roi_align/roi_align.h) of the mask as it is in torchvision: scale 1, not aligned, one
// sample per pixel (adaptive). Values between 0 and 1 stay as they are: the loss takes them as soft labels.
//
// Not differentiable: no layer.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct MaskTargetsProblem {
  int64_t masks = 0, height = 0, width = 0, rois = 0, size = 0;
  std::string str() const;  // "r128 28x28 g9 800x1344"
};

// masks: u8 [G,H,W], 0 or 1, H and W positive. rois: f32 [R,5], rows (index of the mask, x1, y1, x2, y2) in
// pixels of the mask. Returns f32 [R,size,size] on their device. A region whose mask does not exist gives
// zeros. Errors (usage): other types or shapes, size < 1, several devices.
Tensor mask_targets(const Tensor& masks, const Tensor& rois, int64_t size);

}  // namespace atrous::kernels
