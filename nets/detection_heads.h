// The heads of Faster and Mask R-CNN: plain networks without boxes. Names are torchvision's.
#pragma once

#include <memory>
#include <vector>

#include "nets/heads.h"
#include "nets/module_list.h"

namespace atrous::nets {

// The RPN's outputs for each map.
struct RpnOutput {
  std::vector<Variable> objectness;  // [N,H,W,A] per map, logits
  std::vector<Variable> deltas;      // [N,H,W,4A] per map: of each anchor x, y, log width, log height
};

// 3x3 convolutions with ReLU ("conv.i.0"), then 1x1 to the scores and offsets of each anchor. The same
// weights on every map.
class RpnHead : public layers::Module {
 public:
  RpnHead(int64_t channels, int64_t anchors, int64_t convs);
  RpnOutput forward(const std::vector<Variable>& maps) const;
  std::string kind() const override { return "RPNHead"; }

 private:
  std::shared_ptr<ModuleList<ConvNormRelu>> convs_;
  std::shared_ptr<layers::Conv2d> objectness_, deltas_;
};

// From the features of regions [R,h,w,C] to one vector each: [R,1,1,width()].
class BoxHead : public layers::Module {
 public:
  virtual Variable forward(const Variable& regions) const = 0;
  int64_t width() const { return width_; }

 protected:
  explicit BoxHead(int64_t width) : width_(width) {}

 private:
  const int64_t width_;
};

// Two fully connected layers with ReLU ("fc6", "fc7"), each followed by dropout in training.
class TwoLayerHead : public BoxHead {
 public:
  TwoLayerHead(int64_t in, int64_t width, layers::Init init, double dropout);
  Variable forward(const Variable& regions) const override;
  std::string kind() const override { return "TwoMLPHead"; }

 private:
  std::shared_ptr<layers::Linear> first_, second_;
  std::shared_ptr<layers::Dropout> first_dropout_, second_dropout_;
};

// Four 3x3 convolutions with norm and ReLU ("0" ... "3"), then a fully connected layer ("5").
class ConvHead : public BoxHead {
 public:
  ConvHead(int64_t channels, int64_t size, int64_t width, const layers::NormOptions& norm);
  Variable forward(const Variable& regions) const override;
  std::string kind() const override { return "FastRCNNConvFCHead"; }

 private:
  std::vector<std::shared_ptr<ConvNormRelu>> convs_;
  std::shared_ptr<layers::Linear> linear_;
};

// Class logits [R,1,1,K] and, for each class, offsets [R,1,1,4K].
struct BoxPrediction {
  Variable logits, deltas;
};
class BoxPredictor : public layers::Module {
 public:
  BoxPredictor(int64_t in, int64_t classes);
  BoxPrediction forward(const Variable& features) const;
  std::string kind() const override { return "FastRCNNPredictor"; }

 private:
  std::shared_ptr<layers::Linear> logits_, deltas_;
};

// Four 3x3 convolutions with ReLU ("i.0", norm "i.1" if there is one): [R,h,w,C].
class MaskHead : public ModuleList<ConvNormRelu> {
 public:
  MaskHead(int64_t in, int64_t width, const layers::NormOptions& norm);
  Variable forward(Variable x) const;
  std::string kind() const override { return "MaskRCNNHeads"; }
};

// Twice the size, then one logit per class: [R,2h,2w,K].
class MaskPredictor : public layers::Module {
 public:
  MaskPredictor(int64_t in, int64_t classes);
  Variable forward(const Variable& x) const;
  std::string kind() const override { return "MaskRCNNPredictor"; }

 private:
  std::shared_ptr<layers::ConvTranspose2d> up_;
  std::shared_ptr<layers::Conv2d> logits_;
};

}  // namespace atrous::nets
