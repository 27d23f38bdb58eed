// What every semantic network returns: logits, possibly at a lower resolution than the image.
#pragma once

#include "layers/model.h"

namespace atrous::layers {

// The part of the input image that the logits describe, in input pixels. The whole image for all networks but
// those with valid convolutions (the U-Net of the paper describes the centre 388x388 of 572x572).
struct Region {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

struct SegmentationOutput {
  Variable logits;  // [N, h, w, K]
  Variable aux;     // [N, h', w', K] of the auxiliary head; undefined if there is none
  Region region;    // both are bilinearly resized to region.height x region.width for loss and prediction
  bool align_corners = false;           // of that resize
  std::vector<Variable> more = {};      // in training: further logits, with losses of the same weight
  std::vector<Variable> more_aux = {};  // in training: of further auxiliary heads, weighted as `aux`
};

// The heights and widths of images that a network can take.
struct ImageSides {
  int64_t smallest = 1;
  bool only = false;  // no other than the smallest
};

class SegmentationModel : public Model {
 public:
  // image: [N, H, W, C], normalised.
  virtual SegmentationOutput forward(const Variable& image) = 0;
  // False for classification networks: their logits [N, 1, 1, K] are of the image as a whole.
  virtual bool labels_pixels() const { return true; }
  // forward() of other sizes is an Error(data).
  virtual ImageSides image_sides() const { return {}; }
  // Pixels of context that valid convolutions need on every side; inference mirrors the image by that much. 0
  // if padded.
  virtual int64_t context() const { return 0; }
};

// Error(config) for a network that is not a semantic model. `where` starts the message.
void require_pixel_labels(const SegmentationModel& model, const char* where);

// Logits (and auxiliary logits, if any) that describe the whole image.
SegmentationOutput whole_image(const Variable& image, const Variable& logits, const Variable& aux = {},
                               bool align_corners = false);

// Logits at the resolution of output.region: [N, region.height, region.width, K].
Variable full_resolution_logits(const SegmentationOutput& output);

}  // namespace atrous::layers
