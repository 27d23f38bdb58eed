#include "nets/file_schemes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "nets/backbone.h"
#include "nets/efficientnet_names.h"
#include "nets/factory.h"

namespace atrous::nets {
namespace {

// The tensors of a file below one wrapper ("module."), by name.
class Names {
 public:
  Names(const std::vector<StoredTensor>& tensors, const std::string& wrapper) {
    for (const StoredTensor& t : tensors) {
      if (t.name.starts_with(wrapper)) by_name_[t.name.substr(wrapper.size())] = &t;
    }
  }
  bool has(const std::string& name) const { return by_name_.contains(name); }
  // An extent of a tensor; 0 if it has none, or is not there.
  int64_t extent(const std::string& name, size_t axis) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() || at->second->shape.size() <= axis
               ? 0
               : static_cast<int64_t>(at->second->shape[axis]);
  }
  RowCounts rows() const {
    RowCounts rows;
    for (const auto& [name, t] : by_name_) rows[name] = t->shape.empty() ? -1 : extent(name, 0);
    return rows;
  }
  // Whether the tensor has the shape of `own`, which is [K,R,S,C] for filters, where files have [K,C,R,S].
  bool fits(const std::string& name, const Shape& own, bool any_channels) const {
    const auto at = by_name_.find(name);
    if (at == by_name_.end()) return false;
    std::vector<int64_t> shape(own.begin(), own.end());
    if (own.rank() == 4) shape = {own[0], own[3], own[1], own[2]};
    const std::vector<uint64_t>& stored = at->second->shape;
    if (stored.size() != shape.size()) return false;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (static_cast<int64_t>(stored[i]) != shape[i] && !(any_channels && i == 1)) return false;
    }
    return true;
  }

 private:
  std::map<std::string, const StoredTensor*> by_name_;
};

struct Found {
  std::string name;
  std::string first;  // its first filter in the file
  double width = 1;   // model.width_multiplier
  size_t parameters = 0;
};

// The backbone if its parameters are all in the file below the prefix, at the width that its first filter
// has.
std::optional<Found> fitting(const Names& names, const std::string& prefix, BackboneOptions options) {
  Found found{options.name, "", 1, 0};
  auto parameters = make_backbone(options)->parameters();
  found.first = prefix + parameters[0].name;
  const int64_t channels = names.extent(found.first, 0), usual = parameters[0].variable.shape()[0];
  if (channels == 0) return std::nullopt;
  if (channels > static_cast<int64_t>(largest_width_multiplier) * usual) return std::nullopt;
  if (channels != usual) {
    found.width = static_cast<double>(channels) / static_cast<double>(usual);
    options.width_multiplier = found.width;
    parameters = make_backbone(options)->parameters();
  }
  for (const layers::NamedParameter& p : parameters) {
    const bool first = found.parameters++ == 0;  // its input channels are free
    if (!names.fits(prefix + p.name, p.variable.shape(), first)) return std::nullopt;
  }
  return found;
}

// The one with the most parameters.
Found backbone_below(const Names& names, const std::string& prefix) {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  Found best;
  for (const std::string& name : backbone_names()) {
    for (const bool last_conv : {true, false}) {
      BackboneOptions options;
      options.name = name;
      options.last_conv = last_conv;
      const std::optional<Found> found = fitting(names, prefix, options);
      if (found && found->parameters > best.parameters) best = *found;
    }
  }
  return best;
}

// The form of an EfficientNet: its program's, or what is usual under timm's names.
void complete_efficientnet(const EfficientNetNames& found, bool of_smp, FileNetwork& network) {
  if (!network.model) return;
  if (found.padding == ConvPadding::tensorflow && of_smp && network.backbone == "efficientnet_b0") {
    network.model.reset();  // its decoder reads a map that no network here has (start_weights.cpp)
    return;
  }
  if (found.padding == ConvPadding::tensorflow)
    network.assumptions.emplace_back(
        "padding for the size of each image; efficientnet-pytorch pads for one size, and its borders differ");
  const bool symmetric = found.padding ? *found.padding == ConvPadding::symmetric : of_smp;
  network.model->conv_padding = symmetric ? ConvPadding::symmetric : ConvPadding::tensorflow;
  network.model->norm_eps = found.eps.value_or(symmetric ? 1e-5 : 1e-3);
  if (!found.padding)
    network.assumptions.push_back(
        fmt::format("model.conv_padding \"{}\" and model.norm_eps {}, as in {}", *network.model->conv_padding,
                    network.model->norm_eps,
                    of_smp ? "segmentation_models_pytorch's timm encoders" : "timm's networks named tf_"));
}

