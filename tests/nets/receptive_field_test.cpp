// Receptive fields from the graph against the support of d(logit)/d(input).
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "layers/network_graph.h"
#include "layers/receptive_field.h"
#include "tests/core/tensors.h"
#include "tests/nets/tiny_models.h"

using namespace atrous;
using core_test::noise;
using nets_test::tiny_options;

namespace {

// Weights that let no gradient vanish: positive, so that no ReLU closes; averages, so that values stay near
// 1; far apart, so that the maxima of a pool lie at another tap in every channel. Norms leave values as they
// are.
void open_all_paths(layers::Model& net) {
  uint64_t stream = 0;
  net.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Tensor t = parameter ? parameter->value() : *buffer;
    if (t.dtype() != DType::f32) return;
    const bool filter = t.rank() >= 2;
    const bool one = name.ends_with("running_var") || (!filter && name.ends_with("weight"));
    t.fill(one ? 1 : 0);
    if (!filter) return;
    const Tensor n = noise(t.shape(), ++stream);
    const int64_t row = t.numel() / t.dim(0);  // of one output channel
    for (int64_t k = 0; k < t.dim(0); ++k) {
      float* w = t.data<float>() + k * row;
      double sum = 0;
      for (int64_t i = 0; i < row; ++i) sum += w[i] = std::exp(n.data<float>()[k * row + i]);
      for (int64_t i = 0; i < row; ++i) w[i] = static_cast<float>(w[i] / sum);
    }
  });
  net.eval();
  net.set_math({.exact_sums = true});  // Winograd's differences leave rounding errors where there is nothing
}

struct Support {
  int64_t top = 1 << 30, bottom = -1, left = 1 << 30, right = -1;
  bool operator==(const Support&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Support& s) {
  return out << "rows " << s.top << ".." << s.bottom << ", columns " << s.left << ".." << s.right;
}

using Position = std::pair<int64_t, int64_t>;

// Where the logits at one position per image have a gradient with respect to the image, added to `found`.
void add_supports(layers::SegmentationModel& net, const Shape& image, const std::vector<Position>& at,
                  uint64_t seed, std::vector<Support>& found) {
  const auto count = static_cast<int64_t>(at.size());
  const Tensor pixels = noise(image.with(0, count), seed);
  // Residual blocks double it: it stays below ReLU6's end. Single pixels stand out, so that a maximum may lie
  // in a window that the padding cuts.
  for (int64_t i = 0; i < pixels.numel(); ++i)
    pixels.data<float>()[i] = 1e-15f * std::exp(3 * pixels.data<float>()[i]);
  const Variable x(pixels, true);
  const Variable logits = layers::full_resolution_logits(net.forward(x));
  const Tensor seeds = Tensor::zeros(logits.shape());
  const int64_t classes = logits.dim(3), columns = logits.dim(2), rows = logits.dim(1);
  for (int64_t n = 0; n < count; ++n) {
    const auto [row, col] = at[static_cast<size_t>(n)];
    std::fill_n(seeds.data<float>() + ((n * rows + row) * columns + col) * classes, classes, 1.0f);
  }
  backward(logits, seeds);
  const float* g = x.grad().data<float>();
  for (int64_t n = 0; n < count; ++n) {
    Support& s = found[static_cast<size_t>(n)];
    for (int64_t h = 0; h < image[1]; ++h) {
      for (int64_t w = 0; w < image[2]; ++w) {
        bool any = false;
        for (int64_t c = 0; c < image[3]; ++c, ++g) any = any || *g != 0;
        if (!any) continue;
        s.top = std::min(s.top, h);
        s.bottom = std::max(s.bottom, h);
        s.left = std::min(s.left, w);
        s.right = std::max(s.right, w);
      }
    }
  }
}

// Compares at `count` positions; several images, as a pool passes gradients to its maximum only.
void check_field(const nets::ModelOptions& options, int64_t height, int64_t width, int64_t count) {
  const auto net = nets::build_model(options);
  if (const layers::ImageSides sides = net->image_sides(); sides.only) height = width = sides.smallest;
  open_all_paths(*net);
  const Shape image{1, height, width, net->in_channels()};
  layers::RecordedPass pass;
  {
    const NoGradGuard no_tape;
    pass = layers::record_pass(*net, image);
  }
  const layers::ReceptiveField field(pass.graph, pass.input);
  const Shape written = pass.graph.values()[static_cast<size_t>(pass.output)].shape;
  const Shape logits = written.rank() == 4 ? written : Shape{1, 1, 1, written[-1]};  // of a classifier
  std::vector<Position> at;
  std::vector<Support> expected, found(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    at.emplace_back(i * (logits[1] - 1) / std::max<int64_t>(1, count - 1),
                    (i * 7 + 3) % count * (logits[2] - 1) / std::max<int64_t>(1, count - 1));
    const auto f = field.at(pass.output, at.back().first, at.back().second);
    REQUIRE(f);
    expected.push_back({f->rows.first, f->rows.last, f->cols.first, f->cols.last});
    // Windows without padding may leave rows and columns at the end out, for all positions alike.
    if (f->whole) CHECK(expected.back() == expected.front());
  }
  for (uint64_t seed = 1; seed <= 30 && found != expected; ++seed) add_supports(*net, image, at, seed, found);
  for (size_t i = 0; i < at.size(); ++i) {
    CAPTURE(at[i].first, at[i].second);
    CHECK(found[i] == expected[i]);
  }
}

layers::LayerField largest_field(const nets::ModelOptions& options, int64_t size) {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto net = nets::build_model(options);
  net->eval();
  const NoGradGuard no_tape;
  const layers::RecordedPass pass = layers::record_pass(*net, {1, size, size, net->in_channels()});
  return layers::ReceptiveField(pass.graph, pass.input).of(pass.output).value();
}

}  // namespace

