#include "nets/roi_heads.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/box_coder/box_coder.h"
#include "kernels/mask_targets/mask_targets.h"
#include "kernels/match_boxes/match_boxes.h"
#include "kernels/nms/nms.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/softmax/softmax.h"
#include "layers/cross_entropy.h"
#include "layers/pointwise.h"
#include "layers/pointwise_loss.h"
#include "layers/reshape.h"
#include "layers/roi_align.h"
#include "layers/roi_pool.h"
#include "layers/take_rows.h"
#include "nets/rpn.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr int64_t box_grid = 7, mask_grid = 14;  // cells that a region is divided into
constexpr double smallest_detection = 1e-2;      // pixels of width and height
constexpr kernels::BoxCoderOptions box_coder{.wx = 10, .wy = 10, .ww = 5, .wh = 5};
// Number of objects whose masks are planes at the same time: whole images are large.
constexpr size_t masks_at_once = 16;

// The map from which a region of this size is cut: 4 levels for 1/4 ... 1/32, where one of 224 pixels
// belongs to 1/16 (Lin et al., eq. 1). In f32, with torchvision's epsilon.
int32_t level_of(const float* box, const std::vector<int64_t>& strides) {
  const float side = std::sqrt((box[2] - box[0]) * (box[3] - box[1]));
  const float level = std::floor(4.0f + std::log2(side / 224.0f) + 1e-6f);
  const auto finest = static_cast<float>(std::log2(strides.front()));
  const auto coarsest = static_cast<float>(std::log2(strides.back()));
  // Written so that NaN maps to the finest level.
  return static_cast<int32_t>((level > finest ? std::min(level, coarsest) : finest) - finest);
}

}  // namespace

// Boxes of all images one after another, in pixels of the batch.
struct RoiHeads::Regions {
  std::vector<std::array<float, 5>> rows;  // image, x1, y1, x2, y2

  void append(size_t image, const float* box) {
    rows.push_back({static_cast<float>(image), box[0], box[1], box[2], box[3]});
  }
  void append(size_t image, const Tensor& boxes) {
    const Tensor dense = boxes.contiguous_copy_if_needed();
    for (int64_t i = 0; i < boxes.dim(0); ++i) append(image, dense.data<float>() + 4 * i);
  }
  int64_t size() const { return static_cast<int64_t>(rows.size()); }
  Tensor tensor(Device device) const {
    const std::span<const float> flat(rows.empty() ? nullptr : rows.front().data(), 5 * rows.size());
    return Tensor::from<float>({size(), 5}, flat).to(device);
  }
  Tensor levels(const std::vector<int64_t>& strides, Device device) const {
    std::vector<int32_t> levels;
    for (const auto& row : rows) levels.push_back(level_of(row.data() + 1, strides));
    return index_tensor(levels, device);
  }
};

// The sampled proposals of a step.
struct RoiHeads::Samples {
  Regions regions;
  std::vector<int32_t> labels;     // of each
  std::vector<int32_t> positives;  // numbers of those with an object
  std::vector<int32_t> objects;    // index of the object in its image, for each positive
  std::vector<float> deltas;       // [P,4] of the positives
};

RoiHeads::RoiHeads(const DetectionOptions& options, const RoiHeadsForm& form)
    : options_(options), form_(form) {
  if (form.convolutional) {
    box_head_ = register_module<ConvHead>("box_head", form.channels, box_grid, form.box_width, form.norm);
  } else {
    box_head_ = register_module<TwoLayerHead>("box_head", form.channels * box_grid * box_grid, form.box_width,
                                              form.box_init, form.dropout);
  }
  box_predictor_ = register_module<BoxPredictor>("box_predictor", form.box_width, form.classes);
  if (!form.masks) return;
  mask_head_ = register_module<MaskHead>("mask_head", form.channels, form.mask_width, form.norm);
  mask_predictor_ = register_module<MaskPredictor>("mask_predictor", form.mask_width, form.classes);
}

