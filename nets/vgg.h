// VGG features (Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition",
// arXiv:1409.1556): 3x3 convolutions with ReLU in five stages, a max pool of stride 2 behind each. In
// torchvision's layout and names ("0", "2", "5", ...), and with the changes that FCN and DeepLab make.
#pragma once

#include <array>

#include "nets/backbone.h"

namespace atrous::nets {

struct VggOptions {
  int64_t layers = 16;  // 11, 13, 16 or 19 layers, three of them fully connected and not part of this module
  int64_t in_channels = 3;
  double width_multiplier = 1;
  layers::NormKind norm =
      layers::NormKind::none;  // behind each convolution, which keeps its bias (torchvision's vgg16_bn)
  double norm_eps = 1e-5;
  int64_t first_pad = 1;     // of the first convolution (FCN: 100)
  bool ceil_pools = false;   // odd extents are halved and rounded up (FCN), else down
  bool large_pools = false;  // 3x3 padded by 1 (DeepLab), else 2x2
  // 32, 16 or 8. The last pools keep the resolution instead of halving it, with 3x3 pixels; the convolutions
  // behind them are dilated by 2 for each.
  int64_t output_stride = 32;
};

class VggFeatures : public Backbone {
 public:
  explicit VggFeatures(const VggOptions& options);
  // The five pools. (The maps of a Backbone are the stages before them, and the last pool: [0] has the
  // image's resolution.)
  std::array<Variable, 5> pools(const Variable& image) const;
  std::string kind() const override { return "VGG"; }

 protected:
  std::vector<Variable> maps(const Variable& image, size_t last) const override;

 private:
  struct Stage {
    std::vector<layers::ConvNorm> convs;
    bool strided = true;  // its pool
    Variable forward(Variable x) const;
  };
  Variable pool(const Stage& stage, const Variable& x) const;

  std::array<Stage, 5> stages_;
  const bool ceil_pools_, large_pools_;
};

}  // namespace atrous::nets
