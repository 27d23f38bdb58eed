// Faster R-CNN (Ren, He, Girshick, Sun, arXiv:1506.01497) and Mask R-CNN (He, Gkioxari, Dollar, Girshick,
// arXiv:1703.06870) as torchvision has them, with Detectron2's variants as options.
//
//   fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn
//                        ResNet with feature pyramid; two fully connected layers
//   ..._v2               norms in pyramid and heads; convolutions in the box head
//   fasterrcnn_vgg16     one map of stride 16, as in the first paper
//
// `norm` is that of all parts that have one (v1: the backbone alone). Any backbone but VGG can be that of a
// feature pyramid.
#include <algorithm>
#include <cmath>

#include "layers/finite.h"
#include "nets/fpn.h"
#include "nets/networks.h"
#include "nets/roi_heads.h"
#include "nets/rpn.h"

namespace atrous::nets {

using namespace layers;

namespace {

template <class T>
void set_default(T& value, const T& otherwise) {
  if (value == T{}) value = otherwise;
}

// The options with the network's defaults filled in, checked.
DetectionOptions resolved(const ModelOptions& model, bool vgg, size_t maps) {
  DetectionOptions o = model.detection;
  set_default(o.min_size, {vgg ? 600 : 800});
  set_default<int64_t>(o.max_size, vgg ? 1000 : 1333);
  set_default(o.anchor_sizes,
              vgg ? std::vector<double>{128, 256, 512} : std::vector<double>{32, 64, 128, 256, 512});
  set_default<int64_t>(o.rpn_pre_nms_train, vgg ? 12000 : 2000);
  set_default<int64_t>(o.rpn_pre_nms_test, vgg ? 6000 : 1000);
  set_default<int64_t>(o.rpn_post_nms_train, 2000);
  set_default<int64_t>(o.rpn_post_nms_test, vgg ? 300 : 1000);
  set_default<int64_t>(o.box_samples, vgg ? 128 : 512);
  const bool rgb = model.in_channels == 3;
  const auto channels = static_cast<size_t>(model.in_channels);
  set_default(o.mean, rgb ? std::vector<double>{0.485, 0.456, 0.406} : std::vector<double>(channels, 0.5));
  set_default(o.std, rgb ? std::vector<double>{0.229, 0.224, 0.225} : std::vector<double>(channels, 0.5));
  const char* where = "model.detection";
  ATROUS_CHECK(o.mean.size() == channels && o.std.size() == channels, ErrorKind::config,
               "[{}] mean and std have a value per channel. Got {} and {} for {} channels.", where,
               o.mean.size(), o.std.size(), channels);
  ATROUS_CHECK(std::all_of(o.std.begin(), o.std.end(), [](double s) { return s > 0; }), ErrorKind::config,
               "[{}.std] must be positive. Leave it out for the default.", where);
  ATROUS_CHECK(maps == 1 || o.anchor_sizes.size() == maps, ErrorKind::config,
               "[{}.anchor_sizes] must be one per map of the pyramid, {}. Got {}.", where, maps,
               o.anchor_sizes.size());
  ATROUS_CHECK(maps == 1 || o.roi_op == RoiOp::align, ErrorKind::config,
               "[{}.roi_op] \"pool\" is for networks with one map. Got {}. Use \"align\", or the network "
               "fasterrcnn_vgg16.",
               where, model.name);
  ATROUS_CHECK(o.rpn_negative_iou <= o.rpn_positive_iou && o.box_negative_iou <= o.box_positive_iou,
               ErrorKind::config,
               "[{}] a negative IoU must not exceed the positive one. Got {} and {} of the RPN, {} and {} of "
               "the boxes.",
               where, o.rpn_negative_iou, o.rpn_positive_iou, o.box_negative_iou, o.box_positive_iou);
  return o;
}

// ResNets have their own key, from which torchvision's two versions differ.
void set_norm_eps(BackboneOptions& body, const ModelOptions& m) {
  const double eps = m.detection.backbone_norm_eps;
  const bool resnet = body.name.starts_with("resne");
  ATROUS_CHECK(
      !resnet || m.norm_eps == 0, ErrorKind::config,
      "[model.norm_eps] of a detection model on a ResNet is model.detection.backbone_norm_eps. Got {}. "
      "Set that instead.",
      m.norm_eps);
  ATROUS_CHECK(
      resnet || eps == DetectionOptions().backbone_norm_eps, ErrorKind::config,
      "[model.detection.backbone_norm_eps] is an option of ResNets. Got {} for {}. Leave it out, or set "
      "model.norm_eps where the network takes it.",
      eps, body.name);
  if (resnet) body.norm_eps = eps;
}

struct Form {
  bool masks = false, v2 = false, vgg = false;
};

class Rcnn : public DetectionModel {
 public:
  Rcnn(const ModelOptions& m, const Form& form)
      : name_(m.name),
        classes_(m.num_classes),
        in_channels_(m.in_channels),
        masks_(form.masks),
        options_(resolved(m, form.vgg, form.vgg ? 1 : 5)) {
    const NormOptions norm(form.v2 ? m.norm : NormKind::none);
    const auto width = [&](int64_t channels) { return scaled_width(channels, m.width_multiplier); };
    BackboneOptions body = backbone_options(m, form.vgg ? "vgg16" : "resnet50");
    check_backbone_name(body.name);
    ATROUS_CHECK(body.name.starts_with("vgg") == form.vgg, ErrorKind::config,
                 "[model.backbone] {} needs {}. Got \"{}\".", m.name,
                 form.vgg ? "a VGG" : "a backbone with maps of strides 4 to 32, such as a ResNet", body.name);
    set_norm_eps(body, m);
    if (form.vgg && body.norm == NormKind::none) refuse_norms(m, m.name);
    backbone_ = form.vgg ? make_vgg_map(body) : make_fpn(body, width(256), norm);
    add_child("backbone", backbone_);
    rpn_ = register_module<RegionProposals>("rpn", options_, backbone_->channels(), backbone_->strides(),
                                            form.v2 ? 2 : 1);
    heads_ = register_module<RoiHeads>(
        "roi_heads", options_,
        RoiHeadsForm{.channels = backbone_->channels(),
                     .classes = m.num_classes,
                     .box_width = width(form.vgg ? 4096 : 1024),
                     .mask_width = width(256),
                     .convolutional = form.v2,
                     .masks = form.masks,
                     .norm = norm,
                     .dropout = form.vgg ? m.dropout_or(0.5) : 0,
                     .box_init = form.vgg ? Init::normal_hundredth : Init::uniform_fan_in});
  }

