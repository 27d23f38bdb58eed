// RoIPool: the maximum of a map over each bin of each region of interest (Girshick 2015, Fast R-CNN,
// arXiv:1504.08083).
//
//   y[r,p,q,c]      = max of x[rois[r,0], h, w, c] over the pixels (h, w) of bin (p, q) of region r
//   argmax[r,p,q,c] = h*W + w of the pixel that won (i32)
//
// The bins are whole pixels (kernels/roi_pool/roi_pool_math.h; torchvision's rule). The first maximum in row
// order wins; a NaN wins over everything, the last one over earlier ones, as in max_pool2d. An empty bin
// gives 0 and index -1.
//
//   backward: dx[n, h*W + w, c] = sum of dy over the bins of image n whose argmax is h*W + w, in the order of
//             the regions: bit-identical on every run and any number of threads
//
// x: [N,H,W,C], H and W positive, f32, f64 (on the CPU) or bf16 (on a GPU), any pixel stride. rois: f32
// [R,5], rows (index of the image, x1, y1, x2, y2) in pixels of the image; no gradient flows to them.
// `scale`: pixels of the map per pixel of the image. A region whose image does not exist (-1, say) is empty,
// as are coordinates that are NaN: zeros, no gradient.
//
// Errors: Error(usage).
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct RoiPoolOptions {
  int64_t out_height = 7, out_width = 7;
  double scale = 1;
};

struct RoiPoolProblem {
  int64_t rois = 0, images = 0, height = 0, width = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  float scale = 1;
  DType dtype = DType::f32;

  Shape map_shape() const { return {images, height, width, channels}; }
  Shape output_shape() const { return {rois, out_height, out_width, channels}; }
  std::string str() const;  // "r300 7x7 n1 38x63/16 c512 f32"
};

// Checks options and the shape of the map.
RoiPoolProblem roi_pool_problem(const Shape& map, DType dtype, int64_t rois, const RoiPoolOptions& options);

// y: [R,out_height,out_width,C] of the map's type. `argmax`, if defined, is filled: i32 of the same shape,
// contiguous.
Tensor roi_pool_forward(const Tensor& x, const Tensor& rois, const RoiPoolOptions& options,
                        const Tensor& argmax = {});

// The gradient of the map, of shape `map`. dy: [R,out_height,out_width,C], any pixel stride; argmax as the
// forward pass of the same problem filled it.
Tensor roi_pool_backward(const Tensor& dy, const Tensor& rois, const Tensor& argmax, const Shape& map,
                         const RoiPoolOptions& options);

}  // namespace atrous::kernels
