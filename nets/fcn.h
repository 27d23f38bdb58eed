// Fully convolutional networks (Long, Shelhamer, Darrell, arXiv:1411.4038; Shelhamer et al.,
// arXiv:1605.06211).
#pragma once

#include "layers/modules.h"
#include "layers/segmentation_model.h"

namespace atrous::nets {

// The original on VGG16: conv1_1 padded by 100, pools that round up, fc6 and fc7 as 7x7 and 1x1 convolutions
// with dropout, fixed bilinear doublings without parameters, crops at 19 (32s), 5 and 27 (16s), 5, 9 and 31
// (8s). Names: features.N (torchvision's VGG16), fc6, fc7, score_fr, score_pool4, score_pool3.
struct FcnVggOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 21;
  int64_t stride = 8;    // 32, 16 or 8
  bool at_once = false;  // pool4 times 0.01 and pool3 times 0.0001 before their scores: trains in one go
                         // instead of in stages
  double dropout = 0.5;
};
std::shared_ptr<layers::SegmentationModel> make_fcn_vgg(const FcnVggOptions& options);

// On ResNets: 1x1 scores of layer4 (and layer3, and layer2), each doubled bilinearly (align_corners = false)
// to the exact size of the next and added; zero-initialised scores. Logits stay at stride 32, 16 or 8. Names:
// backbone.*, score5, score4, score3.
struct FcnResNetOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 21;
  int64_t stride = 8;
  int64_t layers = 50;
  std::string norm = "batch";
};
std::shared_ptr<layers::SegmentationModel> make_fcn_resnet(const FcnResNetOptions& options);

// torchvision's fcn_resnet50 and fcn_resnet101: dilated backbone of output stride 8 (or 16), a 3x3 head, and
// an auxiliary head on layer3. Names: backbone.*, classifier.{0,1,4}, aux_classifier.{0,1,4}.
struct DilatedFcnOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 21;
  int64_t layers = 50;
  int64_t output_stride = 8;
  bool aux = false;
  double dropout = 0.1;
  std::string norm = "batch";
};
std::shared_ptr<layers::SegmentationModel> make_dilated_fcn(const DilatedFcnOptions& options);

}  // namespace atrous::nets
