#include "kernels/roi_align/roi_align.h"

#include <cmath>
#include <limits>

#include "core/random.h"
#include "layers/roi_align.h"
#include "tests/kernels/op_case.h"
#include "tests/kernels/roi_samples.h"

namespace atrous::cases {
namespace {

using kernels::RoiAlignOptions;
using kernels::RoiAlignProblem;

struct Sample {
  const char* name;
  std::vector<Shape> maps;
  RoiAlignOptions options;
  Regions regions;
  bool exact = false;  // every weight is a small fraction of a power of two
  const char* network = "";
};

RoiAlignOptions options(int64_t height, int64_t width, std::vector<double> scales, int64_t ratio = 2,
                        bool aligned = false) {
  return {height, width, std::move(scales), ratio, aligned};
}

// Bins of 1, 2 and 4 pixels at whole coordinates: samples lie at multiples of 1/4.
Regions dyadic_regions() {
  return {{0, 2, 3, 6, 11}, {1, 0, 0, 8, 4}, {1, 0, -4, 8, 4}, {0, 4, 4, 12, 12}, {1, 2, 1, 6, 3}};
}

std::vector<Sample> samples() {
  const double s = 0.25;
  return {
      {"whole numbers", {{2, 13, 15, 3}}, options(2, 4, {1}), dyadic_regions(), true},
      {"whole numbers, adaptive",
       {{2, 13, 15, 19}},
       options(2, 2, {1}, 0),
       {{0, 2, 3, 6, 7}, {1, 0, 4, 4, 12}},
       true},
      {"whole numbers, one sample", {{2, 12, 9, 16}}, options(1, 2, {0.5}, 1, true), dyadic_regions(), true},
      {"fractions", {{2, 11, 17, 21}}, options(3, 2, {s}), hard_regions(44, 68, 2)},
      {"aligned", {{2, 11, 17, 32}}, options(2, 3, {s}, 2, true), hard_regions(44, 68, 2)},
      {"adaptive", {{2, 9, 10, 8}}, options(3, 3, {0.3}, 0), hard_regions(30, 33, 2)},
      {"adaptive and aligned", {{2, 9, 10, 1}}, options(3, 3, {0.3}, -1, true), hard_regions(30, 33, 2)},
      {"many samples", {{1, 6, 7, 5}}, options(2, 2, {1}, 7), {{0, 1, 1, 5.5f, 5}, {0, 5, 4, 1, 2}}},
      {"14x14, 64 channels",
       {{1, 20, 18, 64}},
       options(14, 14, {s}),
       {{0, 3, 5, 60, 70}, {0, 30, 10, 44, 33}}},
      {"pyramid",
       {{2, 24, 20, 20}, {2, 12, 10, 20}, {2, 6, 5, 20}},
       options(3, 3, {0.25, 0.125, 0.0625}),
       random_regions(300, 2, 96, 80, 5)},
      {"one pixel", {{1, 1, 1, 4}}, options(2, 2, {1}), {{0, 0, 0, 1, 1}, {0, -3, -3, 5, 5}}},
      {"no regions", {{2, 5, 4, 8}}, options(2, 2, {1}), {}},
      {"no images", {{0, 5, 4, 8}}, options(2, 2, {1}), {{0, 1, 1, 3, 3}, {-1, 0, 0, 2, 2}}},
      {"box head of Mask R-CNN",
       {{1, 200, 336, 256}, {1, 100, 168, 256}, {1, 50, 84, 256}, {1, 25, 42, 256}},
       options(7, 7, {0.25, 0.125, 0.0625, 0.03125}),
       random_regions(1000, 1, 800, 1344, 7),
       false,
       "maskrcnn_800x1344"},
      {"mask head of Mask R-CNN",
       {{1, 200, 336, 256}, {1, 100, 168, 256}, {1, 50, 84, 256}, {1, 25, 42, 256}},
       options(14, 14, {0.25, 0.125, 0.0625, 0.03125}),
       random_regions(100, 1, 800, 1344, 8),
       false,
       "maskrcnn_800x1344"},
  };
}

// Levels by the size of a region as pyramids do it (their smallest map for the largest regions), and some
// that do not exist.
Tensor levels_for(const Sample& s) {
  if (s.maps.size() == 1) return {};
  const Tensor levels = Tensor::empty({static_cast<int64_t>(s.regions.size())}, DType::i32);
  for (size_t r = 0; r < s.regions.size(); ++r) {
    const auto& roi = s.regions[r];
    const float side = std::sqrt(std::max(1.0f, (roi[3] - roi[1]) * (roi[4] - roi[2])));
    const auto last = static_cast<int32_t>(s.maps.size()) - 1;
    int32_t level = static_cast<int32_t>(std::floor(std::log2(side * (last == 3 ? 1.0f : 8.0f) / 224))) + 2;
    level = std::max(0, std::min(last, level));
    if (!*s.network && r % 40 == 11) level = r % 80 == 11 ? -1 : last + 1;
    levels.data<int32_t>()[r] = level;
  }
  return levels;
}

void add_sample(CaseList& list, const Sample& s) {
  const Tensor rois = tensor_of(s.regions), levels = levels_for(s);
  const auto on = [](const Tensor& t, Device device) { return t.defined() ? t.to(device) : t; };
  const RoiAlignProblem problem = kernels::roi_align_problem(s.maps, DType::f32, rois.dim(0), s.options);
  const auto out = static_cast<double>(problem.output_shape().numel());
  double values = 0;
  for (const Shape& map : s.maps) values += static_cast<double>(map.numel());

  OpCase c;
  c.op = "roi_align";
  c.descriptor = std::string(s.name) + " " + problem.str();
  c.exact = s.exact;
  c.benchmark = *s.network != 0;
  c.network = s.network;
  const double per_bin = problem.sampling_ratio ? std::pow(problem.sampling_ratio, 2) : 16;
  c.flops = 8 * per_bin * out;
  c.bytes = 4 * (values + out);

  OpCase forward = c;
  forward.entry = "forward";
  for (const Shape& map : s.maps) forward.inputs.push_back({.shape = map});
  forward.accumulation = static_cast<int64_t>(4 * per_bin) * (s.exact ? 1024 : 1);
  forward.run = [=](const std::vector<Tensor>& maps) -> std::vector<Tensor> {
    const Device device = maps[0].device();
    return {kernels::roi_align_forward(maps, on(rois, device), on(levels, device), s.options)};
  };
  list.cases.push_back(forward);

  OpCase backward = c;
  backward.entry = "backward";
  backward.inputs = {{.shape = problem.output_shape()}};
  backward.accumulation = 64 * (s.exact ? 1024 : 1);
  backward.run = [=](const std::vector<Tensor>& in) {
    const Device device = in[0].device();
    std::vector<Tensor> gradients;
    for (size_t l = 0; l < s.maps.size(); ++l) {
      gradients.push_back(kernels::roi_align_backward(in[0], on(rois, device), on(levels, device), s.maps,
                                                      static_cast<int64_t>(l), s.options));
    }
    return gradients;
  };
  list.cases.push_back(backward);
}

void add_gradients(CaseList& list) {
  const auto add = [&](const char* name, const std::vector<Shape>& maps, const RoiAlignOptions& o,
                       const Regions& regions, const Tensor& levels) {
    GradientCase c{.op = "roi_align", .descriptor = name};
    for (const Shape& map : maps) c.inputs.push_back({.shape = map});
    c.function = [=](const std::vector<Variable>& v) {
      return layers::roi_align(v, tensor_of(regions), levels, o);
    };
    list.gradients.push_back(c);
  };
  const Regions boxes = {{0, 0.7f, 1.3f, 3.9f, 4.2f}, {1, 2, 0, 7, 3}, {1, -3, 1, 2, 9}};
  add("two samples", {{2, 5, 6, 2}}, options(2, 3, {1}), boxes, {});
  add("adaptive, aligned", {{2, 5, 6, 2}}, options(2, 2, {0.7}, 0, true), boxes, {});
  add("two maps", {{2, 6, 5, 2}, {2, 3, 3, 2}}, options(2, 2, {1, 0.5}), boxes,
      Tensor::from<int32_t>({3}, {1, 0, 1}));
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "roi_align", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const auto align = [](const std::vector<Tensor>& maps, const Tensor& rois, const Tensor& levels,
                        const RoiAlignOptions& o) {
    return [=] { kernels::roi_align_forward(maps, rois, levels, o); };
  };
  const Tensor map = Tensor::zeros({1, 4, 5, 2}), rois = Tensor::zeros({3, 5});
  const Tensor levels = Tensor::zeros({3}, DType::i32);
  const RoiAlignOptions one = options(2, 2, {1}), two = options(2, 2, {1, 0.5});
  bad("four numbers per region", align({map}, Tensor::zeros({3, 4}), {}, one),
      "[roi_align] regions must be f32 [R, 5]: index of the image, x1, y1, x2, y2. Got f32 [3, 4]");
  bad("regions in f64", align({map}, Tensor::zeros({3, 5}, DType::f64), {}, one), "Got f64 [3, 5]");
  bad("no maps", align({}, rois, levels, one), "a map or more, and a scale for each. Got 0 maps, 1 scales");
  bad("no scale for a map", align({map, map}, rois, levels, one), "Got 2 maps, 1 scales");
  bad("no levels", align({map, map}, rois, {}, two), "Got none for 2 maps. Pass i32 [3]");
  bad("levels in i64", align({map, map}, rois, Tensor::zeros({3}, DType::i64), two),
      "levels must be i32 [3], one per region. Got i64 [3]");
  bad("other channels", align({map, Tensor::zeros({1, 2, 3, 4})}, rois, levels, two),
      "same number of images and channels. Got [1, 4, 5, 2] and [1, 2, 3, 4]");
  bad("other type", align({map, map.to(DType::f64)}, rois, levels, two), "maps must have one type");
  bad("map without rows", align({Tensor::zeros({1, 0, 5, 2})}, rois, {}, one),
      "[N, H, W, C] with positive H and W. Got [1, 0, 5, 2]");
  bad("integers", align({map.to(DType::i32)}, rois, {}, one), "maps must be f32, f64 or bf16. Got i32");
  bad("scale 0", align({map}, rois, {}, options(2, 2, {0})), "a scale must be positive");
  bad("scale NaN", align({map}, rois, {}, options(2, 2, {std::nan("")})), "a scale must be positive");
  bad("no bins", align({map}, rois, {}, options(0, 2, {1})), "a bin or more along each axis");
  bad("65 samples", align({map}, rois, {}, options(2, 2, {1}, 65)), "at most 64 samples");
  bad("two devices", align({map}, rois.to(Device::sim), {}, one), "one device");
  bad(
      "gradient of another shape",
      [=] {
        kernels::roi_align_backward(Tensor::zeros({3, 2, 1, 2}), rois, {}, {{1, 4, 5, 2}}, 0, one);
      },
      "output gradient must be f32 [3, 2, 2, 2]. Got f32 [3, 2, 1, 2]");
  bad(
      "gradient of a map that is not there",
      [=] {
        kernels::roi_align_backward(Tensor::zeros({3, 2, 2, 2}), rois, {}, {{1, 4, 5, 2}}, 1, one);
      },
      "that of one of 1 maps. Got number 1");
}

}  // namespace

void add_roi_align_cases(CaseList& list) {
  for (const Sample& s : samples()) add_sample(list, s);
  add_gradients(list);
  add_bad_inputs(list);
}

}  // namespace atrous::cases
