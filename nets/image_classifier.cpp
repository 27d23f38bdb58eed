#include "nets/image_classifier.h"

#include "core/error.h"
#include "layers/pointwise.h"

namespace atrous::nets {

using namespace layers;

SegmentationOutput ImageClassifier::forward(const Variable& image) {
  const ImageSides sides = image_sides();
  const int64_t h = image.dim(1), w = image.dim(2);
  ATROUS_CHECK(
      sides.only ? h == sides.smallest && w == sides.smallest : std::min(h, w) >= sides.smallest,
      ErrorKind::data,
      "[{}] images must have {} {}x{} pixels. Got {}x{}. Set {}, or data.image_height and data.image_width.",
      kind(), sides.only ? "exactly" : "at least", sides.smallest, sides.smallest, h, w,
      sides.only ? "model.input_size" : "eval.crop and augment.crop_height and crop_width");
  SegmentationOutput result = logits_of(image);
  result.region = {0, 0, 1, 1};
  return result;
}

Variable normalised_by_half(const Variable& image) {
  constexpr double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
  const Device device = image.value().device();
  const Tensor factor = Tensor::empty({3}), shift = Tensor::empty({3});
  for (int64_t c = 0; c < 3; ++c) {
    factor.data<float>()[c] = static_cast<float>(std[c] / 0.5);
    shift.data<float>()[c] = static_cast<float>((mean[c] - 0.5) / 0.5);
  }
  const DType dtype = image.dtype();
  return add(mul(image, Variable(factor.to(device).to(dtype))), Variable(shift.to(device).to(dtype)));
}

void check_transform_input(const ModelOptions& o) {
  ATROUS_CHECK(!o.transform_input || o.in_channels == 3, ErrorKind::config,
               "[model.transform_input] is for RGB images. Got model.in_channels = {}. Leave it out.",
               o.in_channels);
}

}  // namespace atrous::nets
