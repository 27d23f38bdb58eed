#include "data/augment.h"

#include <cmath>
#include <set>

#include "data/augment_internal.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// The image holds its own coordinates (red x, green y), the label a value made from the same coordinates.
Sample coordinates(int64_t height, int64_t width) {
  Sample s;
  s.id = "coordinates";
  s.image = Tensor::empty({height, width, 3}, DType::u8);
  s.label = Tensor::empty({height, width}, DType::u8);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      uint8_t* pixel = s.image.data<uint8_t>() + (y * width + x) * 3;
      pixel[0] = static_cast<uint8_t>(x);
      pixel[1] = static_cast<uint8_t>(y);
      pixel[2] = 200;
      s.label.data<uint8_t>()[y * width + x] = static_cast<uint8_t>(x / 16 + 4 * (y / 16));
    }
  }
  return s;
}

// Every labelled output pixel must have the label of the place that its colours name; returns how many were
// compared.
int64_t check_together(const Sample& out) {
  int64_t compared = 0;
  for (int64_t p = 0; p < out.label.numel(); ++p) {
    const int label = out.label.data<uint8_t>()[p];
    const float* pixel = out.image.data<float>() + p * 3;
    if (label == ignore_label) {
      CHECK(pixel[2] == 0);  // border colour
      continue;
    }
    const double x = pixel[0] * 255.0, y = pixel[1] * 255.0;
    const double fx = std::fmod(x + 0.5, 16), fy = std::fmod(y + 0.5, 16);
    if (fx < 0.01 || fx > 15.99 || fy < 0.01 || fy > 15.99) continue;  // on a boundary: either side
    ++compared;
    if (label != static_cast<int>((x + 0.5) / 16) + 4 * static_cast<int>((y + 0.5) / 16)) {
      FAIL_CHECK("pixel " << p << " shows (" << x << ", " << y << ") with label " << label);
    }
  }
  return compared;
}

Sample run(const Sample& sample, const AugmentOptions& options, uint64_t seed) {
  Rng rng(seed);
  return augment(sample, options, rng);
}

}  // namespace

TEST_CASE("augment: nothing asked, nothing changed") {
  const Sample s = coordinates(20, 30), out = run(s, {}, 1);
  CHECK(same(out.label, s.label));
  for (int64_t i = 0; i < s.image.numel(); ++i)
    CHECK(out.image.data<float>()[i] == Approx(s.image.data<uint8_t>()[i] / 255.0));
  CHECK(out.id == s.id);
}

TEST_CASE("augment: image and label move together under every geometric change") {
  const Sample s = coordinates(64, 64);
  std::vector<AugmentOptions> all(9);
  all[0].flip_horizontal = 0.5;
  all[1].flip_vertical = 0.5;
  all[2].rotate_degrees = 30;
  all[3].rotate_quarter_turns = true;
  all[4].scale_min = 0.5, all[4].scale_max = 2;
  all[5].crop_height = 40, all[5].crop_width = 31;
  all[6].crop_height = 90, all[6].crop_width = 70;  // larger than the image: padded
  all[7].elastic_sigma = 4;
  all[8] = {.crop_height = 50,
            .crop_width = 48,
            .scale_min = 0.75,
            .scale_max = 1.5,
            .flip_horizontal = 0.5,
            .flip_vertical = 0.5,
            .rotate_degrees = 20,
            .rotate_quarter_turns = true,
            .elastic_sigma = 3};
  for (size_t i = 0; i < all.size(); ++i) {
    int64_t compared = 0;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      INFO("options " << i << " seed " << seed);
      compared += check_together(run(s, all[i], seed));
    }
    CHECK(compared > 1000);
  }
}

TEST_CASE("augment: flips are exact, twice is the identity") {
  const Sample s = coordinates(21, 34);
  const Sample once = run(s, {.flip_horizontal = 1}, 1);
  for (int64_t y = 0; y < 21; ++y) {
    for (int64_t x = 0; x < 34; ++x)
      CHECK(once.image.data<float>()[(y * 34 + x) * 3] == (33 - x) * (1.0f / 255));
  }
  Sample stored = once;
  stored.image = s.image.clone();
  for (int64_t i = 0; i < s.image.numel(); ++i) {
    stored.image.data<uint8_t>()[i] = static_cast<uint8_t>(std::lround(once.image.data<float>()[i] * 255));
  }
  const Sample twice = run(stored, {.flip_horizontal = 1}, 1);
  CHECK(same(twice.label, s.label));
  CHECK(same(twice.image, run(s, {}, 1).image));
}

TEST_CASE("augment: quarter turns are exact and swap the sides") {
  const Sample s = coordinates(16, 40);
  std::set<std::string> shapes;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    const Sample out = run(s, {.rotate_quarter_turns = true}, seed);
    shapes.insert(out.label.shape().str());
    std::multiset<int> before, after;
    for (int v : values_of(s.label)) before.insert(v);
    for (int v : values_of(out.label)) after.insert(v);
    CHECK(before == after);  // every pixel once
  }
  CHECK(shapes == std::set<std::string>{"[16, 40]", "[40, 16]"});
}

