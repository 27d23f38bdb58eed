#include "nets/file_schemes.h"

#include <fmt/format.h>

#include <array>
#include <map>

namespace atrous::nets {
namespace {

using ByName = std::map<std::string, const StoredTensor*>;

// A network is the first whose names are all in the file, below the same wrapper ("module."). `backbone`: the
// prefix of a ResNet, if it may have one. `classes`: the tensor with a row per class.
struct Scheme {
  const char* network;
  std::array<const char*, 2> names;
  const char* backbone = nullptr;
  const char* classes = "";
};

constexpr Scheme schemes[] = {
    {"torchvision Mask R-CNN",
     {"roi_heads.mask_predictor.conv5_mask.weight", "rpn.head.cls_logits.weight"},
     "backbone.body.",
     "roi_heads.box_predictor.cls_score.weight"},
    {"torchvision Faster R-CNN",
     {"roi_heads.box_predictor.cls_score.weight", "rpn.head.cls_logits.weight"},
     "backbone.body.",
     "roi_heads.box_predictor.cls_score.weight"},
    {"Detectron2 Mask R-CNN",
     {"roi_heads.mask_head.predictor.weight", "proposal_generator.rpn_head.conv.weight"}},
    {"Detectron2 Faster R-CNN",
     {"roi_heads.box_predictor.cls_score.weight", "proposal_generator.rpn_head.conv.weight"}},
    {"torchvision DeepLab v3",
     {"classifier.0.convs.0.0.weight", "classifier.4.weight"},
     "backbone.",
     "classifier.4.weight"},
    {"torchvision LR-ASPP",
     {"classifier.cbr.0.weight", "classifier.low_classifier.weight"},
     nullptr,
     "classifier.low_classifier.weight"},
    {"torchvision FCN", {"backbone.conv1.weight", "classifier.4.weight"}, "backbone.", "classifier.4.weight"},
    {"segmentation_models_pytorch U-Net",
     {"decoder.blocks.0.conv1.0.weight", "segmentation_head.0.weight"},
     "encoder.",
     "segmentation_head.0.weight"},
    {"segmentation_models_pytorch DeepLab v3+",
     {"decoder.aspp.0.convs.0.0.weight", "segmentation_head.0.weight"},
     "encoder.",
     "segmentation_head.0.weight"},
    {"segmentation_models_pytorch DeepLab v3",
     {"decoder.aspp.convs.0.0.weight", "segmentation_head.0.weight"},
     "encoder.",
     "segmentation_head.0.weight"},
    {"segmentation_models_pytorch PSPNet",
     {"decoder.psp.blocks.0.pool.1.0.weight", "segmentation_head.0.weight"},
     "encoder.",
     "segmentation_head.0.weight"},
    {"MMSegmentation network",
     {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"},
     "backbone.",
     "decode_head.conv_seg.weight"},
    {"transformers SegFormer",
     {"segformer.encoder.patch_embeddings.0.proj.weight", "decode_head.classifier.weight"},
     nullptr,
     "decode_head.classifier.weight"},
    {"PSPNet of its authors", {"layer0.0.weight", "ppm.features.0.1.weight"}, nullptr, "cls.4.weight"},
    {"U-Net of milesial", {"inc.double_conv.0.weight", "outc.conv.weight"}, nullptr, "outc.conv.weight"},
    {"timm EfficientNet", {"conv_stem.weight", "blocks.1.0.conv_pw.weight"}, nullptr, "classifier.weight"},
    {"torchvision EfficientNet",
     {"features.1.0.block.0.0.weight", "features.0.0.weight"},
     nullptr,
     "classifier.1.weight"},
    {"timm vision transformer",
     {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"},
     nullptr,
     "head.weight"},
    {"torchvision MobileNetV2",
     {"features.1.conv.0.0.weight", "features.18.0.weight"},
     nullptr,
     "classifier.1.weight"},
    {"torchvision MobileNetV3",
     {"features.1.block.0.0.weight", "classifier.3.weight"},
     nullptr,
     "classifier.3.weight"},
    {"torchvision DenseNet",
     {"features.denseblock1.denselayer1.conv1.weight", "classifier.weight"},
     nullptr,
     "classifier.weight"},
    {"torchvision VGG", {"features.0.weight", "classifier.6.weight"}, nullptr, "classifier.6.weight"},
    {"torchvision or timm classification network", {"layer1.0.conv1.weight", "fc.weight"}, "", "fc.weight"},
    {"torchvision or timm backbone", {"layer1.0.conv1.weight", "layer4.0.conv1.weight"}, ""},
};

constexpr const char* wrappers[] = {"",         "module.",    "model.",       "net.",
                                    "network.", "_orig_mod.", "module.model."};

size_t blocks_of(const ByName& by_name, const std::string& stage) {
  size_t blocks = 0;
  while (by_name.contains(fmt::format("{}.{}.conv1.weight", stage, blocks))) ++blocks;
  return blocks;
}

// "resnet101", by its blocks; "" for another network.
std::string resnet_name(const ByName& by_name, const std::string& prefix) {
  std::array<size_t, 4> blocks{};
  for (size_t i = 0; i < 4; ++i) blocks[i] = blocks_of(by_name, fmt::format("{}layer{}", prefix, i + 1));
  const bool bottleneck = by_name.contains(prefix + "layer1.0.conv3.weight");
  const auto is = [&](size_t a, size_t b, size_t c, size_t d) {
    return blocks == std::array<size_t, 4>{a, b, c, d};
  };
  const int depth = is(2, 2, 2, 2) && !bottleneck   ? 18
                    : is(3, 4, 6, 3)                ? (bottleneck ? 50 : 34)
                    : is(3, 4, 23, 3) && bottleneck ? 101
                    : is(3, 8, 36, 3) && bottleneck ? 152
                                                    : 0;
  if (depth == 0) return "";
  // A grouped convolution has fewer input than output channels; so has no other second convolution.
  const auto second = by_name.find(prefix + "layer1.0.conv2.weight");
  if (second == by_name.end() || second->second->shape.size() != 4 || !bottleneck)
    return fmt::format("resnet{}", depth);
  const auto& shape = second->second->shape;
  if (shape[1] == 0 || shape[0] == shape[1]) return fmt::format("resnet{}", depth);
  return fmt::format("resnext{}_{}x{}d", depth, shape[0] / shape[1], shape[1]);
}

bool fits(const Scheme& scheme, const ByName& by_name, const std::string& wrapper) {
  for (const char* name : scheme.names) {
    if (!by_name.contains(wrapper + name)) return false;
  }
  return true;
}

}  // namespace

std::string describe_scheme(const std::vector<StoredTensor>& tensors) {
  ByName by_name;
  for (const StoredTensor& t : tensors) by_name[t.name] = &t;
  for (const char* wrapper : wrappers) {
    for (const Scheme& scheme : schemes) {
      if (!fits(scheme, by_name, wrapper)) continue;
      std::string text = scheme.network;
      if (scheme.backbone) {
        const std::string name = resnet_name(by_name, wrapper + std::string(scheme.backbone));
        if (!name.empty()) text += ", " + name;
      }
      const auto head = by_name.find(wrapper + std::string(scheme.classes));
      if (*scheme.classes && head != by_name.end() && !head->second->shape.empty())
        text += fmt::format(", {} classes", head->second->shape[0]);
      return text;
    }
  }
  return "";
}

}  // namespace atrous::nets
