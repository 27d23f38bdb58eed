#include "nets/rpn.h"

#include "kernels/anchors/anchors.h"
#include "kernels/box_coder/box_coder.h"
#include "kernels/match_boxes/match_boxes.h"
#include "kernels/nms/nms.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/topk/topk.h"
#include "layers/concat.h"
#include "layers/pointwise.h"
#include "layers/pointwise_loss.h"
#include "layers/reshape.h"
#include "layers/take_rows.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr double smallest_proposal = 1e-3;  // pixels of width and height

// Each map's [N,H,W,c] one after another: [N, all H*W*c]. Rows and columns come before channels in memory, so
// this is torchvision's order without a permutation.
Variable flattened(const std::vector<Variable>& maps) {
  std::vector<Variable> rows;
  for (const Variable& m : maps) rows.push_back(reshape(m, {m.dim(0), m.dim(1) * m.dim(2) * m.dim(3)}));
  return concat(rows);
}

// 1 for positive anchors, 0 for background, -1 for ignored ones.
std::vector<int32_t> anchor_labels(const int32_t* matches, int64_t count) {
  std::vector<int32_t> labels(static_cast<size_t>(count));
  for (size_t i = 0; i < labels.size(); ++i)
    labels[i] = matches[i] >= 0 ? 1 : matches[i] == kernels::match_below_low ? 0 : -1;
  return labels;
}

// The targets of the sampled anchors, gathered over a batch.
struct AnchorTargets {
  std::vector<int32_t> counted;    // rows of [N*A]: of each image first the positives, then the negatives
  std::vector<float> is_object;    // 1 or 0, one per element of `counted`
  std::vector<int32_t> positives;  // rows of the positives
  std::vector<Tensor> deltas;      // [P_i,4] of each image that has some, on the device
};

void add_image(AnchorTargets& t, const Tensor& anchors, int64_t image, const Tensor& truths,
               const DetectionOptions& o, Rng& rng) {
  const Device device = anchors.device();
  const Tensor boxes = truths.to(device);
  const Tensor matches = kernels::match_boxes(
      boxes, anchors, {.high = o.rpn_positive_iou, .low = o.rpn_negative_iou, .allow_low_quality = true});
  const Tensor on_host = matches.to(Device::cpu);
  const int32_t* match = on_host.data<int32_t>();
  const Sampled sampled = sample_balanced(anchor_labels(match, anchors.dim(0)),
                                          {.samples = o.rpn_samples,
                                           .positive_fraction = o.rpn_positive_fraction,
                                           .random = o.sampler == SamplerKind::random},
                                          rng);
  const auto first = static_cast<int32_t>(image * anchors.dim(0));
  std::vector<int32_t> matched;
  for (const int32_t i : sampled.positives) {
    t.counted.push_back(first + i);
    t.positives.push_back(first + i);
    t.is_object.push_back(1);
    matched.push_back(match[i]);
  }
  for (const int32_t i : sampled.negatives) {
    t.counted.push_back(first + i);
    t.is_object.push_back(0);
  }
  if (matched.empty()) return;
  t.deltas.push_back(
      kernels::encode_boxes(kernels::take_rows(boxes, index_tensor(matched, device)),
                            kernels::take_rows(anchors, index_tensor(sampled.positives, device))));
}

}  // namespace

Tensor index_tensor(const std::vector<int32_t>& values, Device device) {
  return Tensor::from<int32_t>({static_cast<int64_t>(values.size())}, values).to(device);
}

RegionProposals::RegionProposals(const DetectionOptions& options, int64_t channels,
                                 const std::vector<int64_t>& strides, int64_t convs)
    : options_(options), strides_(strides) {
  const size_t sizes_per_map = strides.size() == 1 ? options.anchor_sizes.size() : 1;
  head_ = register_module<RpnHead>("head", channels,
                                   static_cast<int64_t>(sizes_per_map * options.anchor_ratios.size()), convs);
}

Tensor RegionProposals::anchors_of(const std::vector<Shape>& maps, const Shape& image, Device device) const {
  std::vector<Tensor> parts;
  int64_t count = 0;
  for (size_t l = 0; l < maps.size(); ++l) {
    const std::vector<double> sizes =
        maps.size() == 1 ? options_.anchor_sizes : std::vector<double>{options_.anchor_sizes[l]};
    kernels::AnchorProblem p;
    p.height = maps[l][1];
    p.width = maps[l][2];
    if (options_.rounded_anchors) {
      p.stride_y = image[1] / p.height;
      p.stride_x = image[2] / p.width;
      p.cell = kernels::rounded_cell_anchors(sizes, options_.anchor_ratios);
    } else {
      p.stride_y = p.stride_x = strides_[l];
      p.cell = kernels::exact_cell_anchors(sizes, options_.anchor_ratios);
    }
    parts.push_back(kernels::anchors(p, device));
    count += parts.back().dim(0);
  }
  const Tensor all = Tensor::empty({count, 4}, DType::f32, device);
  int64_t at = 0;
  for (const Tensor& part : parts) {
    all.narrow_batch(at, part.dim(0)).copy_from(part);
    at += part.dim(0);
  }
  return all;
}