  std::vector<Detections> detect(const std::vector<Tensor>& images, const StageObserver& observe) override {
    const NoGradGuard no_tape;
    check(images);
    // Checks the outputs of the heads: they are small, and NaN and Inf of all layers before reach them. Boxes
    // and masks hide them: a NaN score is above no threshold.
    std::string not_finite;
    const StageObserver watch = [&](const std::string& name, const Tensor& value) {
      if (observe) observe(name, value);
      const bool of_head = name.starts_with("rpn.") || name.ends_with("_logits") || name == "box_deltas";
      if (of_head && not_finite.empty() && !all_finite(value)) not_finite = name;
    };
    std::vector<Detections> found = found_in(images, watch);
    if (!not_finite.empty())
      fail_not_finite(*this, {.output = fmt::format("{} of {}", not_finite, name_),
                              .inputs = images,
                              .repeat = [&] { found_in(images, {}); }});
    return found;
  }

  DetectionLosses losses(const std::vector<Tensor>& images, const std::vector<Instances>& targets, Rng& rng,
                         const StageObserver& observe) override {
    check(images);
    ATROUS_CHECK(targets.size() == images.size(), ErrorKind::usage,
                 "[{}] there must be a target per image. Got {} for {}.", name_, targets.size(),
                 images.size());
    std::vector<int64_t> min_sizes;
    for (size_t i = 0; i < images.size(); ++i) {
      const auto last = static_cast<int64_t>(options_.min_size.size()) - 1;
      min_sizes.push_back(options_.min_size[static_cast<size_t>(last > 0 ? rng.integer(0, last) : 0)]);
    }
    const ImageBatch batch = make_image_batch(images, min_sizes, options_, device());
    std::vector<Instances> objects;
    std::vector<Tensor> boxes;
    for (size_t i = 0; i < images.size(); ++i) {
      objects.push_back(objects_of(targets[i], batch.originals[i], i));
      objects.back().boxes = scaled_boxes(objects.back().boxes, batch.originals[i], batch.sizes[i]);
      boxes.push_back(objects.back().boxes);
    }
    if (observe) observe("image", batch.pixels);
    const std::vector<Variable> maps = backbone_->forward(Variable(batch.pixels));
    const ScoredAnchors scored = rpn_->score(maps, batch.pixels.shape(), observe);
    const std::vector<Tensor> proposals = rpn_->propose(scored, batch.sizes, /*training=*/true);
    observe_proposals(proposals, observe);
    const RegionProposals::Losses first = rpn_->losses(scored, boxes, rng);
    const RoiHeads::Losses second =
        heads_->losses(regions_of(maps), proposals, objects, batch.sizes, rng, observe);
    return {.objectness = first.objectness,
            .rpn_box_reg = first.box_reg,
            .classifier = second.classifier,
            .box_reg = second.box_reg,
            .mask = second.mask};
  }

