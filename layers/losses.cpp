#include "layers/losses.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "kernels/labels/labels.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy.h"
#include "layers/cross_entropy.h"
#include "layers/overlap_loss.h"
#include "layers/resize.h"
#include "layers/resize_cross_entropy.h"
#include "layers/scaled_gradient.h"
#include "layers/softmax.h"

namespace atrous::layers {
namespace {

// Logits of a head and the labels they are scored against. Results that several terms need are computed once.
class Head {
 public:
  Head(const Variable& logits, const Tensor& labels, bool align_corners)
      : logits_(logits),
        labels_(labels),
        align_corners_(align_corners),
        same_size_(logits.dim(1) == labels.dim(1) && logits.dim(2) == labels.dim(2)) {}

  Variable cross_entropy(const CrossEntropyOptions& options) {
    if (same_size_) return layers::cross_entropy(logits_, labels_, options);
    // The fused form has no label smoothing.
    if (options.label_smoothing > 0) return layers::cross_entropy(full_size(), labels_, options);
    return layers::resize_cross_entropy(logits_, labels_, align_corners_, options);
  }

  Tensor pixel_losses(const CrossEntropyOptions& options) const {
    const auto result = same_size_ ? kernels::cross_entropy(logits_.value(), labels_, options, false, true)
                                   : kernels::resize_cross_entropy(logits_.value(), labels_, align_corners_,
                                                                   options, false, true);
    return result.pixel_losses;
  }

  const Variable& probabilities() {
    if (!probabilities_.defined()) {
      probabilities_ = softmax(full_size());
    }
    return probabilities_;
  }

  const Tensor& labels() const { return labels_; }

 private:
  const Variable& full_size() {
    const ResizeOptions size{labels_.dim(1), labels_.dim(2), ResizeMode::bilinear, align_corners_};
    if (!full_size_.defined()) full_size_ = same_size_ ? logits_ : resize(logits_, size);
    return full_size_;
  }

