// The result of every detection network: boxes with a class and a score, some with masks for instance
// segmentation. The network itself normalises, resizes and pads the images.
//
//   const auto model = nets::make_detector(options, seed);
//   model->train();                                             // a training step
//   const DetectionLosses losses = model->losses(images, targets, rng);
//   backward(losses.total());
//
//   model->eval();                                              // inference
//   for (const Detections& found : model->detect(images)) { ... image_masks(found) ... }
//
// Boxes are x1, y1, x2, y2 in pixels: pixel (i, j) covers [j, j + 1) x [i, i + 1), so a box that covers a
// whole image is 0, 0, W, H.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/instances.h"
#include "core/random.h"
#include "kernels/paste_masks/paste_masks.h"
#include "layers/model.h"

namespace atrous::layers {

struct ImageSize {
  int64_t height = 0, width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

// The detections in an image, the highest score first. In host memory.
struct Detections {
  ImageSize image;              // the size to which boxes and masks belong: that of the image as given
  Tensor boxes;                 // f32 [n,4], inside the image
  std::vector<int32_t> labels;  // n numbers in 1 ... num_classes - 1
  std::vector<float> scores;    // n probabilities
  Tensor masks;  // f32 [n,m,m]: probability of each cell of an m x m grid on the box; undefined without masks
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

using kernels::PasteRule;  // torchvision's or Detectron2's: kernels/paste_masks/paste_masks.h

// u8 [n,H,W], 1 where the probability is above `threshold` (at least that by Detectron2's rule). Error(usage)
// without masks. n*H*W bytes: with large images take them a few at a time (see `only`).
Tensor image_masks(const Detections& found, double threshold = 0.5, PasteRule rule = PasteRule::torchvision);
// The probabilities themselves, f32 [n,H,W]; 0 outside the box.
Tensor image_mask_probabilities(const Detections& found, PasteRule rule = PasteRule::torchvision);
// The `count` detections from `begin` on.
Detections only(const Detections& found, int64_t begin, int64_t count);

// The five terms of Mask R-CNN (Ren et al., arXiv:1506.01497, He et al., arXiv:1703.06870), scalars on the
// tape. `mask` is undefined for a network without masks.
struct DetectionLosses {
  Variable objectness;   // objectness: binary cross-entropy, mean over the sampled anchors
  Variable rpn_box_reg;  // offsets of positive anchors, per sampled anchor
  Variable classifier;   // class of a proposal: mean over the sampled proposals
  Variable box_reg;      // offsets of positive proposals, per sampled proposal
  Variable mask;         // mean over the pixels of the masks of positive proposals

  // Their sum, with weight one each as in the papers.
  Variable total() const;
  // torchvision's names ("loss_objectness", ...) of those that are defined.
  std::vector<std::pair<std::string, Variable>> named() const;
};

// Receives intermediate results under names such as "rpn.objectness.0" (docs/commands.md lists them).
using StageObserver = std::function<void(const std::string& name, const Tensor& value)>;

class DetectionModel : public Model {
 public:
  virtual bool has_masks() const = 0;

  // images: f32 [H,W,C] each, of any sizes, values in [0, 1]; in host memory. Gives one Detections per image,
  // in order. Records nothing on the tape. Norms follow the mode of the module: call eval() before. The
  // result does not depend on the number of threads. Error(usage) for no images, Error(data) for one of
  // another shape.
  virtual std::vector<Detections> detect(const std::vector<Tensor>& images,
                                         const StageObserver& observe = {}) = 0;

  // The losses of a batch; targets[i] (core/instances.h) belongs to images[i]. Crowd regions are left
  // out, and what lies on them counts as background. `rng` chooses the scale of each image and samples the
  // anchors and proposals: the same position of the same stream gives bit-identical losses on any
  // number of threads. Images without objects are valid (all is background), also if no image has any. A term
  // without a single sample is a constant 0, through which no gradients flow. Error(data): a box without area
  // or not finite, a label outside 1 ... num_classes - 1, no masks where the network needs them, sizes that
  // do not agree.
  virtual DetectionLosses losses(const std::vector<Tensor>& images, const std::vector<Instances>& targets,
                                 Rng& rng, const StageObserver& observe = {}) = 0;

  // Number of regions per image in the heads.
  struct Regions {
    int64_t boxes = 0, masks = 0;
  };
  virtual Regions regions(bool training) const = 0;
  // All convolutions and matrix products of a pass, to measure its cost: the image [N,H,W,C] is resized and
  // padded already, and the number of regions per image is given, as the real one depends on the image; no
  // region is sampled or suppressed.
  virtual void run_heads(const Variable& image, const Regions& regions) = 0;
};

}  // namespace atrous::layers