using Complete = void (*)(const Names&, FileNetwork&);

void name_only(const char* name, FileNetwork& network) {
  network.model.emplace().name = name;
}

void torchvision_rcnn(const char* name, const Names& names, FileNetwork& network) {
  if (network.backbone.empty()) return;
  const bool second = names.has("backbone.fpn.inner_blocks.0.1.weight");
  ModelOptions& model = network.model.emplace();
  model.name = name + std::string(second ? "_v2" : "");
  model.backbone = network.backbone;
  if (names.has("backbone.body.bn1.num_batches_tracked") ||
      names.has("backbone.body.0.1.num_batches_tracked"))
    return;
  model.norm = layers::NormKind::frozen;
  model.detection.backbone_norm_eps = 0;
  network.assumptions.emplace_back(
      "model.detection.backbone_norm_eps 0, as in torchvision's published weights");
}
void mask_rcnn(const Names& names, FileNetwork& network) {
  torchvision_rcnn("maskrcnn_resnet50_fpn", names, network);
}
void faster_rcnn(const Names& names, FileNetwork& network) {
  torchvision_rcnn("fasterrcnn_resnet50_fpn", names, network);
}

// Networks that torchvision names after their backbone.
void torchvision_named(const std::string& family, const Names& names, FileNetwork& network) {
  const std::string name = family + "_" + network.backbone;
  const std::vector<std::string> known = model_names();
  if (std::ranges::find(known, name) == known.end()) return;
  ModelOptions& model = network.model.emplace();
  model.name = name;
  model.aux_loss = names.has("aux_classifier.4.weight");
}
void torchvision_deeplabv3(const Names& names, FileNetwork& network) {
  torchvision_named("deeplabv3", names, network);
}
void torchvision_fcn(const Names& names, FileNetwork& network) {
  torchvision_named("fcn", names, network);
}
void torchvision_lraspp(const Names& names, FileNetwork& network) {
  torchvision_named("lraspp", names, network);
}

// The output stride of dilated networks leaves no trace in the weights.
void smp(const char* name, bool has_stride, FileNetwork& network) {
  if (network.backbone.empty()) return;
  ModelOptions& model = network.model.emplace();
  model.name = name;
  model.backbone = network.backbone;
  if (name != std::string("unet")) model.form = NetworkForm::smp;
  if (has_stride) network.assumptions.emplace_back("the output stride is the network's default");
}
void smp_unet(const Names& names, FileNetwork& network) {
  smp("unet", false, network);
  if (network.model && names.has("decoder.blocks.0.attention1.attention.cSE.1.weight"))
    network.model->attention = AttentionKind::scse;
}
void smp_deeplabv3plus(const Names&, FileNetwork& network) {
  smp("deeplabv3plus", true, network);
}
void smp_deeplabv3(const Names&, FileNetwork& network) {
  smp("deeplabv3", true, network);
}
void smp_pspnet(const Names&, FileNetwork& network) {
  smp("pspnet", true, network);
}

void semseg_pspnet(const Names& names, FileNetwork& network) {
  // Three blocks in all tell the depths of the bottleneck forms apart.
  const char* name = names.has("layer3.22.conv1.weight") ? "resnet101" : "resnet50";
  if (names.has("layer2.4.conv1.weight") || !names.has("layer1.0.conv3.weight")) return;
  name_only("pspnet", network);
  network.model->backbone = name;
  network.backbone = name;
  network.model->aux_loss = names.has("aux.4.weight");
}

void milesial_unet(const Names& names, FileNetwork& network) {
  name_only("unet", network);
  network.model->base_width = names.extent("inc.double_conv.0.weight", 0);
  if (!names.has("up1.up.weight")) network.model->upsampling = Upsampling::bilinear;
}

// A classification network of the name of its backbone.
void classifier(const Names&, FileNetwork& network) {
  const std::vector<std::string> known = model_names();
  if (std::ranges::find(known, network.backbone) != known.end()) name_only(network.backbone.c_str(), network);
}

