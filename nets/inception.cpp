// Inception v3 (Szegedy et al.: "Rethinking the Inception architecture for computer vision",
// arXiv:1512.00567) in torchvision's form and names. model.aux_loss adds the auxiliary head, which runs in
// training only and then needs images of at least 299x299.
#include <array>
#include <vector>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/avg_pool2d.h"
#include "layers/concat.h"
#include "layers/max_pool2d.h"
#include "nets/backbone.h"
#include "nets/image_classifier.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr int64_t smallest = 75, smallest_with_head = 299;

struct Build {
  NormKind norm;
  double multiplier;
  int64_t width(int64_t channels) const { return scaled_width(channels, multiplier); }
};

// One convolution: kernel of rows x columns, padded to keep the size unless strided.
struct Step {
  const char* name;
  int64_t out, rows = 1, columns = 1;
  int64_t stride = 1;
};
using Chain = std::vector<Step>;

// What a module does besides its chains of convolutions.
enum class Pooling {
  mean,  // 3x3 means and the 1x1 convolution "branch_pool"
  max,   // 3x3 maxima of stride 2
};

// Chains of convolutions on one input, concatenated. The last chain may end in two convolutions side by side.
class Mixed : public Block {
 public:
  Mixed(int64_t in, const std::vector<Chain>& chains, Pooling pooling, int64_t pool_width, const Build& b)
      : pooling_(pooling) {
    for (const Chain& chain : chains) {
      std::vector<std::shared_ptr<BasicConv>>& convs = chains_.emplace_back();
      int64_t width = in, before = in;
      for (const Step& s : chain) {
        // "_2a" and "_2b" read the same map.
        const bool beside = std::string_view(s.name).ends_with('b');
        if (!beside) before = width;
        convs.push_back(add(s, beside ? before : width, b));
        width = b.width(s.out);
        channels += &s == &chain.back() || next_is_beside(chain, s) ? width : 0;
      }
      forked_.push_back(std::string_view(chain.back().name).ends_with('b'));
    }
    channels += pooling == Pooling::max ? in : b.width(pool_width);
    if (pooling == Pooling::mean) pool_ = add({"branch_pool", pool_width}, in, b);
  }

  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    std::vector<Variable> parts;
    for (size_t i = 0; i < chains_.size(); ++i) {
      const auto& convs = chains_[i];
      Variable y = x;
      const size_t straight = convs.size() - (forked_[i] ? 2 : 0);
      for (size_t j = 0; j < straight; ++j) y = convs[j]->forward(y);
      if (!forked_[i]) parts.push_back(y);
      for (size_t j = straight; j < convs.size(); ++j) parts.push_back(convs[j]->forward(y));
    }
    parts.push_back(pooling_ == Pooling::max
                        ? max_pool2d(x, Pool2dOptions::square(3, 2))
                        : pool_->forward(avg_pool2d(x, {.window = Pool2dOptions::square(3, 1, 1)})));
    return concat(parts);
  }
  std::string kind() const override { return "Inception"; }
  int64_t channels = 0;

 private:
  static bool next_is_beside(const Chain& chain, const Step& s) {
    return &s != &chain.back() && std::string_view((&s + 1)->name).ends_with('b');
  }
  std::shared_ptr<BasicConv> add(const Step& s, int64_t in, const Build& b) {
    const bool strided = s.stride > 1;
    const Conv2dArgs args{.in = in,
                          .out = b.width(s.out),
                          .kernel = s.rows,
                          .stride = s.stride,
                          .pad = strided ? 0 : s.rows / 2,
                          .init = Init::kaiming_normal_fan_in,
                          .kernel_w = s.columns,
                          .pad_w = strided ? 0 : s.columns / 2};
    return register_module<BasicConv>(s.name, args, b.norm);
  }

  const Pooling pooling_;
  std::vector<std::vector<std::shared_ptr<BasicConv>>> chains_;
  std::vector<bool> forked_;
  std::shared_ptr<BasicConv> pool_;
};

// Figures 5 to 7 of the paper. Names are torchvision's, in the order of its state_dict.
std::vector<Chain> module_a() {
  return {{{"branch1x1", 64}},
          {{"branch5x5_1", 48}, {"branch5x5_2", 64, 5, 5}},
          {{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, 3, 3}, {"branch3x3dbl_3", 96, 3, 3}}};
}
std::vector<Chain> module_b() {
  return {{{"branch3x3", 384, 3, 3, 2}},
          {{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, 3, 3}, {"branch3x3dbl_3", 96, 3, 3, 2}}};
}
std::vector<Chain> module_c(int64_t narrow) {
  return {{{"branch1x1", 192}},
          {{"branch7x7_1", narrow}, {"branch7x7_2", narrow, 1, 7}, {"branch7x7_3", 192, 7, 1}},
          {{"branch7x7dbl_1", narrow},
           {"branch7x7dbl_2", narrow, 7, 1},
           {"branch7x7dbl_3", narrow, 1, 7},
           {"branch7x7dbl_4", narrow, 7, 1},
           {"branch7x7dbl_5", 192, 1, 7}}};
}
std::vector<Chain> module_d() {
  return {{{"branch3x3_1", 192}, {"branch3x3_2", 320, 3, 3, 2}},
          {{"branch7x7x3_1", 192},
           {"branch7x7x3_2", 192, 1, 7},
           {"branch7x7x3_3", 192, 7, 1},
           {"branch7x7x3_4", 192, 3, 3, 2}}};
}
std::vector<Chain> module_e() {
  return {{{"branch1x1", 320}},
          {{"branch3x3_1", 384}, {"branch3x3_2a", 384, 1, 3}, {"branch3x3_2b", 384, 3, 1}},
          {{"branch3x3dbl_1", 448},
           {"branch3x3dbl_2", 384, 3, 3},
           {"branch3x3dbl_3a", 384, 1, 3},
           {"branch3x3dbl_3b", 384, 3, 1}}};
}

