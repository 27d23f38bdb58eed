// From images of any size to one batch for a detection network, and boxes back: torchvision's
// GeneralizedRCNNTransform.
#pragma once

#include <vector>

#include "layers/detection_model.h"
#include "nets/detection_options.h"

namespace atrous::nets {

using layers::ImageSize;

// Both sides by min(min_size / shorter, max_size / longer), rounded down, at least 1. The scale is computed
// in single precision as in torchvision (427x640 to 799x1199 for 800 and 1333), or in double if `exact`
// (800x1199).
ImageSize resized_size(const ImageSize& image, int64_t min_size, int64_t max_size, bool exact);

struct ImageBatch {
  // [N,H,W,C] on the device: normalised, resized (bilinear), each in the upper left corner and zero beyond. H
  // and W are the smallest multiples of 32 that hold every image.
  Tensor pixels;
  std::vector<ImageSize> sizes;      // of the images in it
  std::vector<ImageSize> originals;  // as given
};

// images: f32 [H,W,C] in host memory; min_sizes: for each one. `mean` and `std` have C values.
ImageBatch make_image_batch(const std::vector<Tensor>& images, const std::vector<int64_t>& min_sizes,
                            const DetectionOptions& options, Device device);

// Boxes [n,4] of an image of size `from` on the same image of size `to`; in host memory.
Tensor scaled_boxes(const Tensor& boxes, const ImageSize& from, const ImageSize& to);

}  // namespace atrous::nets
