#include "kernels/preprocess/preprocess.h"

#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::PreprocessChange;
using kernels::PreprocessMap;
using kernels::PreprocessOptions;

struct Sample {
  Shape images;
  int64_t height = 0, width = 0;
  bool changes = true, colors = false, reflect = false, labels = true;
  const char* network = "";
};

// Groups of pixels that end in another row or image, columns of one pixel, no images; channels of their own
// kernels and others; sources of one pixel.
const Sample samples[] = {
    {{6, 9, 11, 3}, 8, 8},
    {{6, 9, 11, 3}, 13, 7, true, true},
    {{6, 9, 11, 3}, 13, 7, true, true, true},
    {{2, 9, 11, 3}, 0, 0, false},
    {{1, 5, 6, 3}, 0, 0, false, false, false, false},
    {{6, 6, 5, 1}, 7, 9, true, true, false},
    {{6, 6, 5, 1}, 3, 16, true, false, true, false},
    {{6, 6, 5, 4}, 5, 5, true, true, true},
    {{6, 6, 5, 4}, 5, 1},
    {{6, 6, 5, 5}, 5, 9, true, true},
    {{6, 1, 1, 3}, 3, 3, true, false, true},
    {{6, 1, 4, 2}, 3, 3},
    {{0, 4, 4, 3}, 6, 6},
    {{2, 40, 50, 3}, 45, 61},
    {{8, 720, 960, 3}, 360, 480, true, true, false, true, "camvid"},
    {{4, 1024, 2048, 3}, 768, 768, true, true, false, true, "cityscapes"},
    {{16, 512, 512, 3}, 0, 0, false, false, false, false, "normalisation"},
};

// The six kinds of change, in turn.
PreprocessChange change_of(int64_t i, const Sample& s) {
  const auto w = s.images[2], h = s.images[1];
  PreprocessChange change;
  if (i % 6 == 1) change.map = PreprocessMap::crop(1.5, 3, 2, true, false, w, h);     // inside
  if (i % 6 == 2) change.map = PreprocessMap::crop(0.75, -2, -1, false, true, w, h);  // padded
  if (i % 6 == 3) change.map = {0, 1, 0, -1, 0, static_cast<double>(h)};              // turned
  if (i % 6 == 4) change.map = {0.83, -0.41, 0.3, 0.37, 1.2, -0.7};
  if (i % 6 == 5) change.map = PreprocessMap::crop(1, 1e6, 2e6, false, false, w, h);  // nothing is left
  // Values leave [0, 1] at both ends.
  if (s.colors && i % 2 == 1) change.color = {1.3, -0.2, 0.1, 0.2, 1.1, 0.3, -0.3, 0.1, 0.7};
  if (s.colors && i % 3 == 1) change.offset = -0.15;
  return change;
}

std::vector<PreprocessChange> changes_of(const Sample& s) {
  std::vector<PreprocessChange> changes;
  for (int64_t i = 0; s.changes && i < s.images[0]; ++i) changes.push_back(change_of(i, s));
  return changes;
}

PreprocessOptions options_of(const Sample& s) {
  PreprocessOptions o{.height = s.height, .width = s.width, .reflect = s.reflect, .ignore_label = 254};
  for (int64_t c = 0; c < s.images[3]; ++c) {
    o.mean.push_back(0.4 + 0.05 * static_cast<double>(c));
    o.std.push_back(0.2 + 0.03 * static_cast<double>(c));
    if (s.colors) o.border.push_back(0.1 * static_cast<double>(c));
  }
  return o;
}

kernels::PreprocessProblem problem_of(const Sample& s) {
  const PreprocessOptions o = options_of(s);
  return {.n = s.images[0],
          .in_h = s.images[1],
          .in_w = s.images[2],
          .channels = s.images[3],
          .out_h = o.height ? o.height : s.images[1],
          .out_w = o.width ? o.width : s.images[2],
          .colors = s.changes && s.colors,
          .reflect = o.reflect,
          .labels = s.labels,
          .ignore_label = static_cast<uint8_t>(o.ignore_label)};
}

void add(CaseList& list, const Sample& s) {
  const auto p = problem_of(s);
  OpCase c{.op = "preprocess", .entry = "forward", .descriptor = p.str() + (s.changes ? "" : " unchanged")};
  // The last input lends its dtype to the images that result.
  c.inputs = {{.shape = s.images, .fill = Fill::labels, .classes = 256, .bytes = true},
              {.shape = {p.n, p.in_h, p.in_w}, .fill = Fill::labels, .classes = 21, .bytes = true},
              {.shape = {1}}};
  c.run = [s, changes = changes_of(s)](const std::vector<Tensor>& in) {
    PreprocessOptions o = options_of(s);
    o.dtype = in[2].dtype();
    const auto result = kernels::preprocess(in[0], s.labels ? in[1] : Tensor(), changes, o);
    return std::vector<Tensor>{result.images, result.labels};
  };
  c.exact = false;
  c.accumulation = 4;
  const auto in = static_cast<double>(p.n * p.in_h * p.in_w),
             out = static_cast<double>(p.n * p.out_h * p.out_w);
  const double label = s.labels ? 1 : 0;
  c.bytes =
      in * (static_cast<double>(p.channels) + label) + out * (4 * static_cast<double>(p.channels) + label);
  c.benchmark = *s.network != 0;
  c.network = s.network;
  list.cases.push_back(c);
}

}  // namespace

void add_preprocess_cases(CaseList& list) {
  for (const Sample& s : samples) add(list, s);
  list.not_differentiable.push_back("preprocess");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "preprocess", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Shape shape{2, 4, 5, 3};
  const PreprocessOptions options{.mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}};
  const auto run = [=](const Tensor& images, const Tensor& labels, size_t changes,
                       const PreprocessOptions& o) {
    kernels::preprocess(images, labels, std::vector<PreprocessChange>(changes), o);
  };
  const auto bytes = [](const Shape& s) { return Tensor::zeros(s, DType::u8); };
  bad(
      "f32 images", [=] { run(Tensor::zeros(shape), {}, 0, options); },
      "images must be u8 [N, H, W, C] with a pixel or more. Got f32 [2, 4, 5, 3]");
  bad(
      "no pixels",
      [=] {
        run(bytes({2, 0, 5, 3}), {}, 0, options);
      },
      "with a pixel or more. Got u8 [2, 0, 5, 3]");
  bad(
      "statistics of other channels",
      [=] {
        run(bytes({2, 4, 5, 4}), {}, 0, options);
      },
      "need a value per channel. Got 3, 3 and 0 for 4 channels");
  bad(
      "std of zero",
      [=] {
        PreprocessOptions o = options;
        o.std[1] = 0;
        run(bytes(shape), {}, 0, o);
      },
      "std must be positive. Got 0");
  bad(
      "a change too many", [=] { run(bytes(shape), {}, 3, options); },
      "one change per image, or none at all. Got 3 for 2 images");
  bad(
      "labels of another size",
      [=] {
        run(bytes(shape), bytes({2, 5, 4}), 0, options);
      },
      "labels must be u8 of shape [2, 4, 5]. Got u8 [2, 5, 4]");
  bad(
      "labels elsewhere",
      [=] {
        run(bytes(shape).to(Device::sim), bytes({2, 4, 5}), 0, options);
      },
      "one device");
  bad(
      "ignore label beyond u8",
      [=] {
        PreprocessOptions o = options;
        o.ignore_label = -1;
        run(bytes(shape), {}, 0, o);
      },
      "an ignore label in u8 and a floating dtype. Got 0x0, ignore label -1, f32");
}

}  // namespace atrous::cases