TEST_CASE("The receptive field of every network is the support of its gradient") {
  for (const char* model : nets_test::tiny_models) {
    nets::ModelOptions options = tiny_options(model);
    options.transform_input = false;  // shifts the image below 0, where every ReLU is closed
    // A dense CRF connects all pixels by definition; its filters cut weights below f32's resolution off.
    if (std::string(model).find("crf") != std::string::npos) continue;
    INFO(model);
    check_field(options, 97, 130, 32);
  }
}

TEST_CASE("Receptive fields: global branches see the whole image, up-convolutions depend on the phase") {
  const auto field = [](const char* model, int64_t size) { return largest_field(tiny_options(model), size); };
  const layers::LayerField unet = field(R"({"name": "unet", "backbone": "resnet18"})", 1216);
  CHECK((!unet.whole && !unet.clipped));
  CHECK(unet.smallest == 531);  // at the first and the last of the 32 positions over one of the deepest map
  CHECK(unet.largest == 563);
  CHECK(field(R"({"name": "unet", "backbone": "resnet18", "attention": "scse"})", 1216).whole);
  CHECK(field(R"({"name": "pspnet", "backbone": "resnet18"})", 705).whole);
  const layers::LayerField paper = field(R"({"name": "unet", "padding": "valid", "norm": "none"})", 572);
  CHECK(paper.smallest == 188);
  CHECK(paper.largest == 204);
}

TEST_CASE(
    "Receptive fields of a described network: convolution 3, pool 2, convolution 3 see 3, 4 and 8 pixels") {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto net = nets::build_model(tiny_options(
      R"({"name": "layers", "layer_list": [{"kind": "conv", "out": 8, "kernel": 3}, {"kind": "max_pool", "kernel": 2},
          {"kind": "conv", "out": 3, "kernel": 3}]})"));
  net->eval();
  const layers::RecordedPass pass = layers::record_pass(*net, {1, 64, 64, 3});
  const layers::ReceptiveField field(pass.graph, pass.input);
  const std::vector<layers::LayerRow> rows = layers::layer_rows(*net, pass.graph);
  REQUIRE(rows.size() >= 3);
  const auto check = [&](size_t row, int64_t size, double jump, double start) {
    CAPTURE(row);
    const layers::LayerField f = field.of(rows[row].value).value();
    CHECK(f.smallest == size);
    CHECK(f.largest == size);
    CHECK(f.jump == jump);
    CHECK(f.start == start);
  };
  check(0, 3, 1, 1.5);
  check(1, 4, 2, 2);
  check(2, 8, 2, 4);
}

