// The objects of one image: read by data sets, moved by augmentation, targets of detection networks. It lives
// in core because data/ and nets/ both use it and neither may include the other.
//
// Boxes are f32 [n, 4]: x1, y1, x2, y2 in pixels on continuous coordinates (pixel i covers [i, i + 1)), so
// that the width is x2 - x1.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace atrous {

// A binary mask as the part of the image that holds it: pixels outside the window are 0. This is what keeps
// crowded images small: 300 objects on 800 x 1333 pixels are 320 MB as whole planes, but a few MB as windows,
// because objects of one image seldom add up to more than a few times its area. (Should each of the 300 fill
// the image, windows need the 320 MB too.) Nothing is lost against planes.
struct Mask {
  int64_t x0 = 0, y0 = 0, width = 0, height = 0;  // of the window; 0 x 0 for an empty mask
  std::vector<uint8_t> pixels = {};               // [height, width], 0 or 1

  // Pixels that are set.
  int64_t area() const;
  // x1, y1, x2, y2 of the set pixels, x2 and y2 beyond the last one; zeros for an empty mask.
  std::array<int64_t, 4> bounds() const;
  // The same mask in the smallest window.
  Mask cropped() const;
  // The mask of a plane u8 or i32 [height, width] where it equals `value`, cropped to what is set.
  static Mask of_value(const Tensor& plane, int64_t value);
};

struct Instances {
  int64_t height = 0, width = 0;  // of the image
  Tensor boxes = Tensor::empty({0, 4});
  std::vector<int32_t> labels = {};  // 1 .. num_classes - 1; 0 is background and never occurs
  std::vector<Mask> masks = {};      // one per object, or none at all where a set has boxes only
  std::vector<uint8_t> crowd = {};   // 1: a region with many objects of the class (COCO's iscrowd)
  std::vector<int64_t> ids = {};     // of the annotations, unique in the set
  std::vector<double> areas = {};    // as annotated: COCO sorts objects into small, medium and large by these

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  bool has_masks() const { return !masks.empty() || labels.empty(); }
  const float* box(int64_t i) const { return boxes.data<float>() + 4 * i; }
  float* box(int64_t i) { return boxes.data<float>() + 4 * i; }
};

// The objects `which`, in that order.
Instances select(const Instances& objects, std::span<const int64_t> which);

// The masks of the objects `which` as planes u8 [which.size(), height, width] of 0 and 1: what the op
// mask_targets reads. Where the size is not the image's, pixel (y, x) is that at (floor(y * H / height),
// floor(x * W / width)) of the image, computed in f32: so does torchvision resize the masks of a training
// image.
//
// The result takes which.size() * height * width bytes, whatever the masks hold. A target depends on the mask
// of that object only, so a network passes the objects that have a positive RoI, some tens at a time,
// and the targets are those of all planes at once: at 800 x 1333, 16 planes are 17 MB.
Tensor dense_masks(const Instances& objects, std::span<const int64_t> which, int64_t height, int64_t width);

}  // namespace atrous