Variable RoiHeads::pooled(const RegionMaps& maps, const Regions& regions, int64_t size) const {
  const Device device = maps.maps[0].value().device();
  const Tensor rois = regions.tensor(device);
  if (options_.roi_op == RoiOp::pool) {
    return roi_pool(
        maps.maps[0], rois,
        {.out_height = size, .out_width = size, .scale = 1.0 / static_cast<double>(maps.strides[0])});
  }
  RoiAlignOptions o{.out_height = size,
                    .out_width = size,
                    .scales = {},
                    .sampling_ratio = options_.sampling_ratio,
                    .aligned = options_.aligned};
  for (const int64_t stride : maps.strides) o.scales.push_back(1.0 / static_cast<double>(stride));
  return roi_align(maps.maps, rois, regions.levels(maps.strides, device), o);
}

Variable RoiHeads::mask_logits(const RegionMaps& maps, const Regions& regions,
                               const StageObserver& observe) const {
  const Variable features = pooled(maps, regions, mask_grid);
  const Variable logits = mask_predictor_->forward(mask_head_->forward(features));
  if (observe) {
    observe("mask_features", features.value());
    observe("mask_logits", logits.value());
  }
  return logits;
}

// ---- Inference

// scores [n,K] in host memory, deltas [n,4K] and proposals on the device.
Detections RoiHeads::choose(const Tensor& scores, const Tensor& deltas, const Tensor& proposals,
                            const ImageSize& size) const {
  // Every class of every proposal is a candidate; low scores, nearly all of them, are dropped here.
  const int64_t classes = form_.classes;
  std::vector<int32_t> proposal_of, entry_of, labels;
  std::vector<float> kept_scores;
  for (int64_t i = 0; i < scores.dim(0); ++i) {
    for (int64_t k = 1; k < classes; ++k) {
      const float score = scores.data<float>()[i * classes + k];
      if (!(static_cast<double>(score) > options_.box_score)) continue;
      proposal_of.push_back(static_cast<int32_t>(i));
      entry_of.push_back(static_cast<int32_t>(i * classes + k));
      labels.push_back(static_cast<int32_t>(k));
      kept_scores.push_back(score);
    }
  }
  Detections found;
  found.image = size;
  found.boxes = Tensor::empty({0, 4});
  if (labels.empty()) return found;
  const Device device = deltas.device();
  const Tensor candidates =
      kernels::take_rows(deltas.reshape({deltas.dim(0) * classes, 4}), index_tensor(entry_of, device));
  Tensor boxes = kernels::decode_boxes(
      candidates, kernels::take_rows(proposals, index_tensor(proposal_of, device)), box_coder);
  boxes = kernels::clip_boxes(boxes, static_cast<double>(size.height), static_cast<double>(size.width));
  const auto count = static_cast<int64_t>(labels.size());
  const kernels::NmsResult kept = kernels::nms(
      boxes, Tensor::from<float>({count}, kept_scores).to(device), index_tensor(labels, device),
      kernels::usable_boxes(boxes, Tensor(), {.min_size = smallest_detection}),
      {.iou_threshold = options_.box_nms, .groups = classes, .max_keep = options_.max_detections});
  const Tensor indices = kept.indices.to(Device::cpu);
  const auto n = static_cast<int64_t>(kept.count.to(Device::cpu).item());
  found.boxes = kernels::take_rows(boxes, kept.indices).to(Device::cpu).narrow_batch(0, n);
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(indices.data<int32_t>()[i]);
    found.labels.push_back(labels[at]);
    found.scores.push_back(kept_scores[at]);
  }
  return found;
}

void RoiHeads::detect_masks(const RegionMaps& maps, std::vector<Detections>& found,
                            const StageObserver& observe) const {
  Regions regions;
  std::vector<int32_t> labels;
  for (size_t i = 0; i < found.size(); ++i) {
    regions.append(i, found[i].boxes);
    labels.insert(labels.end(), found[i].labels.begin(), found[i].labels.end());
  }
  Tensor all = Tensor::empty({0, 2 * mask_grid, 2 * mask_grid});
  if (regions.size() > 0) {
    const Tensor logits = mask_logits(maps, regions, observe).value();
    const Tensor own = kernels::take_class(logits, index_tensor(labels, logits.device()));
    const Tensor probabilities = Tensor::empty_like(own);
    kernels::unary_forward(kernels::Unary::sigmoid, own, probabilities);
    all = probabilities.to(Device::cpu).reshape({regions.size(), 2 * mask_grid, 2 * mask_grid});
  }
  int64_t at = 0;
  for (Detections& d : found) {
    d.masks = all.narrow_batch(at, d.size());
    at += d.size();
  }
}

