// Not differentiable: no layer.
//
// Anchors of one level: the same k boxes around every cell of a grid, in the order y, x, box:
//
//   anchor[(y W + x) k + i] = cell_i + (x stride_x, y stride_y, x stride_x, y stride_y)
//
// Cell (0, 0) is centred on the corner (0, 0) of the image, not on the middle of its stride.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

// x1, y1, x2, y2 around the origin.
using CellAnchors = std::vector<std::array<float, 4>>;

// torchvision's AnchorGenerator: corners rounded to whole pixels, ties to even; f32 arithmetic; ratio-major
// (all sizes of the first ratio, then of the next). `sizes` are square roots of areas, ratios are
// height / width. Error(usage) unless all are positive and finite.
CellAnchors rounded_cell_anchors(const std::vector<double>& sizes, const std::vector<double>& ratios);
// Detectron2's DefaultAnchorGenerator: not rounded, size-major.
CellAnchors exact_cell_anchors(const std::vector<double>& sizes, const std::vector<double>& ratios);

struct AnchorProblem {
  int64_t height = 0, width = 0;  // of the grid, i.e. of the feature map
  // In pixels. torchvision: size of the padded image / size of the feature map, rounded down, so that 800
  // rows over 13 of P6 have 61, not 64. Detectron2: the true stride of the level.
  int64_t stride_y = 1, stride_x = 1;
  CellAnchors cell;
  std::string str() const;  // "200x336 stride 4x4 k3"
};

// f32 [height * width * k, 4] on the device. Error(usage): negative extents, strides below 1, more than
// 2^31 - 1 anchors.
Tensor anchors(const AnchorProblem& problem, Device device = Device::cpu);

}  // namespace atrous::kernels
