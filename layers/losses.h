// Losses of semantic segmentation, as weighted sums of terms.
#pragma once

#include <string>
#include <vector>

#include "core/names.h"
#include "layers/segmentation_model.h"

namespace atrous::layers {

enum class LossKind { cross_entropy, bootstrapped, focal, dice, soft_iou };
constexpr auto names_of(LossKind) {
  return std::to_array<Named<LossKind>>(
      {{LossKind::cross_entropy, "cross_entropy", "label_smoothing class_weights"},
       {LossKind::bootstrapped, "bootstrapped", "keep_fraction min_kept class_weights"},
       {LossKind::focal, "focal", "gamma class_weights"},
       {LossKind::dice, "dice", "smooth squared"},
       {LossKind::soft_iou, "soft_iou", "smooth squared"}});
}

// Plain values; train/config_fields.cpp declares their JSON names.
struct LossTerm {
  LossKind kind = LossKind::cross_entropy;
  double weight = 1.0;
  double label_smoothing = 0;   // share of the target that is spread over all classes
  double keep_fraction = 0.25;  // share of the hardest pixels that count
  int64_t min_kept = 0;         // but at least this many (or all that are valid)
  double gamma = 2.0;           // exponent
  double smooth = 1.0;          // added to numerator and denominator
  bool squared = false;         // squared probabilities in the denominator
};

// The loss options of a run.
struct LossOptions {
  std::vector<LossTerm> terms;        // their weighted sum; empty: one cross-entropy
  std::vector<double> class_weights;  // one per class; empty: all 1
  double aux_weight = 0.4;     // of the same loss on output.aux and more_aux, where the network has them
  int64_t ignore_index = 255;  // the label that counts nowhere
  Tensor weights_there = {};   // class_weights on a device: see placed_on
};

// The options with the class weights on `device` already, so that not every call copies them there. Errors: a
// weight that is negative or not finite (usage).
LossOptions placed_on(Device device, LossOptions options);

// The loss of a batch, a scalar. Cross-entropy terms (also focal and bootstrapped ones, which are
// cross-entropy with a factor per pixel) of logits at another resolution than the region use the fused
// layers/resize_cross_entropy.h; dice and soft_iou resize first. Errors: number of class weights,
// parameters out of range (config); a label out of range (data). labels: u8 [N,H,W] for the whole
// input image (255: ignored), on the device of the logits or in host memory; only output.region of them
// counts.
Variable segmentation_loss(const SegmentationOutput& output, const Tensor& labels,
                           const LossOptions& options);

}  // namespace atrous::layers
