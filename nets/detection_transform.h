// From images of any size to one batch for a detection network, and boxes back: torchvision's
// GeneralizedRCNNTransform.
#pragma once

#include <vector>

#include "layers/detection_model.h"
#include "nets/detection_options.h"

namespace atrous::nets {

using layers::ImageSize;

// Scales both sides by min(min_size / shorter, max_size / longer), rounded down, at least 1. If `exact`, the
// scale is computed in double as torchvision 0.29 does (424x640 to 800x1207 for 800 and 1333), otherwise in
// single precision as torchvision 0.14 does (799x1207).
ImageSize resized_size(const ImageSize& image, int64_t min_size, int64_t max_size, bool exact);

// The smallest multiples of 32 that hold every image.
ImageSize batch_size(const std::vector<ImageSize>& images);

struct ImageBatch {
  // [N,H,W,C] on the device, of batch_size: normalised, resized (bilinear), each in the upper left corner and
  // zero beyond.
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