  Variable logits_;
  Tensor labels_;  // u8 or i32, at the size of the region
  bool align_corners_;
  bool same_size_;
  Variable full_size_, probabilities_;
};

bool is_valid(const Tensor& labels, int64_t i, int64_t ignore_index) {
  return (labels.dtype() == DType::u8 ? labels.data<uint8_t>()[i] : labels.data<int32_t>()[i]) !=
         ignore_index;
}

// 1 for the `keep` hardest valid pixels, else 0. Of equal losses the earlier pixel is taken, so the choice is
// unique. NaN counts as hardest: it must reach the loss and be noticed.
// Chosen on the host, wherever the losses are.
Tensor hardest_pixels(const Tensor& pixel_losses, const Tensor& all_labels, double keep_fraction,
                      int64_t min_kept, int64_t ignore_index) {
  const Tensor losses = pixel_losses.to(Device::cpu).to(DType::f64);
  const Tensor labels = all_labels.to(Device::cpu);
  const Tensor kept = Tensor::zeros(labels.shape(), DType::f32);
  std::vector<double> hardness;
  hardness.reserve(static_cast<size_t>(losses.numel()));
  auto hardness_of = [&](int64_t i) {
    const double e = losses.data<double>()[i];
    return std::isnan(e) ? std::numeric_limits<double>::infinity() : e;
  };
  for (int64_t i = 0; i < losses.numel(); ++i) {
    if (is_valid(labels, i, ignore_index)) hardness.push_back(hardness_of(i));
  }
  const auto valid = static_cast<int64_t>(hardness.size());
  const auto share = static_cast<int64_t>(std::ceil(keep_fraction * static_cast<double>(valid)));
  const int64_t keep = std::min(valid, std::max({share, min_kept, int64_t{1}}));
  if (keep == 0) return kept.to(all_labels.device());  // no pixel is valid
  std::nth_element(hardness.begin(), hardness.begin() + (keep - 1), hardness.end(), std::greater<>());
  const double threshold = hardness[static_cast<size_t>(keep - 1)];
  int64_t ties =
      keep - std::count_if(hardness.begin(), hardness.end(), [&](double e) { return e > threshold; });
  for (int64_t i = 0; i < losses.numel(); ++i) {
    if (!is_valid(labels, i, ignore_index)) continue;
    const double e = hardness_of(i);
    if (e > threshold || (e == threshold && ties-- > 0)) kept.data<float>()[i] = 1;
  }
  return kept.to(all_labels.device());
}

Variable evaluate(const LossTerm& term, const Tensor& class_weights, int64_t ignore_index, Head& head) {
  CrossEntropyOptions options{.ignore_index = ignore_index, .class_weights = class_weights};
  const auto overlap = [&](OverlapMeasure measure) {
    ATROUS_CHECK(std::isfinite(term.smooth) && term.smooth >= 0, ErrorKind::config,
                 "[loss] smooth of {} must be finite and not negative. Got {}.", term.kind, term.smooth);
    return overlap_loss(
        head.probabilities(), head.labels(),
        {.measure = measure, .smooth = term.smooth, .squared = term.squared, .ignore_index = ignore_index});
  };
  switch (term.kind) {
    case LossKind::cross_entropy:
      ATROUS_CHECK(term.label_smoothing >= 0 && term.label_smoothing < 1, ErrorKind::config,
                   "[loss] label_smoothing of cross_entropy must be in [0, 1). Got {}.",
                   term.label_smoothing);
      options.label_smoothing = term.label_smoothing;
      break;
    case LossKind::focal:
      ATROUS_CHECK(std::isfinite(term.gamma) && term.gamma >= 0, ErrorKind::config,
                   "[loss] gamma of focal must be finite and not negative. Got {}.", term.gamma);
      options.gamma = term.gamma;
      break;
    case LossKind::bootstrapped:
      ATROUS_CHECK(term.keep_fraction > 0 && term.keep_fraction <= 1, ErrorKind::config,
                   "[loss] keep_fraction of bootstrapped must be in (0, 1]. Got {}.", term.keep_fraction);
      options.pixel_weights = hardest_pixels(head.pixel_losses(options), head.labels(), term.keep_fraction,
                                             term.min_kept, ignore_index);
      break;
    case LossKind::dice: return overlap(OverlapMeasure::dice);
    case LossKind::soft_iou: return overlap(OverlapMeasure::iou);
  }
  return head.cross_entropy(options);
}

// The labels of the region. Bad labels are reported with their position in the whole image, so they are
// searched here.
Tensor labels_of(const Tensor& labels, const Region& r, int64_t classes, int64_t ignore_index) {
  const int64_t height = labels.dim(1), width = labels.dim(2);
  ATROUS_CHECK(
      r.top >= 0 && r.left >= 0 && r.height > 0 && r.width > 0 && r.top + r.height <= height &&
          r.left + r.width <= width,
      ErrorKind::usage,
      "[loss] the region of the logits must lie inside the label map. Got {}x{} at row {}, column {} of {}.",
      r.height, r.width, r.top, r.left, labels.shape().str());
  if (r.height == height && r.width == width) return labels.contiguous_copy_if_needed();
  const Tensor whole =
      kernels::checked_labels("loss", labels.to(Device::cpu), labels.shape(), classes, ignore_index);
  const Tensor part = Tensor::empty({labels.dim(0), r.height, r.width}, DType::i32);
  for (int64_t row = 0; row < labels.dim(0) * r.height; ++row) {
    const int64_t from = (row / r.height * height + r.top + row % r.height) * width + r.left;
    std::memcpy(part.data<int32_t>() + row * r.width, whole.data<int32_t>() + from,
                static_cast<size_t>(r.width) * sizeof(int32_t));
  }
  return part.to(labels.device());
}

Variable head_loss(const Variable& logits, const Tensor& labels, bool align_corners,
                   const LossOptions& options) {
  const int64_t classes = logits.value().channels();
  Tensor class_weights;
  if (!options.class_weights.empty()) {
    ATROUS_CHECK(static_cast<int64_t>(options.class_weights.size()) == classes, ErrorKind::config,
                 "[loss] one class weight per class is needed. Got {} weights for {} classes.",
                 options.class_weights.size(), classes);
    const Tensor& there = options.weights_there;
    class_weights = there.defined() && there.device() == logits.value().device()
                        ? there
                        : Tensor::from<double>({classes}, options.class_weights);
  }
  Head head(logits, labels, align_corners);
  if (options.terms.empty()) return evaluate(LossTerm{}, class_weights, options.ignore_index, head);
  std::vector<Variable> values;
  std::vector<double> weights;
  for (const LossTerm& term : options.terms) {
    values.push_back(evaluate(term, class_weights, options.ignore_index, head));
    weights.push_back(term.weight);
  }
  return weighted_sum(values, weights);
}

}  // namespace

LossOptions placed_on(Device device, LossOptions options) {
  if (device == Device::cpu || options.class_weights.empty()) return options;
  const auto classes = static_cast<int64_t>(options.class_weights.size());
  options.weights_there = kernels::checked_class_weights(
      "loss", Tensor::from<double>({classes}, options.class_weights), classes, device);
  return options;
}

Variable segmentation_loss(const SegmentationOutput& output, const Tensor& labels,
                           const LossOptions& options) {
  ATROUS_CHECK(labels.rank() == 3 && (labels.dtype() == DType::u8 || labels.dtype() == DType::i32) &&
                   output.logits.shape().rank() == 4 && labels.dim(0) == output.logits.dim(0),
               ErrorKind::usage,
               "[loss] labels must be u8 or i32 [N, H, W] for logits [N, h, w, K]. Got {} for {}.",
               labels.describe(), output.logits.value().describe());
  // Labels are cropped on their own device; only the region is copied.
  const Tensor part = labels_of(labels, output.region, output.logits.value().channels(), options.ignore_index)
                          .to(output.logits.value().device());
  std::vector<Variable> losses;
  std::vector<double> weights;
  const auto count = [&](const Variable& logits, double weight) {
    losses.push_back(head_loss(logits, part, output.align_corners, options));
    weights.push_back(weight);
  };
  count(output.logits, 1);
  for (const Variable& logits : output.more) count(logits, 1);
  if (options.aux_weight != 0) {
    if (output.aux.defined()) count(output.aux, options.aux_weight);
    for (const Variable& logits : output.more_aux) count(logits, options.aux_weight);
  }
  return losses.size() == 1 ? losses[0] : weighted_sum(losses, weights);
}

}  // namespace atrous::layers
