// FCN-32s, 16s and 8s in the original form, on VGG16: conv1_1 padded by 100, pools that round up, fc6 and fc7
// as 7x7 and 1x1 convolutions with dropout, fixed bilinear doublings without parameters, crops at 19 (32s), 5
// and 27 (16s), 5, 9 and 31 (8s). Names: features.N (torchvision's VGG16), fc6, fc7, score_fr, score_pool4,
// score_pool3.
#include <array>
#include <vector>

#include "layers/modules.h"
#include "layers/pad.h"
#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/fcn.h"
#include "nets/vgg.h"

namespace atrous::nets {
namespace {

using namespace layers;

// A window of the original's "deconvolution": transposed convolution of kernel 2f and stride f with bilinear
// weights w(i) = 1 - |i - (f - 1/2)| / f, per class. Output o takes x[i] with weight max(0, 1 - |(o + 1/2)/f
// - (i + 1)|). That is the hat function of bilinear interpolation (align_corners = false, scale f) on x with
// one zero around it, from offset f/2 on. So it is computed that way: two taps per axis instead of a filter
// that is zero between different classes.
Variable bilinear_deconvolution(const Variable& x, int64_t factor, int64_t top, int64_t left, int64_t height,
                                int64_t width) {
  const int64_t h = x.dim(1) + 2, w = x.dim(2) + 2;
  const Variable padded = pad(x, {.top = 1, .bottom = 1, .left = 1, .right = 1});
  const Variable large = resize(
      padded,
      {.height = h * factor, .width = w * factor, .mode = ResizeMode::bilinear, .align_corners = false});
  return crop(large, top + factor / 2, left + factor / 2, height, width);
}

class FcnVgg : public SegmentationModel {
 public:
  FcnVgg(const ModelOptions& o, int64_t stride)
      : classes_(o.num_classes), in_channels_(o.in_channels), stride_(stride), at_once_(o.at_once) {
    const auto score = [&](const char* score_name, int64_t in) {
      return register_module<Conv2d>(
          score_name, Conv2dArgs{.in = in, .out = o.num_classes, .kernel = 1, .init = Init::zeros});
    };
    const auto connected = [&](const char* fc_name, int64_t in, int64_t out, int64_t kernel) {
      return register_module<Conv2d>(
          fc_name, Conv2dArgs{.in = in, .out = out, .kernel = kernel, .init = Init::kaiming_normal_fan_in});
    };
    features_ = register_module<VggFeatures>("features", VggOptions{.in_channels = o.in_channels,
                                                                    .width_multiplier = o.width_multiplier,
                                                                    .first_pad = 100,
                                                                    .ceil_pools = true});
    const int64_t wide = scaled_width(4096, o.width_multiplier);
    fc6_ = connected("fc6", features_->channels(5), wide, 7);
    fc7_ = connected("fc7", wide, wide, 1);
    score_fr_ = score("score_fr", wide);
    // Pool i has the channels of the stage before it.
    if (stride <= 16) score_pool4_ = score("score_pool4", features_->channels(3));
    if (stride <= 8) score_pool3_ = score("score_pool3", features_->channels(2));
    drop6_ = register_module<Dropout>("drop6", o.dropout_or(0.5));
    drop7_ = register_module<Dropout>("drop7", o.dropout_or(0.5));
  }

  SegmentationOutput forward(const Variable& image) override {
    const int64_t height = image.dim(1), width = image.dim(2);
    const std::array<Variable, 5> pools = features_->pools(image);
    Variable x = drop6_->forward(fc6_->forward(pools[4], Activation::relu));
    x = drop7_->forward(fc7_->forward(x, Activation::relu));
    x = score_fr_->forward(x);
    if (stride_ == 32) return whole_image(image, bilinear_deconvolution(x, 32, 19, 19, height, width));
    x = doubled_plus(x, *score_pool4_, pools[3], 0.01, 5);
    if (stride_ == 16) return whole_image(image, bilinear_deconvolution(x, 16, 27, 27, height, width));
    x = doubled_plus(x, *score_pool3_, pools[2], 0.0001, 9);
    return whole_image(image, bilinear_deconvolution(x, 8, 31, 31, height, width));
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return 32; }
  std::string backbone_prefix() const override { return "features."; }
  std::string kind() const override { return fmt::format("FCN-{}s", stride_); }

 private:
  // x doubled, plus the scores of a pool, cropped at `offset` so that they are aligned.
  Variable doubled_plus(const Variable& x, const Conv2d& score, const Variable& pool, double at_once_scale,
                        int64_t offset) const {
    const int64_t height = 2 * (x.dim(1) + 1), width = 2 * (x.dim(2) + 1);
    const Variable up = bilinear_deconvolution(x, 2, 0, 0, height, width);
    const Variable scored = score.forward(at_once_ ? scale(pool, at_once_scale) : pool);
    return add(up, crop(scored, offset, offset, height, width));
  }

  const int64_t classes_, in_channels_, stride_;
  const bool at_once_;  // pool4 times 0.01 and pool3 times 0.0001 before their scores: trains all skips
                        // at once instead of in stages
  std::shared_ptr<VggFeatures> features_;
  std::shared_ptr<Conv2d> fc6_, fc7_, score_fr_, score_pool4_, score_pool3_;
  std::shared_ptr<Dropout> drop6_, drop7_;
};

}  // namespace

ModelPtr make_fcn_vgg(const ModelOptions& options, int64_t stride) {
  return std::make_shared<FcnVgg>(options, stride);
}

ModelPtr build_fcn(const ModelOptions& o, int64_t stride) {
  const std::string backbone = o.backbone_or("vgg16");
  const bool vgg = backbone == "vgg16";
  ATROUS_CHECK(vgg || backbone.starts_with("resnet"), ErrorKind::config,
               "[model.backbone] of {} must be vgg16, resnet18, resnet34, resnet50, resnet101 or resnet152. "
               "Got \"{}\".",
               o.name, o.backbone);
  ATROUS_CHECK(!o.at_once || (vgg && stride < 32), ErrorKind::config,
               "[model.at_once] scales the skips of fcn16s and fcn8s on vgg16. Got {} on {}.", o.name,
               backbone);
  if (vgg) {
    refuse_norms(o, o.name + " on vgg16");
    return make_fcn_vgg(o, stride);
  }
  ATROUS_CHECK(o.dropout <= 0, ErrorKind::config,
               "[model.dropout] {} on a ResNet has no dropout. Got {}. Leave it out.", o.name, o.dropout);
  return make_fcn_resnet(o, stride);
}

}  // namespace atrous::nets