std::vector<Detections> RoiHeads::detect(const RegionMaps& maps, const std::vector<Tensor>& proposals,
                                         const std::vector<ImageSize>& sizes,
                                         const StageObserver& observe) const {
  const ModuleScope scope(name());
  Regions regions;
  for (size_t i = 0; i < proposals.size(); ++i) regions.append(i, proposals[i]);
  std::vector<Detections> found(proposals.size());
  Tensor scores, deltas;
  if (regions.size() > 0) {
    const Variable features = pooled(maps, regions, box_grid);
    const BoxPrediction p = box_predictor_->forward(box_head_->forward(features));
    scores = kernels::softmax_forward(p.logits.value()).to(Device::cpu);
    scores = scores.reshape({regions.size(), form_.classes});
    deltas = p.deltas.value().reshape({regions.size(), 4 * form_.classes});
    if (observe) {
      observe("box_features", features.value());
      observe("class_logits", p.logits.value().reshape({regions.size(), form_.classes}));
      observe("box_deltas", deltas);
    }
  } else {
    scores = deltas = Tensor::empty({0, 1});
  }
  int64_t at = 0;
  for (size_t i = 0; i < proposals.size(); ++i) {
    const int64_t n = proposals[i].dim(0);
    found[i] = choose(scores.narrow_batch(at, n), deltas.narrow_batch(at, n),
                      proposals[i].to(deltas.device()), sizes[i]);
    at += n;
  }
  if (form_.masks) detect_masks(maps, found, observe);
  return found;
}

// ---- Training

RoiHeads::Samples RoiHeads::sample(const std::vector<Tensor>& proposals, const std::vector<Instances>& truths,
                                   Rng& rng) const {
  Samples s;
  for (size_t image = 0; image < proposals.size(); ++image) {
    // The objects themselves are proposals too: early in training they are the only good ones.
    const Instances& truth = truths[image];
    const int64_t proposed = proposals[image].dim(0), count = proposed + truth.size();
    const Tensor boxes = Tensor::empty({count, 4});
    boxes.narrow_batch(0, proposed).copy_from(proposals[image]);
    boxes.narrow_batch(proposed, truth.size()).copy_from(truth.boxes);
    const Tensor matches = kernels::match_boxes(
        truth.boxes, boxes,
        {.high = options_.box_positive_iou, .low = options_.box_negative_iou, .allow_low_quality = false});
    const int32_t* match = matches.data<int32_t>();
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < count; ++i) {
      labels.push_back(match[i] >= 0                          ? truth.labels[static_cast<size_t>(match[i])]
                       : match[i] == kernels::match_below_low ? 0
                                                              : -1);
    }
    const Sampled chosen = sample_balanced(labels,
                                           {.samples = options_.box_samples,
                                            .positive_fraction = options_.box_positive_fraction,
                                            .random = options_.sampler == SamplerKind::random},
                                           rng);
    std::vector<int32_t> objects;
    for (const int32_t i : chosen.positives) {
      s.positives.push_back(static_cast<int32_t>(s.regions.size()));
      s.regions.append(image, boxes.data<float>() + 4 * i);
      s.labels.push_back(labels[static_cast<size_t>(i)]);
      objects.push_back(match[i]);
    }
    for (const int32_t i : chosen.negatives) {
      s.regions.append(image, boxes.data<float>() + 4 * i);
      s.labels.push_back(0);
    }
    const Tensor deltas = kernels::encode_boxes(
        kernels::take_rows(truth.boxes, index_tensor(objects, Device::cpu)),
        kernels::take_rows(boxes, index_tensor(chosen.positives, Device::cpu)), box_coder);
    s.deltas.insert(s.deltas.end(), deltas.data<float>(), deltas.data<float>() + deltas.numel());
    s.objects.insert(s.objects.end(), objects.begin(), objects.end());
  }
  return s;
}

