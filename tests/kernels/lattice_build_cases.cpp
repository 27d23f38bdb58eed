#include "kernels/lattice_build/lattice_build.h"

#include <limits>

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

using kernels::Lattice;
using kernels::LatticeFeaturesProblem;
using kernels::LatticeProblem;

std::vector<Tensor> tensors_of(const Lattice& l) {
  return {l.vertex, l.weight, l.neighbours, l.splat_begin, l.splat_entry};
}

OpCase build_case(int64_t points, int64_t dims, const std::string& what, const Input& input) {
  const LatticeProblem p{points, dims};
  OpCase c{.op = "lattice_build", .entry = "build", .descriptor = p.str() + " " + what};
  c.inputs = {input};
  const auto n = static_cast<double>(points), d1 = static_cast<double>(dims + 1);
  c.bytes = n * (4 * (d1 - 1) + 12 * d1);
  c.flops = 10 * n * d1 * d1;
  return c;
}

// Normal features times `spread`: 0 puts all points onto one vertex, large ones give every point a simplex of
// its own. In exact runs features are small integers times `spread`: rests are equal everywhere.
struct Cloud {
  int64_t points, dims;
  double spread;
};
const Cloud clouds[] = {
    {1, 2, 1},   {1, 8, 1},    {2, 5, 0},     {33, 2, 3},    {64, 3, 1},     {500, 3, 0.5},  {257, 4, 2},
    {300, 5, 1}, {300, 5, 0},  {255, 5, 40},  {900, 5, 0.3}, {300, 6, 1},    {300, 7, 1.5},  {300, 8, 1},
    {90, 8, 30}, {40, 8, 800}, {60, 5, 2000}, {40, 2, 2000}, {5000, 2, 0.5}, {3000, 5, 0.1},
};

void add_cloud(CaseList& list, const Cloud& cloud) {
  OpCase c = build_case(cloud.points, cloud.dims, fmt::format("spread {}", cloud.spread),
                        {.shape = {cloud.points, cloud.dims}, .parameter = true});
  c.run = [spread = cloud.spread](const std::vector<Tensor>& in) {
    const Tensor scaled = in_f32(in[0]).to(Device::cpu).clone();
    for (int64_t i = 0; i < scaled.numel(); ++i) scaled.data<float>()[i] *= static_cast<float>(spread);
    return tensors_of(kernels::lattice_build(scaled.to(in[0].device())));
  };
  list.cases.push_back(c);
}

// The lattice of a bilateral kernel over a picture of so many grey levels per channel: a constant one, one of
// few colours, noise.
struct Picture {
  int64_t height, width, levels;
  double xy_std, color_std;
  const char* network = "";
};
const Picture pictures[] = {
    {48, 48, 1, 3, 5},  {48, 48, 3, 49, 1}, {48, 48, 256, 49, 5},
    {31, 17, 40, 8, 3}, {1, 1, 256, 49, 5}, {375, 500, 40, 49, 5, "voc"},
};

// By hand: the op's own entry may lack the implementation that the case is about.
Tensor features_of(const Tensor& image, const Picture& s) {
  const Tensor host = image.to(Device::cpu), features = Tensor::empty({s.height * s.width, 5});
  const auto* in = host.data<uint8_t>();
  auto* out = features.data<float>();
  for (int64_t p = 0; p < s.height * s.width; ++p) {
    const int64_t rgb[] = {in[3 * p], in[3 * p + 1], in[3 * p + 2]};
    for (int64_t position : {p % s.width, p / s.width})
      *out++ = static_cast<float>(static_cast<double>(position) / s.xy_std);
    for (int64_t color : rgb) *out++ = static_cast<float>(static_cast<double>(color) / s.color_std);
  }
  return features;
}

