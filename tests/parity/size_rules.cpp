// The rules of sizes for parity_sizes.py: one question per line of the standard input, one line of numbers
// for each answer. No network runs: feature maps are those of a trace (layers/trace.h).
//
//   resize H W min max exact             rows and columns of a detector's resized image
//   batch H W H W ...                    rows and columns of the batch that holds images of these sizes
//   max|avg K S P D ceil H W             pooling: kernel, stride, padding, dilation
//   conv K S P D H W                     convolution
//   transposed K S P O D H W             transposed convolution; O: output padding
//   maps BACKBONE stride H W             rows and columns of each feature map of an image, finest first
//   anchors BACKBONE H W                 the same for the maps of a detector; number of anchors; the last one
//   of each map
#include <fmt/core.h>

#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include "core/error.h"
#include "kernels/avg_pool2d/avg_pool2d.h"
#include "kernels/conv_transpose2d/conv_transpose2d.h"
#include "nets/detection_transform.h"
#include "nets/fpn.h"
#include "nets/rpn.h"

using namespace atrous;

namespace {

using Numbers = std::vector<int64_t>;

// Square arguments: K 1 becomes kernel_h = kernel_w and so on.
kernels::Pool2dOptions window_of(std::istream& in) {
  int64_t k = 0, s = 0, p = 0, d = 0;
  bool ceil_mode = false;
  in >> k >> s >> p >> d >> ceil_mode;
  return {k, k, s, s, p, p, d, d, ceil_mode};
}

Shape image_of(std::istream& in, int64_t channels = 1) {
  int64_t h = 0, w = 0;
  in >> h >> w;
  return {1, h, w, channels};
}

Numbers extent(const Shape& nhwc) {
  return {nhwc[1], nhwc[2]};
}

Numbers resize(std::istream& in) {
  nets::ImageSize image;
  int64_t min_size = 0, max_size = 0;
  bool exact = false;
  in >> image.height >> image.width >> min_size >> max_size >> exact;
  const nets::ImageSize size = nets::resized_size(image, min_size, max_size, exact);
  return {size.height, size.width};
}

Numbers batch(std::istream& in) {
  std::vector<nets::ImageSize> images;
  for (nets::ImageSize size; in >> size.height >> size.width;) images.push_back(size);
  in.clear();
  const nets::ImageSize size = nets::batch_size(images);
  return {size.height, size.width};
}

Numbers max_pool(std::istream& in) {
  const kernels::Pool2dOptions window = window_of(in);
  return extent(kernels::pool2d_problem("max", image_of(in), DType::f32, window).output_shape());
}

Numbers avg_pool(std::istream& in) {
  const kernels::AvgPool2dOptions options{.window = window_of(in)};
  return extent(
      kernels::AvgPool2dProblem::make("avg", image_of(in), DType::f32, options).pool.output_shape());
}

Numbers conv(std::istream& in) {
  int64_t k = 0, s = 0, p = 0, d = 0;
  in >> k >> s >> p >> d;
  const kernels::Conv2dOptions options{.stride = {s, s}, .pad = {p, p}, .dilation = {d, d}};
  return extent(
      kernels::Conv2dProblem::make("conv", image_of(in), {1, k, k, 1}, options, DType::f32).output_shape());
}

Numbers transposed(std::istream& in) {
  int64_t k = 0, s = 0, p = 0, o = 0, d = 0;
  in >> k >> s >> p >> o >> d;
  const kernels::ConvTranspose2dOptions options{
      .stride = {s, s}, .pad = {p, p}, .output_padding = {o, o}, .dilation = {d, d}};
  return extent(
      kernels::ConvTranspose2dProblem::make("transposed", image_of(in), {1, k, k, 1}, options, DType::f32)
          .output_shape());
}

// Networks are built once, as narrow as they get: widths change no size.
nets::BackboneOptions narrow(const std::string& name, int64_t stride) {
  nets::BackboneOptions options;
  options.name = name;
  options.width_multiplier = 1.0 / 64;
  options.output_stride = stride;
  return options;
}

Numbers maps(std::istream& in) {
  static std::map<std::string, std::shared_ptr<nets::Backbone>> built;
  std::string name;
  int64_t stride = 0;
  in >> name >> stride;
  auto& net = built[name + std::to_string(stride)];
  if (!net) {
    const layers::BuildDeviceGuard on_meta(Device::meta);
    net = nets::make_backbone(narrow(name, stride));
  }
  net->eval();
  Numbers sizes;
  for (const Variable& map :
       net->forward(Variable(Tensor::empty(image_of(in, 3), DType::f32, Device::meta)))) {
    for (const int64_t side : extent(map.shape())) sizes.push_back(side);
  }
  return sizes;
}

Numbers anchors(std::istream& in) {
  struct Detector {
    std::shared_ptr<nets::DetectionBackbone> backbone;
    std::shared_ptr<nets::RegionProposals> rpn;
  };
  static std::map<std::string, Detector> built;
  std::string name;
  in >> name;
  Detector& d = built[name];
  if (!d.backbone) {
    const layers::BuildDeviceGuard on_meta(Device::meta);
    const bool vgg = name == "vgg16";
    d.backbone = vgg ? nets::make_vgg_map(narrow(name, 32))
                     : nets::make_fpn(narrow(name, 32), 8, layers::NormOptions(layers::NormKind::none));
    nets::DetectionOptions options;
    options.anchor_sizes =
        vgg ? std::vector<double>{128, 256, 512} : std::vector<double>{32, 64, 128, 256, 512};
    d.rpn =
        std::make_shared<nets::RegionProposals>(options, d.backbone->channels(), d.backbone->strides(), 1);
    d.backbone->eval();
  }
  const Shape image = image_of(in, 3);
  std::vector<Shape> maps;
  for (const Variable& map : d.backbone->forward(Variable(Tensor::empty(image, DType::f32, Device::meta))))
    maps.push_back(map.shape());
  const Tensor anchors = d.rpn->anchors_of(maps, image, Device::cpu);
  Numbers numbers;
  int64_t pixels = 0;
  for (const Shape& map : maps) {
    for (const int64_t side : extent(map)) numbers.push_back(side);
    pixels += map[1] * map[2];
  }
  numbers.push_back(anchors.dim(0));
  int64_t end = 0;
  for (const Shape& map : maps) {
    end += anchors.dim(0) / pixels * map[1] * map[2];
    // Corners are whole numbers: rounded_anchors.
    for (int64_t i = 4 * (end - 1); i < 4 * end; ++i)
      numbers.push_back(static_cast<int64_t>(anchors.data<float>()[i]));
  }
  return numbers;
}

const std::map<std::string, std::function<Numbers(std::istream&)>> rules = {
    {"resize", resize}, {"batch", batch},           {"max", max_pool}, {"avg", avg_pool},
    {"conv", conv},     {"transposed", transposed}, {"maps", maps},    {"anchors", anchors}};

}  // namespace

int main() {
  try {
    const NoGradGuard no_tape;
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream in(line);
      std::string rule;
      in >> rule;
      const auto found = rules.find(rule);
      ATROUS_CHECK(found != rules.end(), ErrorKind::usage, "[size_rules] no rule \"{}\"", rule);
      std::string answer;
      for (const int64_t n : found->second(in)) answer += std::to_string(n) + " ";
      ATROUS_CHECK(static_cast<bool>(in), ErrorKind::usage, "[size_rules] numbers are missing: {}", line);
      fmt::print("{}\n", answer);
    }
    return 0;
  } catch (const Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