void alexnet(const Names&, FileNetwork& network) {
  name_only("alexnet", network);
}
void caffe_alexnet(const Names&, FileNetwork& network) {
  name_only("alexnet", network);
  network.model->form = NetworkForm::caffe;
}
// Both of torchvision's published files were trained on images that they bring to [-1, 1].
void with_own_normalisation(const char* name, const char* aux, const Names& names, FileNetwork& network) {
  name_only(name, network);
  network.model->aux_loss = names.has(aux);
  network.model->transform_input = true;
  network.assumptions.emplace_back("model.transform_input true, as in torchvision's published weights");
}
void googlenet(const Names& names, FileNetwork& network) {
  with_own_normalisation("googlenet", "aux1.conv.conv.weight", names, network);
}
void inception_v3(const Names& names, FileNetwork& network) {
  with_own_normalisation("inception_v3", "AuxLogits.fc.weight", names, network);
}

// A network is the first whose names are all in the file. `backbone`: the prefix of its backbone, if it is
// one of ours. `classes`: the tensor with a row per class.
struct Scheme {
  const char* program;
  std::array<const char*, 2> names;
  const char* backbone = nullptr;
  const char* classes = "";
  Complete complete = nullptr;
};

constexpr const char* of_boxes = "roi_heads.box_predictor.cls_score.weight";
constexpr const char* of_smp = "segmentation_head.0.weight";

