// Parts of detection networks that need no network: sizes of images, batches, sampling.
#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "core/device_runtime.h"
#include "layers/reshape.h"
#include "nets/box_sampler.h"
#include "nets/detection_transform.h"
#include "nets/heads.h"

using namespace atrous;
using namespace atrous::nets;

TEST_CASE("Images are resized as torchvision resizes them") {
  struct Row {
    ImageSize image, single, exact;
  };
  // torchvision 0.14.1 rounds the scale to single precision, which costs a row now and then; 0.29 computes in
  // double, where it happens too, but rarely (800.0 / 97 * 97 is below 800).
  for (const Row& r :
       {Row{{427, 640}, {799, 1199}, {800, 1199}}, Row{{424, 640}, {799, 1207}, {800, 1207}},
        Row{{375, 500}, {799, 1066}, {800, 1066}}, Row{{33, 800}, {54, 1332}, {54, 1333}},
        Row{{97, 98}, {799, 808}, {799, 808}}, Row{{536, 559}, {799, 834}, {800, 834}},
        Row{{480, 640}, {800, 1066}, {800, 1066}}, Row{{360, 480}, {800, 1066}, {800, 1066}},
        Row{{1080, 1920}, {749, 1333}, {749, 1333}}, Row{{800, 800}, {800, 800}, {800, 800}}}) {
    CAPTURE(r.image.height, r.image.width);
    CHECK(resized_size(r.image, 800, 1333, false) == r.single);
    CHECK(resized_size(r.image, 800, 1333, true) == r.exact);
    // The other way up.
    const ImageSize turned = resized_size({r.image.width, r.image.height}, 800, 1333, false);
    CHECK(turned == ImageSize{r.single.width, r.single.height});
  }
  CHECK(resized_size({1, 5000}, 800, 1333, true) == ImageSize{1, 1333});  // never nothing
}

TEST_CASE("By default the scale of an image is exact, and its batch and boxes follow") {
  DetectionOptions o;
  o.max_size = 1333;
  o.mean = {0};
  o.std = {1};
  const std::vector<Tensor> images = {Tensor::full({424, 640, 1}, 1)};
  const Tensor box = Tensor::from<float>({1, 4}, {0, 0, 640, 424});
  for (const bool exact : {true, false}) {
    if (!exact) o.exact_scale = false;
    const ImageBatch batch = make_image_batch(images, {800}, o, Device::cpu);
    CHECK(batch.sizes[0] == ImageSize{exact ? 800 : 799, 1207});
    CHECK(batch.pixels.shape() == Shape({1, 800, 1216, 1}));
    // The last row is the image's or padding.
    CHECK(batch.pixels.data<float>()[799 * 1216 + 600] == (exact ? 1.0f : 0.0f));
    const Tensor resized = scaled_boxes(box, batch.originals[0], batch.sizes[0]);
    CHECK(resized.data<float>()[3] == Approx(exact ? 800 : 799));
    CHECK(resized.data<float>()[2] == Approx(1207));
  }
  CHECK(batch_size({{799, 33}, {33, 801}}) == ImageSize{800, 832});
  CHECK(batch_size({{800, 800}}) == ImageSize{800, 800});
}

TEST_CASE("A batch holds normalised images in its upper left corners and zeros beyond") {
  DetectionOptions o;
  o.max_size = 100;
  o.mean = {0.5, 0.25};
  o.std = {0.5, 0.125};
  const Tensor a = Tensor::full({10, 20, 2}, 0.75), b = Tensor::full({17, 8, 2}, 0.25);
  const ImageBatch batch = make_image_batch({a, b}, {10, 16}, o, Device::cpu);
  CHECK(batch.pixels.shape() == Shape({2, 64, 32, 2}));
  CHECK(batch.sizes[0] == ImageSize{10, 20});
  CHECK(batch.sizes[1] == ImageSize{34, 16});
  CHECK(batch.originals[1] == ImageSize{17, 8});
  const float* p = batch.pixels.data<float>();
  const auto at = [&](int64_t n, int64_t y, int64_t x, int64_t c) {
    return p[((n * 64 + y) * 32 + x) * 2 + c];
  };
  CHECK(at(0, 0, 0, 0) == 0.5f);
  CHECK(at(0, 9, 19, 1) == 4.0f);
  CHECK(at(0, 10, 19, 1) == 0.0f);
  CHECK(at(0, 9, 20, 1) == 0.0f);
  CHECK(at(1, 33, 15, 0) == -0.5f);
  CHECK(at(1, 34, 0, 0) == 0.0f);
  const Tensor boxes = scaled_boxes(Tensor::from<float>({1, 4}, {1, 2, 3, 4}), {10, 20}, {30, 40});
  for (int64_t i = 0; i < 4; ++i)
    CHECK(boxes.data<float>()[i] == std::vector<float>{2, 6, 6, 12}[static_cast<size_t>(i)]);
}

