// The fields of the `model` section. Those of the others are in config_fields.cpp.
#include "train/config_choices.h"
#include "train/config_needs.h"
#include "train/config_schema.h"

namespace atrous::train::schema {
namespace {

Field<nets::ModelOptions> align_corners_field() {
  Field<nets::ModelOptions> f{"align_corners", Type::boolean, "or null",
                              "Whether bilinear resizes inside, and of the logits, map corners to corners; "
                              "null: as the paper's code"};
  f.read = [](nets::ModelOptions& o, const JsonValue& v, const std::string& path) {
    if (v.kind == JsonValue::Kind::null) {
      o.align_corners.reset();
      return;
    }
    if (v.kind != JsonValue::Kind::boolean) detail::wrong_type(v, path, "true, false or null");
    o.align_corners = v.boolean;
  };
  f.write = [](const nets::ModelOptions& o) {
    return o.align_corners ? JsonValue::of(*o.align_corners) : JsonValue{};
  };
  return f;
}

// One file, or {"model": file, "backbone": file}.
Field<nets::ModelOptions> weights_field() {
  Field<nets::ModelOptions> f{
      "weights", Type::text, "or {\"model\": FILE, \"backbone\": FILE}",
      "Weights file to start from (safetensors, or PyTorch's; FILE#NAME takes one of several dictionaries); "
      "names and shapes that fit are loaded, the rest is reported. `backbone`: "
      "the features alone, also from a classification network's file"};
  f.read = [](nets::ModelOptions& o, const JsonValue& v, const std::string& path) {
    o.weights.clear();
    o.backbone_weights.clear();
    if (v.kind == JsonValue::Kind::string) {
      o.weights = v.string;
      return;
    }
    if (v.kind != JsonValue::Kind::object) {
      detail::wrong_type(v, path,
                         "a file name, or an object such as {\"backbone\": \"resnet50.safetensors\"}");
    }
    for (const auto& [key, file] : v.object) {
      const std::string at = detail::child(path, key);
      if (key == "model") {
        o.weights = detail::read_text(file, at);
      } else if (key == "backbone") {
        o.backbone_weights = detail::read_text(file, at);
      } else {
        detail::unknown_key(file, path, key, {"model", "backbone"});
      }
    }
  };
  f.write = [](const nets::ModelOptions& o) {
    if (o.backbone_weights.empty()) return JsonValue::of(o.weights);
    JsonValue both = JsonValue::make_object();
    if (!o.weights.empty()) both["model"] = JsonValue::of(o.weights);
    both["backbone"] = JsonValue::of(o.backbone_weights);
    return both;
  };
  return f;
}

// Those that a backbone can have.
std::vector<std::string> names_of_norms() {
  std::vector<std::string> names = all_names<layers::NormKind>();
  std::erase(names, atrous::name_of(layers::NormKind::none));
  return names;
}

// `table` with what not every network takes (nets/factory.h) tied to the network.
Fields<nets::ModelOptions> with_options_of_networks(Fields<nets::ModelOptions> table) {
  for (Field<nets::ModelOptions>& f : table) {
    const auto unmet = [key = f.key](const Config& c) -> std::optional<Need> {
      const std::optional<nets::IgnoredOption> ignored = nets::ignored_option(c.model, key);
      if (!ignored) return std::nullopt;
      return Need{ignored->users, ignored->network};
    };
    f = unless(unmet, std::move(f));
  }
  return table;
}

// A config without a network is valid until a command needs one.
Field<nets::ModelOptions> model_name_field() {
  auto f = choice("name", &nets::ModelOptions::name, nets::model_names(), "Network");
  f.read = [named = f.read](nets::ModelOptions& o, const JsonValue& v, const std::string& path) {
    if (v.kind != JsonValue::Kind::string || !v.string.empty()) named(o, v, path);
  };
  return f;
}

}  // namespace

template <>
const Fields<nets::LayerOptions>& fields() {
  using O = nets::LayerOptions;
  static const Fields<O> table = with_options_of<O>(
      "kind", &O::kind,
      {
          choice("kind", &O::kind, "Layer; `norm` is of the kind `model.norm`"),
          whole("out", &O::out, 0, 65536, "output channels; 0: one per class"),
          whole("kernel", &O::kernel, 0, 1024, "window; 0: 3 for a convolution, 2 for a pool"),
          whole("stride", &O::stride, 0, 1024, "0: 1 for a convolution, the window for a pool"),
          whole("pad", &O::pad, 0, 1024, "zeros on every side; a pool's are left out"),
          whole("dilation", &O::dilation, 1, 1024, "atrous rate; 1 is the dense filter"),
          whole("groups", &O::groups, 1, 65536, "groups of channels"),
          whole("factor", &O::factor, 1, 64,
                "by which height and width grow; kernel and stride of a transposed convolution"),
          number("probability", &O::probability, 0, 0.999, "share of values set to zero in training"),
          flag("bias", &O::bias, "one per output channel"),
      });
  return table;
}

template <>
const Fields<nets::ModelOptions>& fields() {
  using O = nets::ModelOptions;
  static const Fields<O> table = with_options_of_networks({
      model_name_field(),
      whole("num_classes", &O::num_classes, 0, nets::num_classes_range.high,
            "Classes, background included; needed by every command. Label maps hold at most 255"),
      whole("in_channels", &O::in_channels, nets::in_channels_range.low, nets::in_channels_range.high,
            "Channels of the image"),
      text("backbone", &O::backbone,
           "Feature extractor, for example `resnet50`; empty: the network's default. An invalid name prints "
           "the choices"),
      number("width_multiplier", &O::width_multiplier, 0, nets::largest_width_multiplier,
             "Multiplies all channel counts; 1 is the published network", true),
      whole("base_width", &O::base_width, nets::base_width_range.low, nets::base_width_range.high,
            "unet: channels of the first level"),
      whole("depth", &O::depth, nets::depth_range.low, nets::depth_range.high,
            "unet: number of levels, the bottleneck included"),
      whole("layers", &O::layers, 0, 1000, "fc_densenet: 56, 67 or 103; 0: 103"),
      optional_choice(
          "form", &O::form,
          "Published form, where a network has several: `vgg16` or `basic` (segnet), `smp` (pspnet, "
          "deeplabv3, deeplabv3plus), `caffe` (alexnet: the paper's two groups with response normalisation); "
          "empty: the paper's, of alexnet torchvision's"),
      optional_choice(
          "stem", &O::stem,
          "ResNets begin with one 7x7 convolution (`plain`) or three 3x3 (`deep`); empty: the network's "
          "default"),
      choice("attention", &O::attention,
             "unet with a backbone: squeeze and excitation of channels, or of channels and pixels, in the "
             "decoder"),
      choice("padding", &O::padding, "unet: `valid` is the paper's form with cropped skips"),
      choice("upsampling", &O::upsampling, "unet: decoder upsampling"),
      unless(needs_norm_layer,
             choice("norm", &O::norm,
                    "Normalisation; `frozen` is batch norm with fixed statistics, `none` is the U-Net of the "
                    "paper. Networks without normalisation (VGG16 and its FCN and DeepLab) accept only the "
                    "default and `none`")),
      optional_choice(
          "backbone_norm", &O::backbone_norm,
          "Normalisation of the backbone; empty: as `norm`. vgg16 and vgg19 have no normalisation and "
          "accept no value",
          names_of_norms()),
      number("norm_eps", &O::norm_eps, 0, 1,
             "Epsilon added to the variance in the backbone's norm layers; 0: the backbone's default (1e-5; "
             "MobileNetV3, EfficientNet and Xception: 1e-3)"),
      optional_choice(
          "conv_padding", &O::conv_padding,
          "EfficientNets: padding of the convolutions of stride 2. `tensorflow` is the published networks' "
          "\"same\", `symmetric` that of torchvision, segmentation_models_pytorch and timm's names without "
          "`tf_`; empty: `tensorflow`"),
      number(
          "drop_path", &O::drop_path, 0, 0.999,
          "EfficientNets: stochastic depth. Training leaves block i of n, counted from 0, out for an image "
          "with i / n of this probability. Published: 0.2"),
      wholes("rates", &O::rates, 1,
             "Atrous rates of the parallel branches; empty: the network's default for its output stride"),
      wholes("multi_grid", &O::multi_grid, 1,
             "Factors of the rates of the blocks of a ResNet's last stage, one per block; empty: the "
             "network's default"),
      numbers("input_scales", &O::input_scales, 0, 4,
              "deeplabv2: the image is run at these scales with shared weights, and the scores are fused by "
              "their maximum; empty: one scale"),
      align_corners_field(),
      whole("output_stride", &O::output_stride, 0, 64,
            "Input pixels per pixel of the deepest features; 0: the network's default"),
      flag("aux_loss", &O::aux_loss,
           "Add the auxiliary head; the weight of its loss is `train.aux_weight`; googlenet has two"),
      whole("input_size", &O::input_size, 16, 4096, "lenet5: height and width of its images"),
      flag(
          "transform_input", &O::transform_input,
          "googlenet, inception_v3: images are normalised by ImageNet's mean and standard deviation, and the "
          "network brings them to [-1, 1], as with torchvision's published weights"),
      flag("at_once", &O::at_once,
           "fcn8s, fcn16s on vgg16: trained all at once, with fixed scales on the skips"),
      number("dropout", &O::dropout, -1, 0.999, "Dropout probability; negative: the network's default"),
      weights_field(),
      texts("freeze", &O::freeze, "Prefixes of parameter names that are not trained, e.g. `[\"backbone.\"]`"),
      section_list("layer_list", &O::layer_list,
                   "layers: the network, layer by layer, like PyTorch's nn.Sequential"),
      section("detection", &O::detection,
              "Detection models (maskrcnn_..., fasterrcnn_...): images, anchors, proposals, regions"),
      optional_section("crf_as_rnn", &O::crf_as_rnn,
                       "Semantic models: a dense CRF as the last layer, trained with the network "
                       "(docs/crf.md). null: none; `{}`: one with the defaults below, which are the paper's"),
  });
  return table;
}

template <>
const Fields<layers::CrfAsRnnOptions>& fields() {
  using O = layers::CrfAsRnnOptions;
  static const Fields<O> table = {
      whole("iterations_train", &O::iterations_train, 1, 1000, "Mean-field updates in training"),
      whole("iterations", &O::iterations, 1, 1000, "Mean-field updates otherwise"),
      number("gaussian_xy", &O::gaussian_xy, 0, side,
             "Standard deviation of the spatial kernel, in pixels of what the network sees", true),
      number("bilateral_xy", &O::bilateral_xy, 0, side, "The same for positions in the bilateral kernel",
             true),
      number(
          "bilateral_rgb", &O::bilateral_rgb, 0, 1e6,
          "Standard deviation of colours (or of grey values) in the bilateral kernel, for values of 0 to 255",
          true),
      choice("weights", &O::weights,
             "Learned weights of each kernel: one per pair of classes, or one per class. The compatibility "
             "matrix always has one per pair"),
      number("gaussian_weight", &O::gaussian_weight, -1e6, 1e6,
             "Start value on the diagonal of the spatial kernel's weights"),
      number("bilateral_weight", &O::bilateral_weight, -1e6, 1e6, "The same for the bilateral kernel"),
  };
  return table;
}

template <>
const Fields<nets::DetectionOptions>& fields() {
  using O = nets::DetectionOptions;
  static const Fields<O> table = with_options_of<O>(
      "roi_op", &O::roi_op,
      {
          wholes("min_size", &O::min_size, 1,
                 "Images are resized so that the shorter side has this length: one of them at random in "
                 "training, the last in inference; empty: 800 (fasterrcnn_vgg16: 600)"),
          whole("max_size", &O::max_size, 0, side,
                "Maximum length of the longer side; 0: 1333 (fasterrcnn_vgg16: 1000)"),
          flag("exact_scale", &O::exact_scale,
               "The scale of the resize is computed in double precision, as torchvision 0.29 does. Off: in "
               "single, as torchvision 0.14 does, which makes some images a row or column smaller (640x424: "
               "799 rows instead of 800)"),
          numbers("mean", &O::mean, -1e6, 1e6,
                  "Per channel, for values in [0, 1]; empty: ImageNet's for 3 channels, 0.5 otherwise"),
          numbers("std", &O::std, 0, 1e6, "Standard deviation per channel; empty: as for `mean`"),
          numbers(
              "anchor_sizes", &O::anchor_sizes, 0, side,
              "Square roots of the anchors' areas in pixels: one per map of the pyramid, or all on the only "
              "map; empty: 32, 64, 128, 256, 512 (fasterrcnn_vgg16: 128, 256, 512)"),
          numbers("anchor_ratios", &O::anchor_ratios, 0, 1000, "Heights divided by widths of the anchors"),
          flag("rounded_anchors", &O::rounded_anchors,
               "Corners of anchors are whole pixels (torchvision); off: as computed, and strides of the maps "
               "are powers of two (Detectron2)"),
          whole("rpn_pre_nms_train", &O::rpn_pre_nms_train, 0, big,
                "Proposals per map before suppression, in training; 0: 2000 (fasterrcnn_vgg16: 12000)"),
          whole("rpn_pre_nms_test", &O::rpn_pre_nms_test, 0, big,
                "The same in inference; 0: 1000 (fasterrcnn_vgg16: 6000)"),
          whole("rpn_post_nms_train", &O::rpn_post_nms_train, 0, big,
                "Proposals per image after suppression, in training; 0: 2000"),
          whole("rpn_post_nms_test", &O::rpn_post_nms_test, 0, big,
                "The same in inference; 0: 1000 (fasterrcnn_vgg16: 300)"),
          number("rpn_nms", &O::rpn_nms, 0, 1, "NMS IoU threshold for the proposals of one feature map"),
          number("rpn_score", &O::rpn_score, 0, 1, "Minimum score of a proposal"),
          number("rpn_positive_iou", &O::rpn_positive_iou, 0, 1,
                 "IoU at or above which an anchor is positive"),
          number("rpn_negative_iou", &O::rpn_negative_iou, 0, 1,
                 "An anchor whose IoU with every object is below this is negative (background)"),
          whole("rpn_samples", &O::rpn_samples, 1, big, "Anchors sampled per image for the loss"),
          number("rpn_positive_fraction", &O::rpn_positive_fraction, 0, 1,
                 "Maximum fraction of positives in the sample"),
          choice("roi_op", &O::roi_op,
                 "Region feature extraction: RoIAlign, or RoIPool (fasterrcnn_vgg16 only)"),
          flag("aligned", &O::aligned, "the half-pixel offset of Detectron2's ROIAlignV2"),
          whole("sampling_ratio", &O::sampling_ratio, 0, 64,
                "samples per cell and axis; 0: as many as the cell has pixels (Detectron2)"),
          number("box_positive_iou", &O::box_positive_iou, 0, 1,
                 "IoU at or above which a proposal is positive"),
          number("box_negative_iou", &O::box_negative_iou, 0, 1,
                 "A proposal whose IoU with every object is below this is negative (background)"),
          whole("box_samples", &O::box_samples, 0, big,
                "Proposals sampled per image for the loss; 0: 512 (fasterrcnn_vgg16: 128)"),
          number("box_positive_fraction", &O::box_positive_fraction, 0, 1,
                 "Maximum fraction of positives in the sample"),
          number("box_score", &O::box_score, 0, 1, "Detections with this score or less are dropped"),
          number("box_nms", &O::box_nms, 0, 1, "NMS IoU threshold for the detections of one class"),
          whole("max_detections", &O::max_detections, 1, big,
                "Maximum number of detections per image; the highest scores are kept"),
          number(
              "smooth_l1_beta", &O::smooth_l1_beta, 0, 1000,
              "Smooth-L1 beta of the box offsets: quadratic below, linear above; 0: plain L1 (Detectron2)"),
          choice("sampler", &O::sampler,
                 "How anchors and proposals are sampled for the loss. `first` takes them in order, for "
                 "comparison with other programs"),
          number("backbone_norm_eps", &O::backbone_norm_eps, 0, 1,
                 "Epsilon added to the variance in the ResNet's norm layers. 0 for torchvision's published "
                 "weights of the first versions (not _v2)"),
      });
  return table;
}

}  // namespace atrous::train::schema
