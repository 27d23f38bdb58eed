// Scales, flips and windows against the definition, evaluated pixel by pixel in double.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/allocator.h"
#include "data/augment.h"
#include "eval/inference.h"
#include "eval/network_pass.h"
#include "tests/eval/fake_models.h"

using namespace atrous;
using namespace atrous::eval;
using namespace atrous::eval_test;

namespace {

// As Smooth, but its logits are to be resized from corner to corner.
class Corners : public Smooth {
 public:
  layers::SegmentationOutput forward(const Variable& image) override {
    layers::SegmentationOutput out = Smooth::forward(image);
    out.align_corners = true;
    return out;
  }
};

// Logits that depend on where a pixel lies in the window, as those of a network with zero padding do.
class Positional : public Pointwise {
 public:
  layers::SegmentationOutput forward(const Variable& image) override {
    layers::SegmentationOutput out = Pointwise::forward(image);
    const Tensor logits = out.logits.value();
    const int64_t h = logits.dim(1), w = logits.dim(2);
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        logits.data<float>()[(y * w + x) * 3] += 0.3f * static_cast<float>(y);
        logits.data<float>()[(y * w + x) * 3 + 2] -= 0.2f * static_cast<float>(x);
      }
    }
    return out;
  }
};

// A map of 3 values per pixel in double.
struct Map {
  int64_t h, w;
  std::vector<double> v;
  Map(int64_t height, int64_t width) : h(height), w(width), v(static_cast<size_t>(h * w * 3)) {}
  double& at(int64_t y, int64_t x, int64_t k) { return v[static_cast<size_t>((y * w + x) * 3 + k)]; }
  // Bilinear between pixel centres, which lie at whole numbers.
  double sample(double y, double x, int64_t k) {
    y = std::clamp(y, 0.0, static_cast<double>(h - 1));
    x = std::clamp(x, 0.0, static_cast<double>(w - 1));
    const auto y0 = static_cast<int64_t>(std::floor(y)), x0 = static_cast<int64_t>(std::floor(x));
    const int64_t y1 = std::min(y0 + 1, h - 1), x1 = std::min(x0 + 1, w - 1);
    const double b = y - static_cast<double>(y0), a = x - static_cast<double>(x0);
    return (1 - b) * ((1 - a) * at(y0, x0, k) + a * at(y0, x1, k)) +
           b * ((1 - a) * at(y1, x0, k) + a * at(y1, x1, k));
  }
};

Map run(layers::SegmentationModel& model, const Tensor& input, bool& align_corners) {
  const layers::SegmentationOutput out =
      model.forward(Variable(input.reshape({1, input.dim(0), input.dim(1), 3})));
  align_corners = out.align_corners;
  const Tensor& logits = out.logits.value();
  Map map(logits.dim(1), logits.dim(2));
  for (size_t i = 0; i < map.v.size(); ++i) map.v[i] = static_cast<double>(logits.data<float>()[i]);
  return map;
}

Tensor rectangle(const Tensor& image, int64_t top, int64_t left, int64_t h, int64_t w, bool mirrored) {
  const Tensor out = Tensor::empty({h, w, 3});
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t from = left + (mirrored ? w - 1 - x : x);
        out.data<float>()[(y * w + x) * 3 + c] =
            image.data<float>()[((top + y) * image.dim(1) + from) * 3 + c];
      }
    }
  }
  return out;
}

double weight(int64_t i, int64_t window, WindowBlend blend) {
  const double d =
      (static_cast<double>(i) - static_cast<double>(window - 1) / 2) / (static_cast<double>(window) / 8);
  return blend == WindowBlend::mean ? 1.0 : std::max(1e-3, std::exp(-d * d / 2));
}

