// RoIAlign: features of regions of interest, of one size for regions of any size (He et al. 2017, Mask R-CNN,
// arXiv:1703.06870), from the maps of a pyramid (Lin et al. 2017, arXiv:1612.03144) or from a single one.
//
//   y[r,p,q,c] = 1/(n_y n_x) sum over samples i < n_y, j < n_x of bin (p, q):  x(Y_pi, X_qj)[c]
//
// x: map levels[r], image rois[r,0], read bilinearly. Region r is divided into out_height x out_width bins,
// each with n_y x n_x samples at positions Y, X (kernels/roi_align/roi_align_math.h; torchvision's rule).
//
//   backward: dx[h,w,c] = sum over regions and bins of (weight with which the bin reads (h,w)) dy[r,p,q,c],
//             summed in the order of the regions: bit-identical on every run and any number of threads
//
// maps: each [N,H_l,W_l,C], H_l and W_l positive, f32, f64 (on the CPU) or bf16 (on a GPU), any pixel stride.
// rois: f32 [R,5], rows (index of the image, x1, y1, x2, y2) in pixels of the image; no gradient flows to
// them. levels: i32 [R], which map a region reads; may be undefined if there is one map.
//
// A region whose image or level does not exist (-1, say) is empty: it gives zeros and receives no gradient.
// So lists of fixed capacity can be padded on a device. Coordinates that are NaN or far outside give
// zeros.
//
// Errors: Error(usage).
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

struct RoiAlignOptions {
  int64_t out_height = 7, out_width = 7;
  // For each map: its pixels per pixel of the image, such as 1/4, 1/8, 1/16, 1/32.
  std::vector<double> scales;
  int64_t sampling_ratio = 2;  // samples per bin along each axis, at most 64; <= 0: adaptive, one per pixel
  bool aligned = false;
};

struct RoiAlignProblem {
  struct Map {
    int64_t height = 0, width = 0;
    float scale = 1;
  };
  int64_t rois = 0, images = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  int64_t sampling_ratio = 2;  // 0: adaptive
  bool aligned = false;
  std::vector<Map> maps;
  DType dtype = DType::f32;

  Shape output_shape() const { return {rois, out_height, out_width, channels}; }
  // "r1000 7x7 s2 n1 c256 200x336/4 100x168/8 f32"; "adaptive" for s2, "aligned" where it is on
  std::string str() const;
};

// Checks options and shapes of the maps.
RoiAlignProblem roi_align_problem(const std::vector<Shape>& maps, DType dtype, int64_t rois,
                                  const RoiAlignOptions& options);

// y: [R,out_height,out_width,C] of the maps' type, on their device.
Tensor roi_align_forward(const std::vector<Tensor>& maps, const Tensor& rois, const Tensor& levels,
                         const RoiAlignOptions& options);

// The gradient of map number `level`. dy: [R,out_height,out_width,C], any pixel stride; maps: shapes of all.
Tensor roi_align_backward(const Tensor& dy, const Tensor& rois, const Tensor& levels,
                          const std::vector<Shape>& maps, int64_t level, const RoiAlignOptions& options);

}  // namespace atrous::kernels
