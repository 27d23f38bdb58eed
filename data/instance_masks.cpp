// Conversion between cropped masks and COCO's run lengths.
#include <algorithm>

#include "data/instances.h"

namespace atrous::data {

Mask mask_of(const Rle& rle) {
  const CocoBox box = rle_box(rle);
  Mask mask{.x0 = static_cast<int64_t>(box.x),
            .y0 = static_cast<int64_t>(box.y),
            .width = static_cast<int64_t>(box.width),
            .height = static_cast<int64_t>(box.height)};
  mask.pixels.resize(static_cast<size_t>(mask.width * mask.height));
  int64_t at = 0;  // pixels run down the columns
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    const int64_t end = at + rle.counts[i];
    for (; i % 2 == 1 && at < end; ++at) {
      const int64_t x = at / rle.height - mask.x0, y = at % rle.height - mask.y0;
      mask.pixels[static_cast<size_t>(y * mask.width + x)] = 1;
    }
    at = end;
  }
  return mask;
}

Rle rle_of(const Mask& mask, int64_t height, int64_t width) {
  ATROUS_CHECK(
      mask.x0 >= 0 && mask.y0 >= 0 && mask.x0 + mask.width <= width && mask.y0 + mask.height <= height,
      ErrorKind::usage, "[rle_of] the window of a mask lies in its image. Got {} x {} at {}, {} in {} x {}.",
      mask.width, mask.height, mask.x0, mask.y0, width, height);
  Rle rle{.height = height, .width = width, .counts = {}};
  int64_t end = 0;  // behind the last pixel that is set
  for (int64_t x = 0; x < mask.width; ++x) {
    for (int64_t y = 0; y < mask.height; ++y) {
      if (!mask.pixels[static_cast<size_t>(y * mask.width + x)]) continue;
      const int64_t at = (mask.x0 + x) * height + mask.y0 + y;
      if (at == end && !rle.counts.empty()) {
        ++rle.counts.back();
      } else {
        rle.counts.push_back(static_cast<uint32_t>(at - end));
        rle.counts.push_back(1);
      }
      end = at + 1;
    }
  }
  if (end < height * width) rle.counts.push_back(static_cast<uint32_t>(height * width - end));
  return rle;
}

}  // namespace atrous::data
