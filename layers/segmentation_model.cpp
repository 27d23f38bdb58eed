#include "layers/segmentation_model.h"

#include "layers/resize.h"

namespace atrous::layers {

void require_pixel_labels(const SegmentationModel& model, const char* where) {
  ATROUS_CHECK(
      model.labels_pixels(), ErrorKind::config,
      "[{}] must be a semantic model. Got {}, which classifies whole images. Use it as the backbone of "
      "another network, or with `atrous forward` and `summary`.",
      where, model.kind());
}

SegmentationOutput whole_image(const Variable& image, const Variable& logits, const Variable& aux,
                               bool align_corners) {
  SegmentationOutput result;
  result.logits = logits;
  result.aux = aux;
  result.region = {0, 0, image.dim(1), image.dim(2)};
  result.align_corners = align_corners;
  return result;
}

Variable full_resolution_logits(const SegmentationOutput& output) {
  const Region& r = output.region;
  if (output.logits.dim(1) == r.height && output.logits.dim(2) == r.width) return output.logits;
  return resize(output.logits, {.height = r.height,
                                .width = r.width,
                                .mode = ResizeMode::bilinear,
                                .align_corners = output.align_corners});
}

}  // namespace atrous::layers
