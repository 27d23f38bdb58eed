// The `model` section of a config as plain values; train/config_fields.cpp declares their JSON names, ranges
// and help texts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layers/crf_as_rnn.h"
#include "layers/norm_kind.h"
#include "nets/detection_options.h"

namespace atrous::nets {

enum class UNetPadding {
  same,
  valid,  // the paper's form with cropped skips
};
constexpr auto names_of(UNetPadding) {
  return std::to_array<Named<UNetPadding>>({{UNetPadding::same, "same"}, {UNetPadding::valid, "valid"}});
}

enum class Upsampling { transposed, bilinear };
constexpr auto names_of(Upsampling) {
  return std::to_array<Named<Upsampling>>(
      {{Upsampling::transposed, "transposed"}, {Upsampling::bilinear, "bilinear"}});
}

// Published forms of a network; without one it is the paper's.
enum class NetworkForm {
  vgg16,  // segnet: the paper's, on the features of VGG16
  basic,  // segnet: SegNet-Basic
  smp,    // pspnet, deeplabv3 and deeplabv3plus: of segmentation_models_pytorch
  caffe,  // alexnet: the paper's two groups with response normalisation, in the order of Caffe's model
};
constexpr auto names_of(NetworkForm) {
  return std::to_array<Named<NetworkForm>>({{NetworkForm::vgg16, "vgg16"},
                                            {NetworkForm::basic, "basic"},
                                            {NetworkForm::smp, "smp"},
                                            {NetworkForm::caffe, "caffe"}});
}

// The stem of a ResNet.
enum class StemKind {
  plain,  // 7x7
  deep,   // three 3x3
};
constexpr auto names_of(StemKind) {
  return std::to_array<Named<StemKind>>({{StemKind::plain, "plain"}, {StemKind::deep, "deep"}});
}

// How the convolutions of stride 2 of EfficientNets pad.
enum class ConvPadding {
  tensorflow,  // "same": at even sizes more at the end than at the beginning
  symmetric,   // the same on both sides
};
constexpr auto names_of(ConvPadding) {
  return std::to_array<Named<ConvPadding>>(
      {{ConvPadding::tensorflow, "tensorflow"}, {ConvPadding::symmetric, "symmetric"}});
}

// Squeeze and excitation in a decoder: of channels, or of channels and pixels.
enum class AttentionKind { none, se, scse };
constexpr auto names_of(AttentionKind) {
  return std::to_array<Named<AttentionKind>>(
      {{AttentionKind::none, "none"}, {AttentionKind::se, "se"}, {AttentionKind::scse, "scse"}});
}

// A layer of the network "layers", with the options that it takes.
enum class LayerKind { conv, conv_transpose, max_pool, avg_pool, upsample, norm, relu, dropout };
constexpr auto names_of(LayerKind) {
  return std::to_array<Named<LayerKind>>(
      {{LayerKind::conv, "conv", "out kernel stride pad dilation groups bias"},
       {LayerKind::conv_transpose, "conv_transpose", "out factor bias"},
       {LayerKind::max_pool, "max_pool", "kernel stride pad"},
       {LayerKind::avg_pool, "avg_pool", "kernel stride pad"},
       {LayerKind::upsample, "upsample", "factor"},
       {LayerKind::norm, "norm"},
       {LayerKind::relu, "relu"},
       {LayerKind::dropout, "dropout", "probability"}});
}
struct LayerOptions {
  LayerKind kind = LayerKind::conv;
  int64_t out = 0;  // output channels; 0: one per class
  int64_t kernel = 0,
          stride = 0;  // 0: a convolution of 3x3 and stride 1, a pool of 2x2 and its size as stride
  int64_t pad = 0, dilation = 1, groups = 1;
  int64_t factor = 2;  // by which the map grows
  double probability = 0.5;
  bool bias = true;
};

// Ranges of options, for the schema of configs and for the check of options that come from elsewhere.
struct OptionRange {
  int64_t low, high;
};
inline constexpr OptionRange num_classes_range{1, 65536}, in_channels_range{1, 256}, depth_range{2, 8},
    base_width_range{1, 4096};
inline constexpr double largest_width_multiplier = 16;

// Not every network takes every option: the table in factory.cpp lists them, and setting one that the network
// ignores is an error.
struct ModelOptions {
  std::string name;  // one of model_names()
  int64_t num_classes = 0;
  int64_t in_channels = 3;
  std::string backbone;         // one of backbone_names(); empty: the network's default
  double width_multiplier = 1;  // of all channel counts inside, as torchvision's width_mult
  int64_t base_width = 64;      // unet: channels of the first level
  int64_t depth = 5;            // unet: number of levels
  int64_t layers = 0;           // fc_densenet: 56, 67 or 103; 0: the network's default
  UNetPadding padding = UNetPadding::same;
  Upsampling upsampling = Upsampling::transposed;  // unet
  std::optional<NetworkForm> form;                 // unset: the paper's
  std::optional<StemKind> stem;                    // ResNets; unset: the network's default
  AttentionKind attention = AttentionKind::none;   // unet with a backbone
  layers::NormKind norm = layers::NormKind::batch;
  std::optional<layers::NormKind> backbone_norm;  // unset: as `norm`
  std::optional<ConvPadding> conv_padding;        // EfficientNets; unset: tensorflow
  double norm_eps = 0;                            // of the backbone's norms; 0: the backbone's default
  double drop_path = 0;                           // EfficientNets: of the last block, in training
  int64_t output_stride = 0;                      // 0: the network's default
  std::vector<int64_t> rates;  // atrous rates of the pyramid of branches (ASPP); empty: the network's default
  std::vector<int64_t>
      multi_grid;  // factors of the rates of the blocks of the last stage; empty: the network's default
  std::vector<double>
      input_scales;  // deeplabv2: scales of the input whose scores are fused by their maximum; empty: one
  std::optional<bool> align_corners;  // of the resizes inside and of the logits; unset: the network's default
  bool aux_loss = false;              // auxiliary head
  int64_t input_size = 28;            // lenet5: height and width of its images
  bool transform_input = false;       // googlenet, inception_v3: images normalised by ImageNet's statistics
  bool at_once = false;               // fcn8s/fcn16s on vgg16: fixed scales on the skips, trained in one go
  DetectionOptions detection;         // detection networks only
  std::vector<LayerOptions> layer_list;  // of the network "layers", in order
  // Semantic models: a CRF that is trained with the network.
  std::optional<layers::CrfAsRnnOptions> crf_as_rnn;
  double dropout = -1;              // < 0: the network's default
  std::string weights;              // safetensors to start from (partial loading); empty: random
  std::string backbone_weights;     // the same for the backbone alone, names as in a classification network
  std::vector<std::string> freeze;  // parameter-name prefixes that get no gradients

  double dropout_or(double otherwise) const { return dropout >= 0 ? dropout : otherwise; }
  int64_t output_stride_or(int64_t otherwise) const { return output_stride ? output_stride : otherwise; }
  layers::NormKind norm_of_backbone() const { return backbone_norm.value_or(norm); }
  std::string backbone_or(const char* otherwise) const { return backbone.empty() ? otherwise : backbone; }
};

// Description of the network: "fcn8s, vgg16, width 0.5, with CRF as RNN"; unset options are omitted.
std::string describe(const ModelOptions& options);

}  // namespace atrous::nets