ScoredAnchors RegionProposals::score(const std::vector<Variable>& maps, const Shape& image,
                                     const StageObserver& observe) const {
  const ModuleScope scope(name());
  const RpnOutput out = head_->forward(maps);
  ScoredAnchors scored;
  std::vector<Shape> shapes;
  for (const Variable& map : maps) shapes.push_back(map.shape());
  scored.anchors = anchors_of(shapes, image, maps[0].value().device());
  for (const Variable& o : out.objectness) scored.per_map.push_back(o.dim(1) * o.dim(2) * o.dim(3));
  scored.objectness = flattened(out.objectness);
  scored.deltas = flattened(out.deltas);
  if (observe) {
    for (size_t l = 0; l < maps.size(); ++l) {
      observe("rpn.objectness." + std::to_string(l), out.objectness[l].value());
      observe("rpn.deltas." + std::to_string(l), out.deltas[l].value());
    }
    observe("anchors", scored.anchors);
  }
  return scored;
}

std::vector<Tensor> RegionProposals::propose(const ScoredAnchors& scored, const std::vector<ImageSize>& sizes,
                                             bool training) const {
  const DetectionOptions& o = options_;
  const Device device = scored.anchors.device();
  const int64_t count = scored.anchors.dim(0);
  const kernels::TopKResult best = kernels::topk(scored.objectness.value(), scored.per_map,
                                                 training ? o.rpn_pre_nms_train : o.rpn_pre_nms_test);
  std::vector<int32_t> map_of;
  for (size_t l = 0; l < best.counts.size(); ++l)
    map_of.insert(map_of.end(), static_cast<size_t>(best.counts[l]), static_cast<int32_t>(l));
  const Tensor groups = index_tensor(map_of, device);
  std::vector<Tensor> proposals;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto n = static_cast<int64_t>(i);
    const Tensor index = best.indices.narrow_batch(n, 1).reshape({groups.dim(0)});
    const Tensor deltas = scored.deltas.value().narrow_batch(n, 1).reshape({count, 4});
    Tensor boxes =
        kernels::decode_boxes(kernels::take_rows(deltas, index), kernels::take_rows(scored.anchors, index));
    boxes =
        kernels::clip_boxes(boxes, static_cast<double>(sizes[i].height), static_cast<double>(sizes[i].width));
    const Tensor scores = Tensor::empty({groups.dim(0)}, DType::f32, device);
    kernels::unary_forward(kernels::Unary::sigmoid, best.values.narrow_batch(n, 1).reshape({groups.dim(0)}),
                           scores);
    const Tensor usable =
        kernels::usable_boxes(boxes, scores, {.min_size = smallest_proposal, .min_score = o.rpn_score});
    const kernels::NmsResult kept =
        kernels::nms(boxes, scores, groups, usable,
                     {.iou_threshold = o.rpn_nms,
                      .groups = static_cast<int64_t>(scored.per_map.size()),
                      .max_keep = training ? o.rpn_post_nms_train : o.rpn_post_nms_test});
    const auto found = static_cast<int64_t>(kept.count.to(Device::cpu).item());
    proposals.push_back(kernels::take_rows(boxes, kept.indices).to(Device::cpu).narrow_batch(0, found));
  }
  return proposals;
}

RegionProposals::Losses RegionProposals::losses(const ScoredAnchors& scored,
                                                const std::vector<Tensor>& truths, Rng& rng) const {
  const ModuleScope scope(name());
  const Device device = scored.anchors.device();
  AnchorTargets t;
  for (size_t i = 0; i < truths.size(); ++i)
    add_image(t, scored.anchors, static_cast<int64_t>(i), truths[i], options_, rng);
  const auto rows = static_cast<int64_t>(truths.size()) * scored.anchors.dim(0);
  const auto counted = static_cast<int64_t>(t.counted.size());
  Losses losses;
  losses.objectness = binary_cross_entropy_with_logits(
      take_rows(reshape(scored.objectness, {rows, 1}), index_tensor(t.counted, device)),
      Tensor::from<float>({counted, 1}, t.is_object).to(device));
  if (t.positives.empty()) {
    losses.box_reg = Variable(Tensor::scalar(0, DType::f32, device));
    return losses;
  }
  const Tensor targets = Tensor::empty({static_cast<int64_t>(t.positives.size()), 4}, DType::f32, device);
  int64_t at = 0;
  for (const Tensor& part : t.deltas) {
    targets.narrow_batch(at, part.dim(0)).copy_from(part);
    at += part.dim(0);
  }
  const Variable deltas = take_rows(reshape(scored.deltas, {rows, 4}), index_tensor(t.positives, device));
  losses.box_reg = scale(smooth_l1(deltas, targets, options_.smooth_l1_beta, LossReduction::sum),
                         1.0 / static_cast<double>(counted));
  return losses;
}

}  // namespace atrous::nets