// All windows at all pixels, without bands or products of sums.
Map blended(layers::SegmentationModel& model, const Tensor& input, const InferenceOptions& o) {
  const int64_t h = input.dim(0), w = input.dim(1);
  const int64_t wh = std::min(o.window_height, h), ww = std::min(o.window_width, w);
  Map sum(h, w), total(h, w);
  for (int64_t top : window_starts(h, wh, o.window_overlap)) {
    for (int64_t left : window_starts(w, ww, o.window_overlap)) {
      bool align = false;
      Map logits = run(model, rectangle(input, top, left, wh, ww, false), align);
      for (int64_t y = 0; y < wh; ++y) {
        for (int64_t x = 0; x < ww; ++x) {
          const double a = weight(y, wh, o.window_blend) * weight(x, ww, o.window_blend);
          for (int64_t k = 0; k < 3; ++k) {
            sum.at(top + y, left + x, k) += a * logits.at(y, x, k);
            total.at(top + y, left + x, k) += a;
          }
        }
      }
    }
  }
  for (size_t i = 0; i < sum.v.size(); ++i) sum.v[i] /= total.v[i];
  return sum;
}

Map expected(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
             const InferenceOptions& o) {
  const int64_t h = image.dim(0), w = image.dim(1);
  Map result(h, w);
  const double passes = static_cast<double>(o.scales.size()) * (o.flip ? 2 : 1);
  for (double scale : o.scales) {
    const double fixed_h = static_cast<double>(data.image_height ? data.image_height : h);
    const double fixed_w = static_cast<double>(data.image_width ? data.image_width : w);
    const auto ih = std::lround(fixed_h * scale), iw = std::lround(fixed_w * scale);
    data::Sample sample;
    sample.image = image;
    const Tensor input = data::normalize(data::resize_sample(sample, ih, iw, false).image, data);
    for (int mirrored = 0; mirrored <= (o.flip ? 1 : 0); ++mirrored) {
      const Tensor seen = rectangle(input, 0, 0, ih, iw, mirrored);
      bool align = false;
      Map logits = o.window_height ? blended(model, seen, o) : run(model, seen, align);
      // Where among `n` logits the centre of label pixel i of `labels` lies, by way of the `in` input pixels.
      const auto place = [&](int64_t i, int64_t labels, int64_t in, int64_t n) {
        const double at =
            (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(labels) - 0.5;
        if (!align) return (at + 0.5) * static_cast<double>(n) / static_cast<double>(in) - 0.5;
        return std::clamp(at, 0.0, static_cast<double>(in - 1)) * static_cast<double>(n - 1) /
               static_cast<double>(in - 1);
      };
      for (int64_t y = 0; y < h; ++y) {
        for (int64_t x = 0; x < w; ++x) {
          double e[3], sum = 0;
          for (int64_t k = 0; k < 3; ++k) {
            e[k] = std::exp(logits.sample(place(y, h, ih, logits.h), place(x, w, iw, logits.w), k));
            sum += e[k];
          }
          for (int64_t k = 0; k < 3; ++k) result.at(y, mirrored ? w - 1 - x : x, k) += e[k] / sum / passes;
        }
      }
    }
  }
  return result;
}

double worst(const Tensor& got, const Map& want) {
  double result = 0;
  for (size_t i = 0; i < want.v.size(); ++i)
    result = std::max(result, std::abs(static_cast<double>(got.data<float>()[i]) - want.v[i]));
  return result;
}

// 150 classes at an eighth of the resolution, or at full resolution.
class ManyClasses : public Pointwise {
 public:
  explicit ManyClasses(int64_t stride) : stride_(stride) {}
  layers::SegmentationOutput forward(const Variable& image) override {
    const int64_t h = (image.dim(1) + stride_ - 1) / stride_, w = (image.dim(2) + stride_ - 1) / stride_;
    return {Variable(Tensor::zeros({1, h, w, 150})), {}, {0, 0, image.dim(1), image.dim(2)}, false};
  }
  int64_t num_classes() const override { return 150; }

 private:
  int64_t stride_;
};

// Bytes of tensors at the peak of one prediction, as a share of one f32 [H, W, K].
double peak_share(ManyClasses& model, const InferenceOptions& options) {
  const Tensor image = random_image(96, 160, 1);
  reset_peak_memory();
  const int64_t before = allocator_stats().bytes_in_use;
  predict_image(model, image, plain_data(), options, true, {{}, [](const PredictedRows&) {}});
  return static_cast<double>(allocator_stats().peak_in_use - before) / (96.0 * 160 * 150 * 4);
}

}  // namespace

