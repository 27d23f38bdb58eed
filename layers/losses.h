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

}  // namespace atrous::layers
