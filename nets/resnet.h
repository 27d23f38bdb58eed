// ResNet backbones (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015) in
// torchvision's form "v1.5": in a bottleneck the stride sits on the 3x3 convolution. torchvision's names,
// without classifier.
#pragma once

#include <array>

#include "layers/modules.h"

namespace atrous::nets {

struct ResNetOptions {
  int64_t layers = 50;  // 18, 34, 50, 101 or 152
  int64_t in_channels = 3;
  std::string norm = "batch";
  // Stages 2, 3 and 4 trade their stride for dilation. As in torchvision the first block of such a stage
  // keeps the dilation of the stage before: with the last two dilated, conv2 of layer3 has 1,2,2,... and of
  // layer4 2,4,4.
  std::array<bool, 3> dilate{false, false, false};
};

class ResNetStage;

class ResNet : public layers::Block {
 public:
  // Error(config) for an unknown depth or a norm that it has no form for.
  explicit ResNet(const ResNetOptions& options);
  // Results of layer1 ... layer4: strides 4, 8, 16, 32 where nothing is dilated.
  std::array<Variable, 4> forward(const Variable& image) const;
  int64_t channels(int stage) const { return channels_[static_cast<size_t>(stage)]; }  // 0 ... 3
  std::string kind() const override { return "ResNet"; }

 private:
  layers::ConvNorm stem_;
  std::array<std::shared_ptr<ResNetStage>, 4> stages_;
  std::array<int64_t, 4> channels_{};
};

}  // namespace atrous::nets