class Auxiliary : public Block {
 public:
  Auxiliary(int64_t in, int64_t classes, const Build& b) {
    constexpr Init init = Init::kaiming_normal_fan_in;
    const Conv2dArgs one{.in = in, .out = b.width(128), .kernel = 1, .init = init};
    const Conv2dArgs five{.in = b.width(128), .out = b.width(768), .kernel = 5, .init = init};
    conv0_ = register_module<BasicConv>("conv0", one, b.norm);
    conv1_ = register_module<BasicConv>("conv1", five, b.norm);
    fc_ = register_module<Linear>("fc", b.width(768), classes, true, Init::normal_hundredth);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const Variable y = avg_pool2d(x, {.window = Pool2dOptions::square(5, 3)});
    return fc_->forward(global_avg_pool2d(conv1_->forward(conv0_->forward(y))));
  }
  std::string kind() const override { return "InceptionAux"; }

 private:
  std::shared_ptr<BasicConv> conv0_, conv1_;
  std::shared_ptr<Linear> fc_;
};

class InceptionV3 : public ImageClassifier {
 public:
  explicit InceptionV3(const ModelOptions& o)
      : ImageClassifier(o, {.smallest = smallest}, 32), transform_(o.transform_input) {
    const Build b{o.norm, o.width_multiplier};
    int64_t channels = o.in_channels;
    const auto stem = [&](const char* child, int64_t out, int64_t kernel, int64_t stride, int64_t pad) {
      const Conv2dArgs args{.in = channels,
                            .out = b.width(out),
                            .kernel = kernel,
                            .stride = stride,
                            .pad = pad,
                            .init = Init::kaiming_normal_fan_in};
      stem_.push_back(register_module<BasicConv>(child, args, b.norm));
      channels = args.out;
    };
    stem("Conv2d_1a_3x3", 32, 3, 2, 0);
    stem("Conv2d_2a_3x3", 32, 3, 1, 0);
    stem("Conv2d_2b_3x3", 64, 3, 1, 1);
    stem("Conv2d_3b_1x1", 80, 1, 1, 0);
    stem("Conv2d_4a_3x3", 192, 3, 1, 0);
    const auto mixed = [&](const char* child, const std::vector<Chain>& chains, Pooling pooling,
                           int64_t pool_width) {
      mixed_.push_back(register_module<Mixed>(child, channels, chains, pooling, pool_width, b));
      channels = mixed_.back()->channels;
    };
    mixed("Mixed_5b", module_a(), Pooling::mean, 32);
    mixed("Mixed_5c", module_a(), Pooling::mean, 64);
    mixed("Mixed_5d", module_a(), Pooling::mean, 64);
    mixed("Mixed_6a", module_b(), Pooling::max, 0);
    mixed("Mixed_6b", module_c(128), Pooling::mean, 192);
    mixed("Mixed_6c", module_c(160), Pooling::mean, 192);
    mixed("Mixed_6d", module_c(160), Pooling::mean, 192);
    mixed("Mixed_6e", module_c(192), Pooling::mean, 192);
    head_behind_ = mixed_.size();
    if (o.aux_loss) aux_ = register_module<Auxiliary>("AuxLogits", channels, o.num_classes, b);
    mixed("Mixed_7a", module_d(), Pooling::max, 0);
    mixed("Mixed_7b", module_e(), Pooling::mean, 192);
    mixed("Mixed_7c", module_e(), Pooling::mean, 192);
    dropout_ = register_module<Dropout>("dropout", o.dropout_or(0.5));
    fc_ = register_module<Linear>("fc", channels, o.num_classes, true, Init::normal_hundredth);
  }
  std::string kind() const override { return "Inception v3"; }
  ImageSides image_sides() const override {
    return {.smallest = aux_ && training() ? smallest_with_head : smallest};
  }

 protected:
  SegmentationOutput logits_of(const Variable& image) const override {
    const Pool2dOptions pool = Pool2dOptions::square(3, 2);
    Variable x = transform_ ? normalised_by_half(image) : image;
    for (size_t i = 0; i < stem_.size(); ++i) {
      x = stem_[i]->forward(x);
      if (i == 2 || i == 4) x = max_pool2d(x, pool);
    }
    SegmentationOutput result;
    for (size_t i = 0; i < mixed_.size(); ++i) {
      x = mixed_[i]->forward(x);
      if (aux_ && training() && i + 1 == head_behind_) result.aux = aux_->forward(x);
    }
    result.logits = fc_->forward(dropout_->forward(global_avg_pool2d(x)));
    return result;
  }

 private:
  const bool transform_;
  size_t head_behind_ = 0;
  std::vector<std::shared_ptr<BasicConv>> stem_;
  std::vector<std::shared_ptr<Mixed>> mixed_;
  std::shared_ptr<Auxiliary> aux_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> fc_;
};

}  // namespace

ModelPtr build_inception_v3(const ModelOptions& options) {
  check_transform_input(options);
  return std::make_shared<InceptionV3>(options);
}

}  // namespace atrous::nets