constexpr Scheme schemes[] = {
    {"torchvision Mask R-CNN",
     {"roi_heads.mask_predictor.conv5_mask.weight", "rpn.head.cls_logits.weight"},
     "backbone.body.",
     of_boxes,
     mask_rcnn},
    {"torchvision Faster R-CNN",
     {of_boxes, "rpn.head.cls_logits.weight"},
     "backbone.body.",
     of_boxes,
     faster_rcnn},
    {"Detectron2 Mask R-CNN",
     {"roi_heads.mask_head.predictor.weight", "proposal_generator.rpn_head.conv.weight"}},
    {"Detectron2 Faster R-CNN", {of_boxes, "proposal_generator.rpn_head.conv.weight"}},
    {"torchvision DeepLab v3",
     {"classifier.0.convs.0.0.weight", "classifier.4.weight"},
     "backbone.",
     "classifier.4.weight",
     torchvision_deeplabv3},
    {"torchvision LR-ASPP",
     {"classifier.cbr.0.weight", "classifier.low_classifier.weight"},
     "backbone.",
     "classifier.low_classifier.weight",
     torchvision_lraspp},
    {"torchvision FCN",
     {"backbone.conv1.weight", "classifier.4.weight"},
     "backbone.",
     "classifier.4.weight",
     torchvision_fcn},
    {"segmentation_models_pytorch U-Net",
     {"decoder.blocks.0.conv1.0.weight", of_smp},
     "encoder.",
     of_smp,
     smp_unet},
    {"segmentation_models_pytorch DeepLab v3+",
     {"decoder.aspp.0.convs.0.0.weight", of_smp},
     "encoder.",
     of_smp,
     smp_deeplabv3plus},
    {"segmentation_models_pytorch DeepLab v3",
     {"decoder.aspp.convs.0.0.weight", of_smp},
     "encoder.",
     of_smp,
     smp_deeplabv3},
    {"segmentation_models_pytorch PSPNet",
     {"decoder.psp.blocks.0.pool.1.0.weight", of_smp},
     "encoder.",
     of_smp,
     smp_pspnet},
    {"MMSegmentation network",
     {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"},
     "backbone.",
     "decode_head.conv_seg.weight"},
    {"transformers SegFormer",
     {"segformer.encoder.patch_embeddings.0.proj.weight", "decode_head.classifier.weight"},
     nullptr,
     "decode_head.classifier.weight"},
    {"PSPNet of its authors",
     {"layer0.0.weight", "ppm.features.0.1.weight"},
     nullptr,
     "cls.4.weight",
     semseg_pspnet},
    {"U-Net of milesial",
     {"inc.double_conv.0.weight", "outc.conv.weight"},
     nullptr,
     "outc.conv.weight",
     milesial_unet},
    {"timm EfficientNet",
     {"conv_stem.weight", "blocks.1.0.conv_pw.weight"},
     "",
     "classifier.weight",
     classifier},
    {"torchvision EfficientNet",
     {"features.1.0.block.0.0.weight", "features.8.0.weight"},
     "",
     "classifier.1.weight",
     classifier},
    {"efficientnet-pytorch",
     {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight"},
     "",
     "_fc.weight",
     classifier},
    {"timm vision transformer",
     {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"},
     nullptr,
     "head.weight"},
    {"torchvision MobileNetV2",
     {"features.1.conv.0.0.weight", "features.18.0.weight"},
     "features.",
     "classifier.1.weight",
     classifier},
    {"torchvision MobileNetV3",
     {"features.1.block.0.0.weight", "classifier.3.weight"},
     "features.",
     "classifier.3.weight",
     classifier},
    {"torchvision DenseNet",
     {"features.denseblock1.denselayer1.conv1.weight", "classifier.weight"},
     nullptr,
     "classifier.weight"},
    {"torchvision AlexNet",
     {"features.3.weight", "classifier.1.weight"},
     nullptr,
     "classifier.6.weight",
     alexnet},
    {"AlexNet of Caffe", {"conv1.weight", "fc6.weight"}, nullptr, "fc8.weight", caffe_alexnet},
    {"torchvision GoogLeNet",
     {"inception3a.branch1.conv.weight", "fc.weight"},
     nullptr,
     "fc.weight",
     googlenet},
    {"torchvision Inception v3",
     {"Mixed_5b.branch1x1.conv.weight", "fc.weight"},
     nullptr,
     "fc.weight",
     inception_v3},
    {"torchvision VGG",
     {"features.0.weight", "classifier.6.weight"},
     "features.",
     "classifier.6.weight",
     classifier},
    {"torchvision or timm classification network",
     {"layer1.0.conv1.weight", "fc.weight"},
     "",
     "fc.weight",
     classifier},
    {"torchvision or timm backbone", {"layer1.0.conv1.weight", "layer4.0.conv1.weight"}, ""},
};

constexpr const char* wrappers[] = {"",         "module.",    "model.",       "net.",
                                    "network.", "_orig_mod.", "module.model."};

bool fits(const Scheme& scheme, const Names& names) {
  return std::ranges::all_of(scheme.names, [&](const char* name) { return names.has(name); });
}

FileNetwork network_of(const Scheme& scheme, const Names& names) {
  FileNetwork network{scheme.program, ""};
  network.classes = names.extent(scheme.classes, 0);
  std::string first;
  std::optional<EfficientNetNames> efficient;
  if (scheme.backbone) efficient = efficientnet_names(names.rows(), scheme.backbone);
  if (efficient) {
    if (efficient->form) network.backbone = efficient->form->name;
    first = efficient->in_file("conv_stem.weight");
  } else if (scheme.backbone) {
    // segmentation_models_pytorch keeps VGG and MobileNet as torchvision's classification networks have them.
    for (const char* inner : {"", "features."}) {
      const Found found = backbone_below(names, scheme.backbone + std::string(inner));
      if (found.parameters == 0) continue;
      network.backbone = found.name;
      network.width = found.width;
      first = found.first;
      break;
    }
  }
  if (!scheme.complete) return network;
  scheme.complete(names, network);
  if (efficient) complete_efficientnet(*efficient, scheme.backbone == std::string("encoder."), network);
  if (!network.model) return network;
  network.model->num_classes = network.classes;
  network.model->width_multiplier = network.width;
  for (const std::string& filter :
       {first, std::string("inc.double_conv.0.weight"), std::string("layer0.0.weight"),
        std::string("features.0.weight"), std::string("conv1.weight"), std::string("conv1.conv.weight"),
        std::string("Conv2d_1a_3x3.conv.weight")}) {
    const int64_t channels = names.extent(filter, 1);
    if (channels == 0) continue;
    network.model->in_channels = channels;
    break;
  }
  return network;
}

}  // namespace

std::string FileNetwork::str() const {
  std::string text = program;
  if (!backbone.empty()) text += ", " + backbone;
  if (width != 1) text += fmt::format(", width {:g}", width);
  if (classes > 0) text += fmt::format(", {} classes", classes);
  return text;
}

std::optional<FileNetwork> recognise(const std::vector<StoredTensor>& tensors) {
  for (const char* wrapper : wrappers) {
    const Names names(tensors, wrapper);
    for (const Scheme& scheme : schemes) {
      if (fits(scheme, names)) return network_of(scheme, names);
    }
  }
  return std::nullopt;
}

std::string describe_scheme(const std::vector<StoredTensor>& tensors) {
  const std::optional<FileNetwork> network = recognise(tensors);
  return network ? network->str() : "";
}

}  // namespace atrous::nets