RoiHeads::Losses RoiHeads::losses(const RegionMaps& maps, const std::vector<Tensor>& proposals,
                                  const std::vector<Instances>& truths, const std::vector<ImageSize>& sizes,
                                  Rng& rng, const StageObserver& observe) const {
  const ModuleScope scope(name());
  const Device device = maps.maps[0].value().device();
  const Variable zero(Tensor::scalar(0, DType::f32, device));
  const Samples s = sample(proposals, truths, rng);
  Losses losses{.classifier = zero, .box_reg = zero, .mask = form_.masks ? zero : Variable()};
  const int64_t count = s.regions.size();
  if (count == 0) return losses;
  const Variable features = pooled(maps, s.regions, box_grid);
  const BoxPrediction p = box_predictor_->forward(box_head_->forward(features));
  if (observe) {
    observe("rois", s.regions.tensor(Device::cpu));
    observe("box_features", features.value());
    observe("class_logits", p.logits.value().reshape({count, form_.classes}));
    observe("box_deltas", p.deltas.value().reshape({count, 4 * form_.classes}));
  }
  losses.classifier =
      cross_entropy(p.logits, index_tensor(s.labels, device).reshape({count, 1, 1}), {.ignore_index = -1});
  if (s.positives.empty()) return losses;
  std::vector<int32_t> positive_labels;
  for (const int32_t i : s.positives) positive_labels.push_back(s.labels[static_cast<size_t>(i)]);
  const Variable deltas =
      take_rows(reshape(p.deltas, {count, 4 * form_.classes}), index_tensor(s.positives, device));
  const Tensor targets =
      Tensor::from<float>({static_cast<int64_t>(s.positives.size()), 4}, s.deltas).to(device);
  losses.box_reg = scale(smooth_l1(take_class(deltas, index_tensor(positive_labels, device), 4), targets,
                                   options_.smooth_l1_beta, LossReduction::sum),
                         1.0 / static_cast<double>(count));
  if (form_.masks) losses.mask = mask_loss(maps, s, truths, sizes, observe);
  return losses;
}

Variable RoiHeads::mask_loss(const RegionMaps& maps, const Samples& s, const std::vector<Instances>& truths,
                             const std::vector<ImageSize>& sizes, const StageObserver& observe) const {
  const Device device = maps.maps[0].value().device();
  const int64_t grid = 2 * mask_grid;
  const auto count = static_cast<int64_t>(s.positives.size());
  Regions regions;
  std::vector<int32_t> labels;
  const Tensor targets = Tensor::empty({count, grid, grid}, DType::f32, device);
  // Positives of an image in groups with a few different objects, whose masks become planes.
  for (size_t begin = 0; begin < s.positives.size();) {
    const size_t image = static_cast<size_t>(s.regions.rows[static_cast<size_t>(s.positives[begin])][0]);
    std::vector<int64_t> objects;
    Regions on_planes;
    size_t end = begin;
    for (; end < s.positives.size(); ++end) {
      const auto& row = s.regions.rows[static_cast<size_t>(s.positives[end])];
      if (static_cast<size_t>(row[0]) != image) break;
      const auto known = std::find(objects.begin(), objects.end(), s.objects[end]);
      if (known == objects.end() && objects.size() == masks_at_once) break;
      on_planes.append(static_cast<size_t>(known - objects.begin()), row.data() + 1);
      if (known == objects.end()) objects.push_back(s.objects[end]);
      regions.rows.push_back(row);
      labels.push_back(s.labels[static_cast<size_t>(s.positives[end])]);
    }
    const Tensor planes = dense_masks(truths[image], objects, sizes[image].height, sizes[image].width);
    targets.narrow_batch(static_cast<int64_t>(begin), static_cast<int64_t>(end - begin))
        .copy_from(kernels::mask_targets(planes.to(device), on_planes.tensor(device), grid));
    begin = end;
  }
  const Variable logits = mask_logits(maps, regions, observe);
  if (observe) observe("mask_targets", targets);
  return binary_cross_entropy_with_logits(take_class(logits, index_tensor(labels, device)),
                                          targets.reshape({count, grid, grid, 1}));
}

// ---- Cost

void RoiHeads::run(const RegionMaps& maps, int64_t boxes, int64_t masks) const {
  const ModuleScope scope(name());
  Regions regions;
  regions.rows.resize(static_cast<size_t>(boxes));
  box_predictor_->forward(box_head_->forward(pooled(maps, regions, box_grid)));
  if (!form_.masks) return;
  regions.rows.resize(static_cast<size_t>(masks));
  mask_logits(maps, regions, {});
}

}  // namespace atrous::nets