void add_picture(CaseList& list, const Picture& s) {
  const Input image{.shape = {s.height, s.width, 3},
                    .fill = Fill::labels,
                    .classes = s.levels,
                    .ignore_label = 0,
                    .bytes = true};
  OpCase c = build_case(
      s.height * s.width, 5,
      fmt::format("picture {}x{} of {} levels std {} {}", s.height, s.width, s.levels, s.xy_std, s.color_std),
      image);
  c.run = [s](const std::vector<Tensor>& in) {
    return tensors_of(kernels::lattice_build(features_of(in[0], s).to(in[0].device())));
  };
  c.benchmark = *s.network != 0;
  c.network = s.network;
  list.cases.push_back(c);
}

void add_features(CaseList& list, int64_t height, int64_t width, bool bytes) {
  const LatticeFeaturesProblem p{height, width, 49, 5, bytes ? DType::u8 : DType::f32};
  OpCase c{.op = "lattice_build", .entry = "features", .descriptor = p.str()};
  c.inputs = {{.shape = {height, width, 3},
               .fill = bytes ? Fill::labels : Fill::real,
               .classes = 256,
               .parameter = true,
               .bytes = bytes}};
  c.run = [=](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{
        kernels::bilateral_features(bytes ? in[0] : in_f32(in[0]), double{p.xy_std}, double{p.color_std})};
  };
  c.bytes = static_cast<double>(height * width) * (bytes ? 23 : 32);
  list.cases.push_back(c);
}

Tensor features_with(float value) {
  const Tensor t = Tensor::zeros({7, 5});
  t.data<float>()[18] = value;
  return t;
}

}  // namespace

void add_lattice_build_cases(CaseList& list) {
  for (const Cloud& cloud : clouds) add_cloud(list, cloud);
  for (const Picture& picture : pictures) add_picture(list, picture);
  add_features(list, 5, 7, true);
  add_features(list, 1, 1, false);
  add_features(list, 40, 33, false);
  list.not_differentiable.push_back("lattice_build");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "lattice_build", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const auto build = [](const Tensor& t) { return [t] { kernels::lattice_build(t); }; };
  bad("one feature", build(Tensor::zeros({4, 1})), "d = 2 to 8. Got f32 [4, 1]");
  bad("nine features", build(Tensor::zeros({4, 9})), "d = 2 to 8. Got f32 [4, 9]");
  bad("no points", build(Tensor::zeros({0, 5})), "N >= 1 points");
  bad("an image", build(Tensor::zeros({4, 4, 5})), "[lattice_build] features must be f32 or f64 [N, d]");
  bad("integers", build(Tensor::zeros({4, 5}, DType::i32)), "Got i32 [4, 5]");
  bad("NaN", build(features_with(std::numeric_limits<float>::quiet_NaN())),
      "Got (0, 0, 0, nan, 0) for point 3. Look for NaN in the image, or take larger standard deviations");
  bad("infinity", build(features_with(-std::numeric_limits<float>::infinity())), "-inf, 0) for point 3");
  bad("far away", build(features_with(3e5f)), "Got (0, 0, 0, 300000, 0) for point 3");

  // Within reach, but eight quotients of 15 bits.
  const Tensor spread = Tensor::empty({512, 8});
  for (int64_t i = 0; i < spread.numel(); ++i)
    spread.data<float>()[i] = (i * i + i / 8) % 2 ? 1.2e4f : -1.2e4f;
  bad("keys too long", build(spread), "128 bits");

  const auto features = [](const Tensor& image, double xy, double color) {
    return [=] { kernels::bilateral_features(image, xy, color); };
  };
  const Tensor image = Tensor::zeros({4, 6, 3}, DType::u8);
  bad("grey", features(Tensor::zeros({4, 6, 1}, DType::u8), 49, 5), "Got u8 [4, 6, 1]");
  bad("image without pixels", features(Tensor::zeros({0, 6, 3}), 49, 5), "with pixels. Got f32 [0, 6, 3]");
  bad("image of f64", features(Tensor::zeros({4, 6, 3}, DType::f64), 49, 5), "must be u8 or f32");
  bad("no width", features(image, 0, 5), "must be positive. Got 0 for positions, 5 for colours");
  bad("NaN width", features(image, 49, std::numeric_limits<double>::quiet_NaN()),
      "Got 49 for positions, nan");
}

}  // namespace atrous::cases
