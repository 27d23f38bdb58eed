// A network that the config describes layer by layer (name "layers"), like PyTorch's nn.Sequential, whose
// names it uses: "0.weight" is the filter of the first layer, if that is a convolution. For exercises and
// experiments, and for `atrous summary --receptive-field`.
#include <cmath>
#include <functional>

#include "layers/avg_pool2d.h"
#include "layers/max_pool2d.h"
#include "layers/modules.h"
#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

// Positions along an axis in pixels of the image: position i is centred on start + i*jump.
struct Grid {
  double start = 0.5, jump = 1;

  void window(int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
    start += (static_cast<double>(dilation * (kernel - 1)) / 2 - static_cast<double>(pad)) * jump;
    jump *= static_cast<double>(stride);
  }
  void refine(int64_t factor) {
    start -= jump / 2;
    jump /= static_cast<double>(factor);
    start += jump / 2;
  }
  // The edge of the pixels that position 0 represents.
  double edge() const { return start - jump / 2; }
};

class LayerList : public SegmentationModel {
 public:
  explicit LayerList(const ModelOptions& o) : options_(o) {
    ATROUS_CHECK(!o.layer_list.empty(), ErrorKind::config,
                 "[model.layer_list] the network \"layers\" is a list of layers. Got none. For example "
                 "[{{\"kind\": \"conv\", \"out\": {}, \"kernel\": 3, \"pad\": 1}}].",
                 o.num_classes);
    int64_t channels = o.in_channels;
    for (size_t i = 0; i < o.layer_list.size(); ++i) channels = add(i, channels);
    ATROUS_CHECK(channels == o.num_classes, ErrorKind::config,
                 "[model.layer_list] the last layer must give one channel per class. Got {} for "
                 "model.num_classes = {}. Leave out `out` of the last convolution.",
                 channels, o.num_classes);
  }

  SegmentationOutput forward(const Variable& image) override {
    const ModuleScope scope(name());
    Variable x = image;
    for (const auto& step : steps_) x = step(x);
    SegmentationOutput out = whole_image(image, x);
    if (grid_.edge() > 0) {  // unpadded windows: the logits describe the middle
      const auto side = [&](int64_t positions) {
        return static_cast<int64_t>(std::llround(static_cast<double>(positions) * grid_.jump));
      };
      out.region = {context(), context(), side(x.dim(1)), side(x.dim(2))};
    }
    return out;
  }

  int64_t num_classes() const override { return options_.num_classes; }
  int64_t in_channels() const override { return options_.in_channels; }
  int64_t output_stride() const override { return stride_; }
  int64_t context() const override {
    return grid_.edge() > 0 ? static_cast<int64_t>(std::llround(grid_.edge())) : 0;
  }
  std::string kind() const override { return "Sequential"; }

 private:
  // Registers layer i, which gets `in` channels; returns its number of output channels.
  int64_t add(size_t i, int64_t in) {
    const LayerOptions& l = options_.layer_list[i];
    const std::string name = std::to_string(i);
    switch (l.kind) {
      case LayerKind::conv: return add_conv(i, in);
      case LayerKind::conv_transpose: {
        const auto up = register_module<ConvTranspose2d>(name, in, outputs(l), l.factor, l.factor, l.bias);
        steps_.emplace_back([up](const Variable& x) { return up->forward(x); });
        grid_.refine(l.factor);
        return outputs(l);
      }
      case LayerKind::max_pool: {
        const Pool2dOptions window = window_of(i);
        steps_.emplace_back([window](const Variable& x) { return max_pool2d(x, window); });
        return in;
      }
      case LayerKind::avg_pool: {
        const Pool2dOptions window = window_of(i);
        steps_.emplace_back([window](const Variable& x) { return avg_pool2d(x, {.window = window}); });
        return in;
      }
      case LayerKind::upsample:
        steps_.emplace_back([factor = l.factor](const Variable& x) {
          return resize(x, {.height = x.dim(1) * factor, .width = x.dim(2) * factor});
        });
        grid_.refine(l.factor);
        return in;
      case LayerKind::norm: {
        const std::shared_ptr<Norm> norm = make_norm(options_.norm, in);
        ATROUS_CHECK(
            norm, ErrorKind::config,
            "[model.layer_list[{}]] a norm is of the kind model.norm. Got \"none\". Leave the layer out.", i);
        add_child(name, norm);
        steps_.emplace_back(
            [norm](const Variable& x) { return norm->forward(x, Activation::none, {}, {}, {}); });
        return in;
      }
      case LayerKind::relu: steps_.emplace_back([](const Variable& x) { return relu(x); }); return in;
      case LayerKind::dropout: {
        const auto dropout = register_module<Dropout>(name, l.probability);
        steps_.emplace_back([dropout](const Variable& x) { return dropout->forward(x); });
        return in;
      }
    }
    return in;
  }

  int64_t outputs(const LayerOptions& l) const { return l.out ? l.out : options_.num_classes; }

  int64_t add_conv(size_t i, int64_t in) {
    const LayerOptions& l = options_.layer_list[i];
    const int64_t out = outputs(l);
    ATROUS_CHECK(
        in % l.groups == 0 && out % l.groups == 0, ErrorKind::config,
        "[model.layer_list[{}].groups] groups must divide the channels. Got {} for {} input and {} output "
        "channels.",
        i, l.groups, in, out);
    const int64_t kernel = l.kernel ? l.kernel : 3, stride = l.stride ? l.stride : 1;
    const auto conv = register_module<Conv2d>(std::to_string(i), Conv2dArgs{.in = in,
                                                                            .out = out,
                                                                            .kernel = kernel,
                                                                            .stride = stride,
                                                                            .pad = l.pad,
                                                                            .dilation = l.dilation,
                                                                            .groups = l.groups,
                                                                            .bias = l.bias});
    steps_.emplace_back([conv](const Variable& x) { return conv->forward(x); });
    grid_.window(kernel, stride, l.pad, l.dilation);
    stride_ = std::max(stride_, static_cast<int64_t>(std::llround(grid_.jump)));
    return out;
  }

  // Options of pooling layer i.
  Pool2dOptions window_of(size_t i) {
    const LayerOptions& l = options_.layer_list[i];
    const int64_t kernel = l.kernel ? l.kernel : 2, stride = l.stride ? l.stride : kernel;
    ATROUS_CHECK(
        2 * l.pad <= kernel, ErrorKind::config,
        "[model.layer_list[{}].pad] a pool is padded by at most half of its window. Got {} for a window of "
        "{}.",
        i, l.pad, kernel);
    grid_.window(kernel, stride, l.pad, 1);
    stride_ = std::max(stride_, static_cast<int64_t>(std::llround(grid_.jump)));
    return Pool2dOptions::square(kernel, stride, l.pad);
  }

  const ModelOptions options_;
  std::vector<std::function<Variable(const Variable&)>> steps_;
  Grid grid_;
  int64_t stride_ = 1;
};

}  // namespace

ModelPtr build_layer_list(const ModelOptions& options) {
  return std::make_shared<LayerList>(options);
}

}  // namespace atrous::nets
