// Feature pyramid (Lin et al., "Feature pyramid networks for object detection", arXiv:1612.03144), with
// torchvision's names: body, fpn.inner_blocks.i.0 (1x1, lateral), fpn.layer_blocks.i.0 (3x3, behind the sum);
// a norm, if there is one, is child 1 of each.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "nets/backbone.h"
#include "nets/module_list.h"

namespace atrous::nets {

// A map of each stage is brought to the same number of channels; from the coarsest on, each is added to the
// next finer one at twice the size (nearest neighbour, to that map's exact size).
class FeaturePyramid : public layers::Module {
 public:
  FeaturePyramid(const std::vector<int64_t>& in_channels, int64_t channels, const layers::NormOptions& norm);
  // maps: finest first. Gives as many, and one more: every second pixel of the coarsest.
  std::vector<Variable> forward(const std::vector<Variable>& maps) const;
  std::string kind() const override { return "FeaturePyramidNetwork"; }

 private:
  class Level;
  std::shared_ptr<ModuleList<Level>> inner_, layer_;
};

// The base of a detection network: turns a batch of images into the maps that the heads read.
class DetectionBackbone : public layers::Module {
 public:
  // image: [N,H,W,C], normalised. Finest map first, all with channels() channels.
  virtual std::vector<Variable> forward(const Variable& image) const = 0;
  int64_t channels() const { return channels_; }
  // Image pixels per pixel of each map that regions are cut from, a power of two. The RPN may read more maps.
  const std::vector<int64_t>& region_strides() const { return region_strides_; }
  // Image pixels per pixel of each map.
  const std::vector<int64_t>& strides() const { return strides_; }
  std::string kind() const override { return "BackboneWithFPN"; }

 protected:
  int64_t channels_ = 0;
  std::vector<int64_t> region_strides_, strides_;
};

// A backbone below a pyramid: strides 4, 8, 16, 32, and 64 for the RPN alone. `norm` is that of the pyramid.
std::shared_ptr<DetectionBackbone> make_fpn(const BackboneOptions& body, int64_t channels,
                                            const layers::NormOptions& norm);
// VGG up to the last convolution (conv5_3), without its pool: one map of stride 16. Its convolutions are
// named as in torchvision's `features`.
std::shared_ptr<DetectionBackbone> make_vgg_map(const BackboneOptions& body);

}  // namespace atrous::nets
