// The second stage of Faster and Mask R-CNN (He et al., "Mask R-CNN", arXiv:1703.06870): for each proposal a
// class, a better box and a mask. Constants, orders and names are torchvision's.
#pragma once

#include <memory>
#include <vector>

#include "nets/box_sampler.h"
#include "nets/detection_heads.h"
#include "nets/detection_options.h"
#include "nets/detection_transform.h"

namespace atrous::nets {

// Sizes and kinds of the heads.
struct RoiHeadsForm {
  int64_t channels = 256, classes = 0;
  int64_t box_width = 1024, mask_width = 256;
  bool convolutional = false;  // ConvHead instead of TwoLayerHead
  bool masks = true;
  layers::NormOptions norm{layers::NormKind::none};      // of convolutional heads
  double dropout = 0;                                    // of TwoLayerHead
  layers::Init box_init = layers::Init::uniform_fan_in;  // of TwoLayerHead
};

// Inputs of the heads: feature maps and their scales.
struct RegionMaps {
  std::vector<Variable> maps;    // [N,H_l,W_l,C], finest first
  std::vector<int64_t> strides;  // image pixels per pixel, powers of two
};

class RoiHeads : public layers::Module {
 public:
  RoiHeads(const DetectionOptions& options, const RoiHeadsForm& form);

  // Boxes and masks in pixels of the batch. proposals: [n_i,4] of each image, in host memory.
  std::vector<layers::Detections> detect(const RegionMaps& maps, const std::vector<Tensor>& proposals,
                                         const std::vector<ImageSize>& sizes,
                                         const layers::StageObserver& observe) const;
  struct Losses {
    Variable classifier, box_reg, mask;
  };
  // truths: boxes are scaled to the batch, masks are as the data set gives them; no crowds. `sizes`: of the
  // images in the batch.
  Losses losses(const RegionMaps& maps, const std::vector<Tensor>& proposals,
                const std::vector<Instances>& truths, const std::vector<ImageSize>& sizes, Rng& rng,
                const layers::StageObserver& observe) const;
  // All heads on that many regions of zero size, to measure their cost.
  void run(const RegionMaps& maps, int64_t boxes, int64_t masks) const;
  std::string kind() const override { return "RoIHeads"; }

 private:
  struct Regions;
  struct Samples;
  Variable pooled(const RegionMaps& maps, const Regions& regions, int64_t size) const;
  Variable mask_logits(const RegionMaps& maps, const Regions& regions,
                       const layers::StageObserver& observe) const;
  Samples sample(const std::vector<Tensor>& proposals, const std::vector<Instances>& truths, Rng& rng) const;
  layers::Detections choose(const Tensor& scores, const Tensor& deltas, const Tensor& proposals,
                            const ImageSize& size) const;
  void detect_masks(const RegionMaps& maps, std::vector<layers::Detections>& found,
                    const layers::StageObserver& observe) const;
  Variable mask_loss(const RegionMaps& maps, const Samples& samples, const std::vector<Instances>& truths,
                     const std::vector<ImageSize>& sizes, const layers::StageObserver& observe) const;

  const DetectionOptions options_;
  const RoiHeadsForm form_;
  std::shared_ptr<BoxHead> box_head_;
  std::shared_ptr<BoxPredictor> box_predictor_;
  std::shared_ptr<MaskHead> mask_head_;
  std::shared_ptr<MaskPredictor> mask_predictor_;
};

}  // namespace atrous::nets
