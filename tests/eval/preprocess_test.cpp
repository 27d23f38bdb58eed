// Pictures that are prepared on a device are those of the loader.
#include "kernels/preprocess/preprocess.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "data/augment.h"

using namespace atrous;

namespace {

data::Sample noise(int64_t height, int64_t width) {
  Rng rng(3, 4);
  data::Sample s;
  s.image = Tensor::empty({height, width, 3}, DType::u8);
  s.label = Tensor::empty({height, width}, DType::u8);
  for (int64_t i = 0; i < s.image.numel(); ++i)
    s.image.data<uint8_t>()[i] = static_cast<uint8_t>(rng.integer(0, 255));
  for (int64_t i = 0; i < s.label.numel(); ++i)
    s.label.data<uint8_t>()[i] = static_cast<uint8_t>(rng.integer(0, 20));
  return s;
}

// The largest difference of the values, or 1000 if a label differs.
double difference(const kernels::Preprocessed& got, const Tensor& image, const Tensor& label) {
  const Tensor images = got.images.to(Device::cpu), labels = got.labels.to(Device::cpu);
  double most = 0;
  for (int64_t i = 0; i < image.numel(); ++i)
    most = std::max(most, std::abs(static_cast<double>(images.data<float>()[i]) - image.data<float>()[i]));
  for (int64_t i = 0; i < label.numel(); ++i)
    if (labels.data<uint8_t>()[i] != label.data<uint8_t>()[i]) return 1000;
  return most;
}

}  // namespace

TEST_CASE("preprocess on a device makes the pictures of augment and normalize") {
  const int64_t h = 13, w = 17;
  const data::Sample sample = noise(h, w);
  const data::DataOptions statistics;
  kernels::PreprocessOptions o{.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
  const Tensor images = sample.image.reshape({1, h, w, 3}).to(Device::sim);
  const Tensor labels = sample.label.reshape({1, h, w}).to(Device::sim);
  for (const double scale : {1.0, 2.0, 0.77}) {
    for (const auto& [flip_x, flip_y] : {std::pair{false, false}, {true, false}, {false, true}}) {
      INFO("scale " << scale << " flips " << flip_x << flip_y);
      data::AugmentOptions a{.crop_height = std::lround(h * scale),
                             .crop_width = std::lround(w * scale) + 3,
                             .scale_min = scale,
                             .scale_max = scale,
                             .flip_horizontal = flip_x ? 1.0 : 0.0,
                             .flip_vertical = flip_y ? 1.0 : 0.0,
                             .border_color = o.mean};
      Rng rng(11, 12);
      const data::Sample out = data::augment(sample, a, rng);
      const Tensor expected = data::normalize(out.image, statistics);
      o.height = a.crop_height;
      o.width = a.crop_width;
      // The corner is drawn: the picture lies in one of four places, and fits only there.
      int fits = 0;
      for (int left = -3; left <= 0; ++left) {
        const kernels::PreprocessChange change{
            .map = kernels::PreprocessMap::crop(scale, left, 0, flip_x, flip_y, w, h)};
        fits += difference(kernels::preprocess(images, labels, {&change, 1}, o), expected, out.label) < 1e-5;
      }
      CHECK(fits == 1);
    }
  }
}