  Regions regions(bool training) const override {
    if (!training) return {options_.rpn_post_nms_test, options_.max_detections};
    const auto positives =
        static_cast<int64_t>(static_cast<double>(options_.box_samples) * options_.box_positive_fraction);
    return {options_.box_samples, positives};
  }

  void run_heads(const Variable& image, const Regions& regions) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    {
      const ModuleScope scope(rpn_->name());
      rpn_->head().forward(maps);
    }
    heads_->run(regions_of(maps), image.dim(0) * regions.boxes, image.dim(0) * regions.masks);
  }

  bool has_masks() const override { return masks_; }
  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return backbone_->strides().back(); }
  std::string backbone_prefix() const override {
    return backbone_->region_strides().size() > 1 ? "backbone.body." : "backbone.";
  }
  std::string kind() const override { return name_; }

 private:
  std::vector<Detections> found_in(const std::vector<Tensor>& images, const StageObserver& observe) {
    const ImageBatch batch = make_image_batch(
        images, std::vector<int64_t>(images.size(), options_.min_size.back()), options_, device());
    if (observe) observe("image", batch.pixels);
    const std::vector<Variable> maps = backbone_->forward(Variable(batch.pixels));
    const ScoredAnchors scored = rpn_->score(maps, batch.pixels.shape(), observe);
    const std::vector<Tensor> proposals = rpn_->propose(scored, batch.sizes, /*training=*/false);
    observe_proposals(proposals, observe);
    std::vector<Detections> found = heads_->detect(regions_of(maps), proposals, batch.sizes, observe);
    for (size_t i = 0; i < found.size(); ++i) {
      found[i].boxes = scaled_boxes(found[i].boxes, batch.sizes[i], batch.originals[i]);
      found[i].image = batch.originals[i];
    }
    return found;
  }