TEST_CASE("Samples are balanced, from both kinds, and the same for the same stream") {
  std::vector<int32_t> labels(100, 0);
  for (size_t i = 0; i < 30; ++i) labels[3 * i] = static_cast<int32_t>(1 + i % 4);
  for (size_t i = 0; i < 10; ++i) labels[3 * i + 1] = -1;
  const SamplerOptions o{.samples = 32, .positive_fraction = 0.25};
  std::set<int32_t> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed), again(seed);
    const Sampled s = sample_balanced(labels, o, rng), t = sample_balanced(labels, o, again);
    CHECK(s.positives == t.positives);
    CHECK(s.negatives == t.negatives);
    CHECK(rng.position() == again.position());
    REQUIRE(s.positives.size() == 8);
    REQUIRE(s.negatives.size() == 24);
    CHECK(std::is_sorted(s.positives.begin(), s.positives.end()));
    for (const int32_t i : s.positives) CHECK(labels[static_cast<size_t>(i)] > 0);
    for (const int32_t i : s.negatives) CHECK(labels[static_cast<size_t>(i)] == 0);
    CHECK(std::set<int32_t>(s.negatives.begin(), s.negatives.end()).size() == 24);
    seen.insert(s.positives.begin(), s.positives.end());
    seen.insert(s.negatives.begin(), s.negatives.end());
  }
  CHECK(seen.size() == 90);  // each of those that may count does at times
  Rng rng(1);
  // Few positives: negatives fill up. Few of both: all of them.
  const std::vector<int32_t> few{0, 1, 0, 0, -1, 0};
  const Sampled all = sample_balanced(few, o, rng);
  CHECK(all.positives == std::vector<int32_t>{1});
  CHECK(all.negatives == std::vector<int32_t>{0, 2, 3, 5});
  CHECK(sample_balanced({}, o, rng).negatives.empty());
  CHECK(rng.position() == 0);  // nothing was drawn where there was no choice
  const Sampled first =
      sample_balanced(labels, {.samples = 32, .positive_fraction = 0.25, .random = false}, rng);
  CHECK(first.positives == std::vector<int32_t>{0, 3, 6, 9, 12, 15, 18, 21});
  CHECK(rng.position() == 0);
}

TEST_CASE("Gradients pass through a reshape, also of a slice") {
  const Variable x(Tensor::from<float>({2, 2, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), true);
  const Variable y = layers::reshape(x, {4, 3});
  CHECK(y.shape() == Shape({4, 3}));
  const Variable z = layers::reshape(x, {12});
  CHECK(z.value().data<float>()[7] == 7);
  // dy as a slice of a wider tensor: its rows are not dense.
  const Tensor wide = Tensor::full({4, 5}, 1);
  backward(y, wide.narrow_channels(1, 3));
  CHECK(x.grad().shape() == x.shape());
  CHECK(x.grad().contiguous_copy_if_needed().data<float>()[11] == 1);
}

TEST_CASE("Flattening goes channel by channel, and gradients back") {
  const Variable x(Tensor::from<float>({1, 2, 2, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), true);
  const Variable y = flatten_channels_first(x);
  REQUIRE(y.shape() == Shape({1, 1, 1, 12}));
  const std::vector<float> flat(y.value().data<float>(), y.value().data<float>() + 12);
  CHECK(flat == std::vector<float>{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11});
  // So the gradient of y's own values are x's.
  backward(y, y.value());
  const Tensor& gradient = x.grad();
  REQUIRE(gradient.shape() == x.shape());
  for (int64_t i = 0; i < 12; ++i) CHECK(gradient.data<float>()[i] == static_cast<float>(i));
}

// A graph may not contain a copy to host memory.
TEST_CASE("Flattening stays on its device") {
  const Variable x(Tensor::full({3, 2, 2, 5}, 2, DType::f32, Device::sim), true);
  const Tensor dy = Tensor::full({3, 1, 1, 20}, 3, DType::f32, Device::sim);
  const Stream stream = Stream::create(Device::sim);
  const StreamGuard on(stream);
  Tensor y;
  const auto work = [&] {
    const Variable flat = flatten_channels_first(x);
    y = flat.value();
    x.clear_grad();
    backward(flat, dy);
  };
  for (int warm = 0; warm < 2; ++warm) work();
  const Graph graph = Graph::capture(stream, work);
  graph.launch(stream);
  CHECK(y.to(Device::cpu).data<float>()[19] == 2);
  CHECK(x.grad().to(Device::cpu).data<float>()[59] == 3);
}
