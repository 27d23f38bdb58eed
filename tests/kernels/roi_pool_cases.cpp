#include "kernels/roi_pool/roi_pool.h"

#include <cmath>
#include <memory>

#include "layers/roi_pool.h"
#include "tests/kernels/op_case.h"
#include "tests/kernels/roi_samples.h"

namespace atrous::cases {
namespace {

using kernels::RoiPoolOptions;
using kernels::RoiPoolProblem;

struct Sample {
  const char* name;
  Shape map;
  RoiPoolOptions options;
  Regions regions;
  const char* network = "";
};

std::vector<Sample> samples() {
  return {
      {"hard regions", {2, 11, 17, 21}, {3, 2, 0.25}, hard_regions(44, 68, 2)},
      {"whole pixels", {2, 9, 10, 32}, {2, 3, 1}, hard_regions(9, 10, 2)},
      {"bins smaller than pixels", {1, 6, 5, 3}, {7, 5, 0.5}, {{0, 1, 1, 7, 5}, {0, 4, 3, 4, 3}}},
      {"halves", {1, 6, 7, 19}, {1, 2, 0.5}, {{0, 1, 3, 5, 7}, {0, -1, -3, 5, 9}, {0, 3, 1, 7, 1}}},
      {"more than a block", {2, 20, 19, 16}, {2, 2, 0.125}, random_regions(300, 2, 160, 152, 3)},
      {"one pixel", {1, 1, 1, 4}, {2, 2, 1}, {{0, 0, 0, 1, 1}, {0, -3, -3, 5, 5}}},
      {"one channel", {1, 5, 9, 1}, {2, 3, 1}, {{0, 1, 1, 7, 4}}},
      {"no regions", {2, 5, 4, 8}, {2, 2, 1}, {}},
      {"no images", {0, 5, 4, 8}, {2, 2, 1}, {{0, 1, 1, 3, 3}, {-1, 0, 0, 2, 2}}},
      {"head of Faster R-CNN on VGG16",
       {1, 38, 63, 512},
       {7, 7, 0.0625},
       random_regions(300, 1, 600, 1000, 7),
       "fasterrcnn_vgg16_600x1000"},
  };
}

void add_sample(CaseList& list, const Sample& s) {
  const Tensor rois = tensor_of(s.regions);
  const RoiPoolProblem problem = kernels::roi_pool_problem(s.map, DType::f32, rois.dim(0), s.options);
  const auto in = static_cast<double>(s.map.numel());
  const auto out = static_cast<double>(problem.output_shape().numel());

  OpCase c;
  c.op = "roi_pool";
  c.descriptor = std::string(s.name) + " " + problem.str();
  c.benchmark = *s.network != 0;
  c.network = s.network;
  c.flops = 8 * out;

  OpCase forward = c;
  forward.entry = "forward";
  forward.inputs = {{.shape = s.map, .fill = Fill::distinct}};
  forward.bytes = 4 * (in + 2 * out);
  forward.run = [=](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor argmax = Tensor::empty(problem.output_shape(), DType::i32, t[0].device());
    const Tensor on_device = rois.to(t[0].device());
    // With and without the indices: the same values.
    return {kernels::roi_pool_forward(t[0], on_device, s.options, argmax), argmax,
            kernels::roi_pool_forward(t[0], on_device, s.options)};
  };
  if (c.benchmark) {
    forward.run = [=](const std::vector<Tensor>& t) -> std::vector<Tensor> {
      const Tensor argmax = Tensor::empty(problem.output_shape(), DType::i32, t[0].device());
      return {kernels::roi_pool_forward(t[0], rois.to(t[0].device()), s.options, argmax)};
    };
  }
  list.cases.push_back(forward);

  OpCase backward = c;
  backward.entry = "backward";
  backward.inputs = {{.shape = problem.output_shape()}};
  backward.accumulation = 64;
  backward.bytes = 4 * (in + 2 * out);
  // Indices of a fixed picture, once for all runs: they are an argument here, not what is tested.
  const auto indices = std::make_shared<Tensor>();
  backward.run = [=](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    if (!indices->defined()) {
      *indices = Tensor::empty(problem.output_shape(), DType::i32);
      const kernels::ForceImplementation reference("roi_pool.forward", "ref");
      const Tensor x = make_input({.shape = s.map, .fill = Fill::distinct}, DType::f32, 0, false, 3);
      kernels::roi_pool_forward(x, rois, s.options, *indices);
    }
    const Device device = t[0].device();
    return {kernels::roi_pool_backward(t[0], rois.to(device), indices->to(device), s.map, s.options)};
  };
  list.cases.push_back(backward);
}

// A NaN in a map must show, and where.
void add_nan(CaseList& list) {
  const RoiPoolOptions options{2, 2, 1};
  const Shape map{1, 6, 6, 4};
  const Tensor rois = tensor_of({{0, 0, 0, 5, 5}, {0, 1, 2, 4, 5}});
  OpCase c;
  c.op = "roi_pool";
  c.entry = "forward";
  c.descriptor = "NaN in the map";
  c.inputs = {{.shape = map}};
  c.run = [=](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor x = t[0].to(Device::cpu).clone();
    x.narrow_channels(1, 1).reshape({36, 1}).narrow_batch(8, 2).fill(NAN);
    const Device device = t[0].device();
    const Tensor argmax = Tensor::empty({2, 2, 2, 4}, DType::i32, device);
    return {kernels::roi_pool_forward(x.to(device), rois.to(device), options, argmax), argmax};
  };
  list.cases.push_back(c);
}

void add_gradients(CaseList& list) {
  const Regions boxes = {{0, 0.7f, 1.3f, 3.9f, 4.2f}, {1, 2, 0, 7, 3}, {1, -3, 1, 2, 9}};
  for (const RoiPoolOptions& o : {RoiPoolOptions{2, 3, 1}, RoiPoolOptions{2, 2, 0.7}}) {
    const Shape map{2, 5, 6, 2};
    list.gradients.push_back(
        {"roi_pool",
         kernels::roi_pool_problem(map, DType::f64, 3, o).str(),
         {{.shape = map, .fill = Fill::distinct}},
         [=](const std::vector<Variable>& v) { return layers::roi_pool(v[0], tensor_of(boxes), o); }});
  }
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "roi_pool", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor map = Tensor::zeros({1, 4, 5, 2}), rois = Tensor::zeros({3, 5});
  const RoiPoolOptions options{2, 2, 1};
  const auto pool = [](const Tensor& x, const Tensor& boxes, RoiPoolOptions o, const Tensor& argmax = {}) {
    return [=] { kernels::roi_pool_forward(x, boxes, o, argmax); };
  };
  bad("four numbers per region", pool(map, Tensor::zeros({3, 4}), options),
      "[roi_pool] regions must be f32 [R, 5]: index of the image, x1, y1, x2, y2. Got f32 [3, 4]");
  bad("rank 3", pool(Tensor::zeros({4, 5, 2}), rois, options),
      "[N, H, W, C] with positive H and W. Got [4, 5, 2]");
  bad("integers", pool(map.to(DType::u8), rois, options), "maps must be f32, f64 or bf16. Got u8");
  bad("no bins", pool(map, rois, {2, 0, 1}), "a bin or more along each axis. Got 2x0");
  bad("negative scale", pool(map, rois, {2, 2, -1}), "a scale must be positive");
  bad("argmax in i64", pool(map, rois, options, Tensor::zeros({3, 2, 2, 2}, DType::i64)),
      "argmax must be i32 [3, 2, 2, 2]. Got i64");
  bad("two devices", pool(map, rois.to(Device::sim), options), "one device");
  bad(
      "gradient of another shape",
      [=] {
        kernels::roi_pool_backward(Tensor::zeros({3, 2, 1, 2}), rois, Tensor::zeros({3, 2, 2, 2}, DType::i32),
                                   map.shape(), options);
      },
      "output gradient must be f32 [3, 2, 2, 2]. Got f32 [3, 2, 1, 2]");
}

}  // namespace

void add_roi_pool_cases(CaseList& list) {
  for (const Sample& s : samples()) add_sample(list, s);
  add_nan(list);
  add_gradients(list);
  add_bad_inputs(list);
}

}  // namespace atrous::cases
