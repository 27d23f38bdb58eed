#include "nets/unet.h"

#include <algorithm>

#include "layers/concat.h"
#include "layers/modules.h"
#include "layers/pad.h"
#include "layers/resize.h"

namespace atrous::nets {
namespace {

using namespace layers;

// Two 3x3 convolutions, each with norm and ReLU.
class DoubleConv : public Block {
 public:
  DoubleConv(int64_t in, int64_t mid, int64_t out, const UNetOptions& o) {
    auto convs = std::make_shared<Convs>(in, mid, out, o);
    add_child("double_conv", convs);
    convs_ = convs;
  }
  // `result`, if given, receives the output of the second convolution.
  Variable forward(const Variable& x, const Tensor& result = {}) const {
    const ModuleScope scope(name());
    const ModuleScope inner(convs_->name());
    return convs_->second(convs_->first(x), {.activation = Activation::relu, .residual = {}, .out = result});
  }
  // Extent of the result for an input of this extent.
  int64_t extent(int64_t in) const { return convs_->valid ? in - 4 : in; }
  int64_t channels() const { return convs_->second.conv->args.out; }
  std::string kind() const override { return "DoubleConv"; }

 private:
  struct Convs : Block {
    Convs(int64_t in, int64_t mid, int64_t out, const UNetOptions& o) : valid(o.valid) {
      // Without norm the second convolution is the third child of conv, ReLU, conv, ReLU.
      const bool plain = o.norm == NormKind::none;
      const int64_t pad = o.valid ? 0 : 1;
      first = conv_norm("0", "1", {.in = in, .out = mid, .pad = pad, .init = Init::kaiming_normal_fan_in},
                        o.norm);
      second = conv_norm(plain ? "2" : "3", "4",
                         {.in = mid, .out = out, .pad = pad, .init = Init::kaiming_normal_fan_in}, o.norm);
    }
    std::string kind() const override { return "Sequential"; }
    const bool valid;
    ConvNorm first, second;
  };
  std::shared_ptr<Convs> convs_;
};

// Max pooling, then two convolutions; the convolutions are child 1 of "maxpool_conv".
class Down : public Block {
 public:
  Down(int64_t in, int64_t out, const UNetOptions& o) {
    auto inner = std::make_shared<Inner>(in, out, o);
    add_child("maxpool_conv", inner);
    inner_ = inner;
  }
  Variable forward(const Variable& x, const Tensor& result = {}) const {
    const ModuleScope scope(name());
    const ModuleScope inner(inner_->name());
    // An extent of one cannot be halved any more and is kept, so that every image size works.
    const int64_t h = std::min<int64_t>(2, x.dim(1)), w = std::min<int64_t>(2, x.dim(2));
    const Pool2dOptions pool{.kernel_h = h, .kernel_w = w, .stride_h = h, .stride_w = w};
    return inner_->convs->forward(max_pool2d(x, pool), result);
  }
  int64_t extent(int64_t in) const { return inner_->convs->extent(in == 1 ? 1 : in / 2); }
  int64_t channels() const { return inner_->convs->channels(); }
  std::string kind() const override { return "Down"; }

 private:
  struct Inner : Block {
    Inner(int64_t in, int64_t out, const UNetOptions& o)
        : convs(register_module<DoubleConv>("1", in, out, out, o)) {}
    std::string kind() const override { return "Sequential"; }
    std::shared_ptr<DoubleConv> convs;
  };
  std::shared_ptr<Inner> inner_;
};

// A skip connection: the level's own result, and the buffer whose first slice receives it.
struct Skip {
  Variable value;
  std::unique_ptr<ConcatBuffer> buffer;
};

// Doubles the map, joins it with the skip, two convolutions.
class Up : public Block {
 public:
  // `crop`: rows and columns of the skip above and left of the part that the doubled map covers (valid form).
  Up(int64_t skip_channels, int64_t below_channels, int64_t out, int64_t crop, const UNetOptions& o)
      : valid_(o.valid), crop_(crop) {
    // The doubled map has as many channels as the skip; with bilinear doubling the level below has been
    // halved already.
    if (!o.bilinear) up_ = register_module<ConvTranspose2d>("up", below_channels, skip_channels, 2, 2);
    const int64_t in = 2 * skip_channels;
    convs_ = register_module<DoubleConv>("conv", in, o.bilinear ? in / 2 : out, out, o);
  }
  Variable forward(const Variable& below, const Skip& skip) const {
    const ModuleScope scope(name());
    const ConcatBuffer& buffer = *skip.buffer;
    const Variable doubled = double_into(below, buffer.slice(1));
    Variable left = skip.value;
    if (valid_) left = crop(left, crop_, crop_, doubled.dim(1), doubled.dim(2), buffer.slice(0));
    return convs_->forward(concat_in_place(buffer, {left, doubled}));
  }
  std::string kind() const override { return "Up"; }

