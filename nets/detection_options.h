// The `model.detection` section of a config as plain values; train/config_fields.cpp declares their JSON
// names, ranges and help texts. The values here are torchvision's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/names.h"

namespace atrous::nets {

// How the features of a region are pooled.
enum class RoiOp {
  align,  // Mask R-CNN
  pool,   // Fast R-CNN, on one map only
};
constexpr auto names_of(RoiOp) {
  return std::to_array<Named<RoiOp>>(
      {{RoiOp::align, "align", "aligned sampling_ratio"}, {RoiOp::pool, "pool"}});
}

// Which anchors and proposals are sampled in a step.
enum class SamplerKind {
  random,
  first,  // the first positives and negatives in order, for comparisons with other programs
};
constexpr auto names_of(SamplerKind) {
  return std::to_array<Named<SamplerKind>>({{SamplerKind::random, "random"}, {SamplerKind::first, "first"}});
}

// 0 or an empty list means the network's own default (`resolved` fills it in).
struct DetectionOptions {
  // Images: the shorter side becomes min_size unless the longer one would exceed max_size.
  std::vector<int64_t> min_size;  // several: one of them at random in training, the last in inference
  int64_t max_size = 0;
  bool exact_scale = true;        // the scale in double; torchvision 0.14 computes it in single precision
  std::vector<double> mean, std;  // per channel, for values in [0, 1]; empty: ImageNet's for 3, 0.5 otherwise

  // Anchors: one size per map of a pyramid; all sizes on the only map otherwise. Ratios are height / width.
  std::vector<double> anchor_sizes;
  std::vector<double> anchor_ratios{0.5, 1, 2};
  bool rounded_anchors = true;  // corners rounded to pixels (torchvision), or as computed (Detectron2)

  // Proposals.
  int64_t rpn_pre_nms_train = 0, rpn_pre_nms_test = 0;    // per map
  int64_t rpn_post_nms_train = 0, rpn_post_nms_test = 0;  // per image
  double rpn_nms = 0.7;                                   // IoU above which the lower score is dropped
  double rpn_score = 0;                                   // proposals below it are dropped
  double rpn_positive_iou = 0.7, rpn_negative_iou = 0.3;
  int64_t rpn_samples = 256;  // per image
  double rpn_positive_fraction = 0.5;

  // Regions.
  RoiOp roi_op = RoiOp::align;
  bool aligned = false;        // RoIAlign shifted by half a pixel (Detectron2)
  int64_t sampling_ratio = 2;  // samples per bin and axis; 0: as many as the bin has pixels (Detectron2)
  double box_positive_iou = 0.5, box_negative_iou = 0.5;
  int64_t box_samples = 0;  // per image
  double box_positive_fraction = 0.25;
  double box_score = 0.05;  // minimum score of detections (exclusive)
  double box_nms = 0.5;
  int64_t max_detections = 100;  // per image

  double smooth_l1_beta = 1.0 / 9;  // of both box losses; 0: plain L1 (Detectron2)
  SamplerKind sampler = SamplerKind::random;
  // Added to the variance by the norms of the ResNet. torchvision's published weights of
  // maskrcnn_resnet50_fpn and fasterrcnn_resnet50_fpn (not v2) need 0.
  double backbone_norm_eps = 1e-5;

  friend bool operator==(const DetectionOptions&, const DetectionOptions&) = default;
};

}  // namespace atrous::nets