TEST_CASE("augment: labels take no new values") {
  Sample s = coordinates(32, 32);
  for (int64_t i = 0; i < s.label.numel(); ++i) s.label.data<uint8_t>()[i] = i % 7 < 3 ? 10 : 200;
  const AugmentOptions options{.crop_height = 40,
                               .crop_width = 40,
                               .scale_min = 0.5,
                               .scale_max = 2,
                               .rotate_degrees = 45,
                               .elastic_sigma = 5};
  std::set<int> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (int v : values_of(run(s, options, seed).label)) seen.insert(v);
  }
  CHECK(seen == std::set<int>{10, 200, 255});
}

TEST_CASE("augment: borders") {
  Sample s = coordinates(10, 10);
  AugmentOptions options{.crop_height = 20, .crop_width = 20};
  options.border_color = {0.25, 0.5, 0.75};
  options.brightness = 0.5;
  options.blur_sigma_max = 2;
  const Sample padded = run(s, options, 3);
  int64_t outside = 0;
  for (int64_t p = 0; p < 400; ++p) {
    if (padded.label.data<uint8_t>()[p] != ignore_label) continue;
    ++outside;
    CHECK(padded.image.data<float>()[p * 3] == 0.25f);  // colour jitter and blur leave the border alone
    CHECK(padded.image.data<float>()[p * 3 + 2] == 0.75f);
  }
  CHECK(outside == 300);
  const Sample mirrored = run(s, {.crop_height = 20, .crop_width = 20, .border = Border::reflect}, 3);
  for (int v : values_of(mirrored.label)) CHECK(v != ignore_label);
  options.border_color = {0.1};
  CHECK_SAYS(ErrorKind::usage, run(s, options, 1), "border_color");
}

TEST_CASE("augment: reflection is about the centre of the outermost pixel, from its very centre on") {
  // Scale 2 puts output centres at x = 0.25 k: a quarter pixel outside the first centre must equal a quarter
  // inside.
  const Sample s = coordinates(10, 10);
  const Sample out = run(
      s, {.crop_height = 20, .crop_width = 20, .scale_min = 2, .scale_max = 2, .border = Border::reflect}, 3);
  const float* row = out.image.data<float>();
  CHECK(row[0] * 255 == Approx(0.25));       // source x = -0.25
  CHECK(row[3] * 255 == Approx(0.25));       // source x = +0.25
  CHECK(row[19 * 3] * 255 == Approx(8.75));  // source x = 9.25
}

TEST_CASE("augment: crops reach every corner") {
  const Sample s = coordinates(12, 12);
  std::set<float> first_x;
  for (uint64_t seed = 0; seed < 200; ++seed)
    first_x.insert(run(s, {.crop_height = 8, .crop_width = 8}, seed).image.data<float>()[0] * 255);
  CHECK(first_x.size() == 5);
}

TEST_CASE("augment: elastic deformation has the asked strength and is smooth") {
  const Sample s = coordinates(200, 200);
  double sum = 0, worst_step = 0;
  int64_t n = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Sample out = run(s, {.elastic_sigma = 6, .border = Border::reflect}, seed);
    for (int64_t y = 60; y < 140; y += 10) {
      for (int64_t x = 60; x < 140; ++x) {
        const float* pixel = out.image.data<float>() + (y * 200 + x) * 3;
        const double dx = pixel[0] * 255 - static_cast<double>(x);
        worst_step = std::max(worst_step, std::abs(static_cast<double>(pixel[3] - pixel[0]) * 255 - 1));
        sum += dx * dx;
        ++n;
      }
    }
  }
  const double deviation = std::sqrt(sum / static_cast<double>(n));
  CHECK(deviation > 4.2);  // at the middle node 6, a little less between nodes
  CHECK(deviation < 7);
  CHECK(worst_step < 1);
}

TEST_CASE("augment: colour jitter") {
  Tensor image = Tensor::full({2, 2, 3}, 0.4);
  Rng rng(1);
  internal::jitter_colors(image, {.contrast = 0.5, .saturation = 0.5, .hue = 0.3}, rng);
  for (int64_t i = 0; i < 12; ++i)
    CHECK(image.data<float>()[i] == Approx(0.4));  // flat grey has no contrast and no colour
  internal::jitter_colors(image, {.brightness = 0.5}, rng);
  CHECK(image.data<float>()[0] != Approx(0.4));
  CHECK(image.data<float>()[0] == image.data<float>()[11]);
  Tensor colors = Tensor::from<float>({1, 2, 3}, {0.8f, 0.2f, 0.2f, 0.1f, 0.6f, 0.3f});
  const Tensor before = colors.clone();
  internal::jitter_colors(colors, {.hue = 0.1}, rng);
  for (int64_t p = 0; p < 2; ++p) {  // a turn about the grey axis keeps the sum of the channels
    const float *a = before.data<float>() + 3 * p, *b = colors.data<float>() + 3 * p;
    CHECK(a[0] + a[1] + a[2] == Approx(b[0] + b[1] + b[2]));
    CHECK(a[0] != Approx(b[0]));
  }
  Tensor grey = Tensor::from<float>({1, 2, 1}, {0.2f, 0.6f});
  internal::jitter_colors(grey, {.contrast = 0.5, .saturation = 1, .hue = 0.5}, rng);
  CHECK(grey.data<float>()[0] + grey.data<float>()[1] == Approx(0.8));
}