 private:
  // Writes the doubled map into `slice`, which is a pixel larger where pooling has rounded down (and a pixel
  // smaller where it kept an extent of one).
  Variable double_into(const Variable& x, const Tensor& slice) const {
    const int64_t height = 2 * x.dim(1), width = 2 * x.dim(2);
    const bool fits = slice.dim(1) == height && slice.dim(2) == width;
    const Tensor out = fits ? slice : Tensor();
    Variable y;
    if (up_) {
      y = up_->forward(x, out);
    } else {
      y = resize(x, {.height = height, .width = width, .mode = ResizeMode::bilinear, .align_corners = true},
                 out);
    }
    if (fits) return y;
    const int64_t rows = slice.dim(1) - height,
                  columns = slice.dim(2) - width;  // -1, 0 or 1: at the bottom and right
    return pad(y, {.bottom = rows, .right = columns}, slice);
  }

  const bool valid_;
  const int64_t crop_;
  std::shared_ptr<ConvTranspose2d> up_;  // null: bilinear
  std::shared_ptr<DoubleConv> convs_;
};

class OutConv : public Block {
 public:
  OutConv(int64_t in, int64_t classes)
      : conv(register_module<Conv2d>("conv", Conv2dArgs{.in = in, .out = classes, .kernel = 1})) {}
  std::string kind() const override { return "OutConv"; }
  std::shared_ptr<Conv2d> conv;
};

class UNet : public SegmentationModel {
 public:
  explicit UNet(const UNetOptions& o) : options_(o) {
    const auto width = [&](int64_t level) { return o.base_width << level; };
    const int64_t halved = o.bilinear ? 2 : 1;
    const int64_t bottom = o.depth - 1;
    inc_ = register_module<DoubleConv>("inc", o.in_channels, width(0), width(0), o);
    for (int64_t l = 1; l <= bottom; ++l)
      downs_.push_back(register_module<Down>(fmt::format("down{}", l), width(l - 1),
                                             l == bottom ? width(l) / halved : width(l), o));
    // Two unpadded convolutions take 2 pixels off each side and doubling makes two of a pixel, so pixel 0 of
    // the doubled map lies over pixel 4 of the lowest skip, and over pixel 2 * (crop + 4) of the next. Where
    // pooling drops an odd last row this is not half of the difference in size: poolings begin at the top
    // left.
    int64_t crop = 4;
    for (int64_t l = bottom - 1; l >= 0; --l, crop = 2 * (crop + 4))
      ups_.push_back(register_module<Up>(fmt::format("up{}", bottom - l), width(l), width(l + 1),
                                         l == 0 ? width(0) : width(l) / halved, crop, o));
    outc_ = register_module<OutConv>("outc", width(0), o.num_classes);
    dropout_ = register_module<Dropout>("dropout", o.dropout);
  }

  SegmentationOutput forward(const Variable& image) override {
    const ModuleScope scope(name());
    const Shape& in = image.shape();
    const std::vector<std::pair<int64_t, int64_t>> joined = joined_extents(in[1], in[2]);
    const int64_t bottom = options_.depth - 1;
    // Padded form: each level writes its result straight into the buffer of its concatenation on the way up.
    std::vector<Skip> skips;
    Variable x = image;
    for (int64_t l = 0; l < bottom; ++l) {
      const auto [height, width] = joined[static_cast<size_t>(l)];
      const int64_t channels = l == 0 ? inc_->channels() : downs_[static_cast<size_t>(l - 1)]->channels();
      const int64_t parts[] = {channels, channels};
      auto buffer = std::make_unique<ConcatBuffer>(Shape{in[0], height, width}, parts, image.dtype(),
                                                   image.value().device());
      const Tensor target = options_.valid ? Tensor() : buffer->slice(0);
      x = l == 0 ? inc_->forward(x, target) : downs_[static_cast<size_t>(l - 1)]->forward(x, target);
      skips.push_back({x, std::move(buffer)});
    }
    x = bottom == 0 ? inc_->forward(x) : downs_.back()->forward(x);
    x = dropout_->forward(x);
    for (const auto& up : ups_) {
      x = up->forward(x, skips.back());
      skips.pop_back();
    }
    const ModuleScope out_scope("outc");
    SegmentationOutput result;
    result.logits = outc_->conv->forward(x);
    result.region = {context(), context(), result.logits.dim(1), result.logits.dim(2)};
    return result;
  }