TEST_CASE("scales and flips average probabilities at the size of the label, whatever the network saw") {
  Smooth half_pixel;
  Corners corners;
  const Tensor image = random_image(23, 38, 11);
  for (layers::SegmentationModel* model : {static_cast<layers::SegmentationModel*>(&half_pixel),
                                           static_cast<layers::SegmentationModel*>(&corners)}) {
    for (int64_t fixed : {0, 16}) {
      data::DataOptions data = plain_data();
      data.image_height = fixed;
      data.image_width = fixed ? 60 : 0;
      for (const std::vector<double>& scales : {std::vector<double>{1}, {0.5}, {0.5, 1, 1.75}}) {
        for (bool flip : {false, true}) {
          InferenceOptions o;
          o.scales = scales;
          o.flip = flip;
          CAPTURE(fixed, scales.size(), flip, model == &corners);
          CHECK(worst(predict_probabilities(*model, image, data, o), expected(*model, image, data, o)) <
                1e-5);
        }
      }
    }
  }
}

TEST_CASE("windows are blended as the weights say, at every scale") {
  Positional model;
  const Tensor image = random_image(29, 41, 12);
  for (const WindowBlend blend : {WindowBlend::gaussian, WindowBlend::mean}) {
    for (double overlap : {0.0, 1.0 / 3, 0.5}) {
      for (const std::vector<double>& scales : {std::vector<double>{1}, {0.7}, {0.6, 1, 1.4}}) {
        InferenceOptions o;
        o.scales = scales;
        o.flip = scales.size() > 1;
        o.window_height = 12;
        o.window_width = 15;
        o.window_overlap = overlap;
        o.window_blend = blend;
        CAPTURE(atrous::name_of(blend), overlap, scales.size());
        CHECK(worst(predict_probabilities(model, image, plain_data(), o),
                    expected(model, image, plain_data(), o)) < 1e-5);
      }
    }
  }
}

TEST_CASE("windows cover the image, overlap as asked and end with it") {
  CHECK(window_starts(10, 4, 0.5) == std::vector<int64_t>{0, 2, 4, 6});
  CHECK(window_starts(11, 4, 0.5) == std::vector<int64_t>{0, 2, 4, 6, 7});
  CHECK(window_starts(4, 4, 0.5) == std::vector<int64_t>{0});
  // Cityscapes as MMSegmentation slides over it: windows of 769 every 513 pixels.
  CHECK(window_starts(2048, 769, 1.0 / 3) == std::vector<int64_t>{0, 513, 1026, 1279});
}

TEST_CASE("weights fade towards the rim of a window, symmetrically, and never reach zero") {
  const std::vector<float> w = window_weights(64, WindowBlend::gaussian);
  for (size_t i = 1; i < 32; ++i) CHECK(w[i] >= w[i - 1]);
  for (size_t i = 0; i < 32; ++i) CHECK(w[i] == w[63 - i]);
  CHECK(w[0] == 1e-3f);
  CHECK(w[31] > 0.99f);
  CHECK(window_weights(3, WindowBlend::mean) == std::vector<float>{1, 1, 1});
}

TEST_CASE("no map of all classes at full resolution is made where none is needed") {
  ManyClasses coarse(8), fine(1);
  InferenceOptions single, many, windows;
  many.scales = {0.5, 0.75, 1.0, 1.25, 1.5, 1.75};
  many.flip = true;
  windows.window_height = windows.window_width = 32;
  CHECK(peak_share(coarse, single) < 0.08);
  // 12 passes whose logits together are 8.7 * 2 / 64 of the map, and copies of the largest input.
  CHECK(peak_share(coarse, many) < 0.5);
  // A band of 32 rows of 96.
  CHECK(peak_share(coarse, windows) < 0.45);
  CHECK(peak_share(fine, single) < 1.1);
  // The map and the logits of one pass at scale 1.75: 1 + 3.1.
  CHECK(peak_share(fine, many) < 4.5);
}
