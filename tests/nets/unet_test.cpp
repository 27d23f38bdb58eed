#include "nets/unet.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "layers/pad.h"
#include "tests/core/tensors.h"

using namespace atrous;
using core_test::noise;

namespace {

std::shared_ptr<layers::SegmentationModel> network(const nets::UNetOptions& options) {
  const auto net = nets::make_unet(options);
  net->initialise(5);
  net->eval();
  return net;
}

Tensor top_left(const Tensor& t, int64_t height, int64_t width) {
  return layers::crop(Variable(t), 0, 0, height, width).value().contiguous_copy_if_needed();
}

}  // namespace

TEST_CASE("The padded U-Net's output is as large as its input") {
  const auto net = network({.base_width = 2, .depth = 3});
  const NoGradGuard no_tape;
  const auto check = [&](int64_t h, int64_t w) {
    CAPTURE(h, w);
    const auto out = net->forward(Variable(noise({1, h, w, 3})));
    CHECK(out.logits.shape() == Shape{1, h, w, 2});
    CHECK((out.region.top == 0 && out.region.left == 0 && out.region.height == h && out.region.width == w));
  };
  for (int64_t h = 1; h <= 40; ++h) check(h, 41 - h);
  for (const auto& [h, w] : {std::pair{1, 257}, {257, 1}, {63, 64}, {65, 129}, {255, 130}, {256, 257}})
    check(h, w);
}

// Poolings begin at the top left, so pixels that follow at the bottom or right may add outputs but change
// none: whether an extent is odd somewhere on the way down must not shift the skips.
TEST_CASE("The valid U-Net sees the same at the same place, however far the image goes on") {
  const auto net = network({.base_width = 2, .depth = 3, .valid = true, .norm = layers::NormKind::none});
  const NoGradGuard no_tape;
  const Tensor whole = noise({1, 70, 75, 3});
  const auto full = net->forward(Variable(whole));
  for (int64_t h = 44; h <= 70; ++h) {
    const int64_t w = 119 - h;
    CAPTURE(h, w);
    const auto part = net->forward(Variable(top_left(whole, h, w)));
    REQUIRE((part.region.top == 20 && part.region.left == 20));
    const Tensor got = part.logits.value(),
                 want = top_left(full.logits.value(), part.region.height, part.region.width);
    double worst = 0;
    for (int64_t i = 0; i < got.numel(); ++i)
      worst = std::max(worst, std::abs(double{got.data<float>()[i]} - double{want.data<float>()[i]}));
    CHECK(worst < 1e-5);
  }
}