TEST_CASE("augment: Gaussian blur keeps the mean and spreads a point by sigma") {
  Tensor image = Tensor::zeros({41, 41, 1});
  image.data<float>()[20 * 41 + 20] = 1;
  internal::gaussian_blur(image, 2.0);
  double sum = 0, variance = 0;
  for (int64_t p = 0; p < image.numel(); ++p) {
    const double v = image.data<float>()[p], dx = static_cast<double>(p % 41) - 20;
    sum += v;
    variance += v * dx * dx;
  }
  CHECK(sum == Approx(1.0).epsilon(1e-4));
  CHECK(std::sqrt(variance) == Approx(2.0).epsilon(0.02));
  Tensor flat = Tensor::full({3, 2, 3}, 0.3);
  internal::gaussian_blur(flat, 5);  // wider than the image
  for (int64_t i = 0; i < flat.numel(); ++i) CHECK(flat.data<float>()[i] == Approx(0.3));
}

TEST_CASE("augment rejects: half a crop, sizes that differ, wrong type") {
  Sample s = coordinates(4, 4);
  CHECK_SAYS(ErrorKind::config, run(s, {.crop_height = 2}, 1), "crop_height and crop_width");
  s.label = Tensor::zeros({4, 5}, DType::u8);
  CHECK_SAYS(ErrorKind::data, run(s, {}, 1), "coordinates", "one size");
  s.image = Tensor::zeros({4, 4, 3});
  CHECK_SAYS(ErrorKind::usage, run(s, {}, 1), "u8 [H, W, C]");
}

TEST_CASE("resize: shrinking averages, labels stay nearest, 0 changes nothing") {
  Sample s;
  s.image = Tensor::zeros({8, 8, 1}, DType::u8);
  for (int64_t i = 0; i < 64; ++i)
    s.image.data<uint8_t>()[i] = i % 2 ? 200 : 0;  // stripes finer than the result
  s.label = Tensor::zeros({8, 8}, DType::u8);
  for (int64_t i = 0; i < 64; ++i) s.label.data<uint8_t>()[i] = i % 8 < 4 ? 3 : 7;
  const Sample small = resize_sample(s, 2, 2, true);
  for (int v : values_of(small.image)) CHECK(std::abs(v - 100) < 15);
  CHECK(values_of(small.label) == std::vector<int>{3, 7, 3, 7});
  CHECK(resize_sample(s, 2, 2, false).label.shape() == Shape{8, 8});
  CHECK(same(resize_sample(s, 0, 0, true).image, s.image));
  CHECK(same(resize_sample(s, 8, 8, true).image, s.image));
  const Sample flat = resize_sample({.image = Tensor::full({5, 7, 3}, 93, DType::u8)}, 11, 3, true);
  for (int v : values_of(flat.image)) CHECK(v == 93);
  CHECK_SAYS(ErrorKind::config, resize_sample(s, 5, 0, true), "image_height");
  // Doubling: bilinear, half-pixel centres.
  const Sample twice = resize_sample({.image = pixels({1, 2, 1}, {0, 100})}, 1, 4, true);
  CHECK(values_of(twice.image) == std::vector<int>{0, 25, 75, 100});
}

TEST_CASE("normalize: (value - mean) / std, u8 and f32 alike") {
  DataOptions options;
  const Tensor bytes = pixels({1, 1, 3}, {0, 255, 51});
  const Tensor out = normalize(bytes, options);
  CHECK(out.data<float>()[0] == Approx(-0.485 / 0.229));
  CHECK(out.data<float>()[1] == Approx((1 - 0.456) / 0.224));
  CHECK(normalize(Tensor::from<float>({1, 1, 3}, {0, 1, 0.2f}), options).data<float>()[2] ==
        Approx(out.data<float>()[2]));
  CHECK(normalize(pixels({1, 1, 1}, {255}), options).data<float>()[0] == Approx(1.0));
  options.mean = {0.1};
  options.std = {0.2};
  CHECK(normalize(pixels({1, 1, 1}, {255}), options).data<float>()[0] == Approx(4.5));
  CHECK_SAYS(ErrorKind::config, normalize(bytes, options), "data.mean", "3 channels");
  options.std = {0};
  CHECK_SAYS(ErrorKind::config, normalize(pixels({1, 1, 1}, {1}), options), "positive");
}