  void check(const std::vector<Tensor>& images) const {
    ATROUS_CHECK(!images.empty(), ErrorKind::usage, "[{}] a batch has at least one image. Got none.", name_);
    ATROUS_CHECK(
        compute_dtype() == DType::f32, ErrorKind::config,
        "[math] {} has activations in f32; on a GPU math is f32 or tf32. Got {}. Use --set math=f32 or tf32.",
        name_, name_of(compute_dtype()));
    for (const Tensor& image : images) {
      ATROUS_CHECK(image.rank() == 3 && image.numel() > 0 && image.channels() == in_channels_ &&
                       image.dtype() == DType::f32,
                   ErrorKind::data, "[{}] an image is f32 [H, W, {}]. Got {}.", name_, in_channels_,
                   image.describe());
    }
  }

  // The training targets, without crowds, checked.
  Instances objects_of(const Instances& target, const ImageSize& image, size_t number) const {
    ATROUS_CHECK(target.boxes.shape() == Shape({target.size(), 4}), ErrorKind::data,
                 "[{}] there must be a box per label. Got boxes {} and {} labels for image {} of the batch.",
                 name_, target.boxes.shape().str(), target.size(), number);
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < target.size(); ++i) {
      if (target.crowd.empty() || !target.crowd[static_cast<size_t>(i)]) kept.push_back(i);
    }
    Instances objects = select(target, kept);
    for (int64_t i = 0; i < objects.size(); ++i) {
      const float* b = objects.box(i);
      const bool finite = std::all_of(b, b + 4, [](float v) { return std::isfinite(v); });
      ATROUS_CHECK(finite && b[2] > b[0] && b[3] > b[1], ErrorKind::data,
                   "[{}] a box must have a width and a height. Got [{}, {}, {}, {}] for object {} of image "
                   "{} of the batch. Leave such objects out.",
                   name_, b[0], b[1], b[2], b[3], kept[static_cast<size_t>(i)], number);
      const int32_t label = objects.labels[static_cast<size_t>(i)];
      ATROUS_CHECK(label > 0 && label < classes_, ErrorKind::data,
                   "[{}] a label must be 1 to {} (0 is the background). Got {} for object {} of image {} of "
                   "the batch. Check model.num_classes.",
                   name_, classes_ - 1, label, kept[static_cast<size_t>(i)], number);
    }
    if (!masks_) {
      objects.masks.clear();
    } else if (objects.size() > 0) {
      ATROUS_CHECK(
          objects.has_masks() && objects.height == image.height && objects.width == image.width,
          ErrorKind::data,
          "[{}] objects need masks of the image's size. Got {} masks of {}x{} for image {} of the batch, "
          "{}x{}. Use a data set with masks, or a network without (fasterrcnn_...).",
          name_, objects.masks.size(), objects.height, objects.width, number, image.height, image.width);
    }
    return objects;
  }

  // The maps that regions are cut from: all but the one that only the RPN reads.
  RegionMaps regions_of(const std::vector<Variable>& maps) const {
    const std::vector<int64_t>& strides = backbone_->region_strides();
    return {{maps.begin(), maps.begin() + static_cast<std::ptrdiff_t>(strides.size())}, strides};
  }

  static void observe_proposals(const std::vector<Tensor>& proposals, const StageObserver& observe) {
    for (size_t i = 0; observe && i < proposals.size(); ++i)
      observe("proposals." + std::to_string(i), proposals[i]);
  }

  const std::string name_;
  const int64_t classes_, in_channels_;
  const bool masks_;
  const DetectionOptions options_;
  std::shared_ptr<DetectionBackbone> backbone_;
  std::shared_ptr<RegionProposals> rpn_;
  std::shared_ptr<RoiHeads> heads_;
};

}  // namespace

DetectorPtr build_rcnn(const ModelOptions& o) {
  ATROUS_CHECK(o.num_classes >= 2, ErrorKind::config,
               "[model.num_classes] counts the background too, so it is at least 2. Got {}.", o.num_classes);
  return std::make_shared<Rcnn>(o, Form{.masks = o.name.starts_with("maskrcnn"),
                                        .v2 = o.name.ends_with("_v2"),
                                        .vgg = o.name.ends_with("vgg16")});
}

}  // namespace atrous::nets
