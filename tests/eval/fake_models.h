// Networks simple enough that their output is known, and a data set in memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "data/dataset.h"
#include "layers/segmentation_model.h"

namespace atrous::eval_test {

// Values in [0, 1] reach the network as they are.
inline data::DataOptions plain_data() {
  data::DataOptions options;
  options.mean = {0, 0, 0};
  options.std = {1, 1, 1};
  return options;
}

inline Tensor random_image(int64_t h, int64_t w, uint64_t seed) {
  Rng rng(seed);
  const Tensor t = Tensor::empty({h, w, 3}, DType::u8);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<uint8_t>()[i] = static_cast<uint8_t>(rng.integer(0, 255));
  return t;
}

inline double max_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    worst = std::max(
        worst, std::abs(static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i])));
  }
  return worst;
}

inline int64_t different_pixels(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return -1;
  int64_t count = 0;
  for (int64_t i = 0; i < a.numel(); ++i) count += a.data<uint8_t>()[i] != b.data<uint8_t>()[i];
  return count;
}

// logit k of a pixel = 8 * channel k: the class is the brightest channel.
class Pointwise : public layers::SegmentationModel {
 public:
  double logit(const uint8_t* pixel, int k) const { return 8.0 * pixel[k] / 255.0; }
  uint8_t label(const uint8_t* pixel) const {
    return static_cast<uint8_t>(std::max_element(pixel, pixel + 3) - pixel);
  }
  layers::SegmentationOutput forward(const Variable& image) override {
    const Tensor logits = image.value().clone();
    for (int64_t i = 0; i < logits.numel(); ++i) logits.data<float>()[i] *= 8;
    if (poison) logits.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    return {Variable(logits), {}, {0, 0, image.dim(1), image.dim(2)}, false};
  }
  int64_t num_classes() const override { return 3; }
  int64_t in_channels() const override { return 3; }
  int64_t output_stride() const override { return 1; }
  std::string kind() const override { return "Pointwise"; }
  bool poison = false;
};

// Logits at half the resolution (2x2 means, ragged edges included), as an encoder would give.
class Smooth : public Pointwise {
 public:
  layers::SegmentationOutput forward(const Variable& image) override {
    const Tensor& x = image.value();
    const int64_t h = (x.dim(1) + 1) / 2, w = (x.dim(2) + 1) / 2;
    const Tensor logits = Tensor::zeros({1, h, w, 3});
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t u = 0; u < w; ++u) {
        for (int64_t k = 0; k < 3; ++k) {
          float sum = 0;
          for (int64_t d = 0; d < 4; ++d) {
            const int64_t sy = std::min(2 * y + d / 2, x.dim(1) - 1),
                          sx = std::min(2 * u + d % 2, x.dim(2) - 1);
            sum += x.data<float>()[(sy * x.dim(2) + sx) * 3 + k];
          }
          logits.data<float>()[(y * w + u) * 3 + k] = 2 * sum;
        }
      }
    }
    return {Variable(logits), {}, {0, 0, x.dim(1), x.dim(2)}, false};
  }
};

// Describes only what is at least `margin` pixels inside (and `uneven` more at the bottom and right): the
// pixel itself, or with `take_top_left` the pixel `margin` up and left of it.
class Valid : public Pointwise {
 public:
  Valid(int64_t margin, int64_t uneven, bool take_top_left = false)
      : margin_(margin), uneven_(uneven), take_top_left_(take_top_left) {}
  int64_t context() const override { return margin_; }
  layers::SegmentationOutput forward(const Variable& image) override {
    const Tensor& x = image.value();
    const int64_t h = x.dim(1) - 2 * margin_ - uneven_, w = x.dim(2) - 2 * margin_ - uneven_;
    if (h < 1 || w < 1) return {Variable(Tensor::zeros({1, 1, 1, 3})), {}, {margin_, margin_, 0, 0}, false};
    const Tensor logits = Tensor::empty({1, h, w, 3});
    const int64_t shift = take_top_left_ ? 0 : margin_;
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t u = 0; u < w; ++u) {
        for (int64_t k = 0; k < 3; ++k) {
          logits.data<float>()[(y * w + u) * 3 + k] =
              8 * x.data<float>()[((y + shift) * x.dim(2) + u + shift) * 3 + k];
        }
      }
    }
    return {Variable(logits), {}, {margin_, margin_, h, w}, false};
  }

 private:
  int64_t margin_, uneven_;
  bool take_top_left_;
};

// Images of different sizes whose labels are the model's, but column 0 wrong and column 1 ignored.
class MemoryDataset : public data::Dataset {
 public:
  MemoryDataset(const Pointwise& model, int64_t size) {
    for (int64_t i = 0; i < size; ++i) {
      data::Sample s;
      s.id = "image" + std::to_string(i);
      const int64_t h = 10 + i, w = 20 - i;
      s.image = random_image(h, w, 100 + static_cast<uint64_t>(i));
      s.label = Tensor::empty({h, w}, DType::u8);
      for (int64_t p = 0; p < h * w; ++p) {
        const uint8_t own = model.label(s.image.data<uint8_t>() + 3 * p);
        s.label.data<uint8_t>()[p] = p % w == 0   ? static_cast<uint8_t>((own + 1) % 3)
                                     : p % w == 1 ? data::ignore_label
                                                  : own;
      }
      wrong += h;
      ignored += h;
      pixels += h * w - h;
      samples_.push_back(s);
    }
  }
  // Mean cross-entropy in double.
  double loss(const Pointwise& model) const {
    double sum = 0;
    for (const data::Sample& s : samples_) {
      for (int64_t p = 0; p < s.label.numel(); ++p) {
        const uint8_t gt = s.label.data<uint8_t>()[p];
        if (gt == data::ignore_label) continue;
        double z = 0;
        for (int k = 0; k < 3; ++k) z += std::exp(model.logit(s.image.data<uint8_t>() + 3 * p, k));
        sum += std::log(z) - model.logit(s.image.data<uint8_t>() + 3 * p, gt);
      }
    }
    return sum / static_cast<double>(pixels);
  }
  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }
  std::string id(int64_t i) const override { return samples_[static_cast<size_t>(i)].id; }
  data::Sample load(int64_t i) const override { return samples_[static_cast<size_t>(i)]; }
  int64_t num_classes() const override { return 3; }
  int64_t in_channels() const override { return 3; }
  const std::vector<data::ClassInfo>& classes() const override { return classes_; }
  std::string describe() const override { return "in memory"; }
  int64_t wrong = 0, ignored = 0, pixels = 0;

 private:
  std::vector<data::Sample> samples_;
  std::vector<data::ClassInfo> classes_ = {
      {"red", {255, 0, 0}}, {"green", {0, 255, 0}}, {"blue", {0, 0, 255}}};
};

}  // namespace atrous::eval_test