TEST_CASE(
    "Receptive fields behind up-convolutions: jump and start are means over a period, at any image size") {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  for (const int64_t factor : {2, 3}) {
    const auto net = nets::build_model(tiny_options(fmt::format(
        R"({{"name": "layers", "layer_list": [{{"kind": "conv", "out": 4, "kernel": 3, "pad": 1}},
            {{"kind": "conv_transpose", "factor": {}, "out": 3}}]}})",
        factor)));
    net->eval();
    for (const int64_t size : {64, 66, 67, 512}) {
      CAPTURE(factor, size);
      const layers::RecordedPass pass = layers::record_pass(*net, {1, size, size + 5, 3});
      const auto rows = layers::layer_rows(*net, pass.graph);
      const layers::LayerField f =
          layers::ReceptiveField(pass.graph, pass.input).of(rows.at(1).value).value();
      CHECK(!f.clipped);
      CHECK(f.largest == 3);
      CHECK(f.jump == 1.0 / static_cast<double>(factor));
      CHECK(f.start == 0.5 / static_cast<double>(factor));
    }
  }
}

TEST_CASE("Receptive fields of deep U-Nets have every phase, and none of a small image is complete") {
  const char* deep = R"({"name": "unet", "depth": 8, "base_width": 4, "norm": "none"})";
  const layers::LayerField small = largest_field(tiny_options(deep), 1024);
  CHECK(small.clipped);
  for (const int64_t size : {4096, 4224}) {
    const layers::LayerField f = largest_field(tiny_options(deep), size);
    CHECK(!f.clipped);
    CHECK(f.smallest == 1532);
    CHECK(f.largest == 1660);
    CHECK(f.jump == 1);
    CHECK(f.start == 0.5);
  }
}

TEST_CASE("Average pools show that their windows reach beyond the border; padding alone is no field") {
  const auto list = [](const char* layers) {
    return tiny_options(fmt::format(R"({{"name": "layers", "layer_list": [{}]}})", layers));
  };
  const auto wide = list(
      R"({"kind": "avg_pool", "kernel": 101, "stride": 1, "pad": 50}, {"kind": "conv", "out": 3, "kernel": 1})");
  CHECK(largest_field(wide, 64).clipped);
  const layers::LayerField f = largest_field(wide, 256);
  CHECK((!f.clipped && f.smallest == 101 && f.largest == 101 && f.jump == 1 && f.start == 0.5));
  // Of the layer itself: the logits are resized to the image.
  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto net = nets::build_model(list(R"({"kind": "conv", "out": 3, "kernel": 1, "pad": 2})"));
  const layers::RecordedPass pass = layers::record_pass(*net, {1, 33, 33, 3});
  const layers::LayerField padded = layers::ReceptiveField(pass.graph, pass.input)
                                        .of(layers::layer_rows(*net, pass.graph).at(0).value)
                                        .value();
  CHECK((!padded.clipped && padded.largest == 1));
  CHECK(padded.start == -1.5);
}

TEST_CASE("Receptive fields of adaptive pools grow with the image and are never complete") {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto net = nets::build_model(tiny_options(R"({"name": "pspnet", "backbone": "resnet18"})"));
  net->eval();
  const layers::RecordedPass pass = layers::record_pass(*net, {1, 2048, 2048, 3});
  const layers::ReceptiveField field(pass.graph, pass.input);
  int64_t pools = 0;
  for (const layers::LayerRow& row : layers::layer_rows(*net, pass.graph)) {
    if (row.kind != "adaptive_avg_pool2d") continue;
    const layers::LayerField f = field.of(row.value).value();
    CHECK((f.whole || f.clipped));
    ++pools;
  }
  CHECK(pools == 4);
}

TEST_CASE("Described networks: unpadded windows describe the middle; wrong lists are named") {
  const auto build = [](const char* list) {
    return nets::build_model(tiny_options(std::string(R"({"name": "layers", "layer_list": )") + list + "}"));
  };
  const auto net = build(
      R"([{"kind": "conv", "out": 4, "kernel": 5}, {"kind": "relu"}, {"kind": "conv", "out": 3, "kernel": 3}])");
  net->initialise(1);
  const layers::SegmentationOutput out = net->forward(Variable(noise({1, 20, 30, 3}, 1)));
  CHECK(out.logits.shape() == Shape{1, 14, 24, 3});
  CHECK(out.region.top == 3);
  CHECK(out.region.left == 3);
  CHECK(out.region.height == 14);
  CHECK(out.region.width == 24);
  CHECK(net->context() == 3);
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(build("[]"), Contains("model.layer_list") && Contains("Got none"));
  CHECK_THROWS_WITH(build(R"([{"kind": "conv", "out": 4}])"), Contains("one channel per class. Got 4"));
  CHECK_THROWS_WITH(build(R"([{"kind": "conv", "groups": 2}])"), Contains("model.layer_list[0].groups"));
  CHECK_THROWS_WITH(build(R"([{"kind": "relu", "out": 3}])"), Contains("out"));
}