  int64_t num_classes() const override { return options_.num_classes; }
  int64_t in_channels() const override { return options_.in_channels; }
  int64_t output_stride() const override { return int64_t{1} << (options_.depth - 1); }
  int64_t context() const override {
    // Two unpadded convolutions cost 2 pixels a side, of size 2^l, on every level down and on all but the
    // last up.
    if (!options_.valid) return 0;
    return 2 * ((int64_t{2} << (options_.depth - 1)) - 1) + 2 * ((int64_t{1} << (options_.depth - 1)) - 1);
  }
  std::string kind() const override { return "UNet"; }

 private:
  // Height and width of the concatenation on each level but the lowest: those of the skip (padded form) or of
  // the doubled map (valid form).
  std::vector<std::pair<int64_t, int64_t>> joined_extents(int64_t height, int64_t width) const {
    const std::vector<int64_t> h = joined_extents(height, "height"), w = joined_extents(width, "width");
    std::vector<std::pair<int64_t, int64_t>> both;
    for (size_t l = 0; l < h.size(); ++l) both.emplace_back(h[l], w[l]);
    return both;
  }
  std::vector<int64_t> joined_extents(int64_t extent, const char* axis) const {
    std::vector<int64_t> skips{inc_->extent(extent)};
    for (const auto& down : downs_) skips.push_back(down->extent(skips.back()));
    const auto bottom = static_cast<int64_t>(downs_.size());
    ATROUS_CHECK(skips.back() > 0, ErrorKind::data,
                 "[unet] the image is too small for {} levels of valid convolutions. Got {} {}; at least {} "
                 "is needed. Use larger images or a smaller model.depth.",
                 options_.depth, axis, extent, smallest_extent());
    std::vector<int64_t> joined(static_cast<size_t>(bottom));
    int64_t up = skips.back();
    for (int64_t l = bottom - 1; l >= 0; --l) {
      joined[static_cast<size_t>(l)] = options_.valid ? 2 * up : skips[static_cast<size_t>(l)];
      up = inc_->extent(joined[static_cast<size_t>(l)]);
      ATROUS_CHECK(up > 0, ErrorKind::data,
                   "[unet] the image is too small for {} levels of valid convolutions. Got {} {}; at least "
                   "{} is needed. Use larger images or a smaller model.depth.",
                   options_.depth, axis, extent, smallest_extent());
    }
    return joined;
  }
  // Smallest input of the valid form with at least one output pixel.
  int64_t smallest_extent() const {
    int64_t x = 1;  // the way up, in reverse: before two convolutions, then half of it, rounded up
    for (int64_t l = 0; l + 1 < options_.depth; ++l) x = (x + 4 + 1) / 2;
    x += 4;
    for (int64_t l = 0; l + 1 < options_.depth; ++l) x = 2 * x + 4;
    return x;
  }

  const UNetOptions options_;
  std::shared_ptr<DoubleConv> inc_;
  std::vector<std::shared_ptr<Down>> downs_;
  std::vector<std::shared_ptr<Up>> ups_;
  std::shared_ptr<OutConv> outc_;
  std::shared_ptr<Dropout> dropout_;
};

}  // namespace

ModelPtr make_unet(const UNetOptions& options) {
  return std::make_shared<UNet>(options);
}

ModelPtr build_unet(const ModelOptions& o) {
  const bool valid = o.padding == UNetPadding::valid;
  const bool bilinear = o.upsampling == Upsampling::bilinear;
  // The paper drops out "at the end of the contracting path" without stating the rate; one half is the usual
  // reading.
  return make_unet({o.in_channels, o.num_classes, o.base_width, o.depth, valid, bilinear, o.norm,
                    o.dropout_or(valid ? 0.5 : 0.0)});
}

}  // namespace atrous::nets
