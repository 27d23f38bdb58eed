// Losses of semantic segmentation, as weighted sums of terms.
#pragma once

#include <string>
#include <vector>

#include "layers/segmentation_model.h"

namespace atrous::layers {

// Plain values; train/config.cpp declares their JSON names.
struct LossTerm {
  std::string kind = "cross_entropy";  // "cross_entropy", "bootstrapped", "focal", "dice", "soft_iou"
  double weight = 1.0;
  double keep_fraction = 0.25;  // bootstrapped: share of the hardest pixels that count
  double gamma = 2.0;           // focal
  double smooth = 1.0;          // dice, soft_iou
};

// What a run is trained with.
struct LossOptions {
  std::vector<LossTerm> terms;        // their weighted sum; empty: one cross-entropy
  std::vector<double> class_weights;  // one per class; empty: all 1
  double aux_weight = 0.4;            // of the same loss on output.aux, where the network has it
};

// The loss of a batch, a scalar. labels: u8 [N,H,W] for the whole input image (255: ignored); only output.region of them counts.
Variable segmentation_loss(const SegmentationOutput& output, const Tensor& labels, const LossOptions& options);

}  // namespace atrous::layers
