// Parts that several networks put on a backbone.
#pragma once

#include "layers/modules.h"

namespace atrous::nets {

// torchvision's FCNHead: 3x3 to a quarter of the channels with norm and ReLU (0, 1, 2), dropout (3), 1x1
// scores (4). Also the auxiliary head of the networks that have one.
class FcnHead : public layers::Block {
 public:
  FcnHead(int64_t in, int64_t classes, const std::string& norm, double dropout = 0.1);
  Variable forward(const Variable& x) const;
  std::string kind() const override { return "FCNHead"; }

 private:
  layers::ConvNorm conv_;
  std::shared_ptr<layers::Dropout> dropout_;
  std::shared_ptr<layers::Conv2d> score_;
};

}  // namespace atrous::nets
