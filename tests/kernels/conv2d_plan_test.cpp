#include "kernels/conv2d/conv2d_plan.h"

#include <catch2/catch.hpp>

#include "kernels/conv2d/conv2d_gpu.h"
#include "kernels/conv2d/conv2d_impl.h"

using namespace atrous::kernels;

TEST_CASE("Divider divides like the machine", "[conv2d]") {
  std::vector<int64_t> divisors{
      1, 2, 3, 5, 7, 19, 64, 147, 641, 65535, 65536, 65537, (1 << 30) - 1, 1 << 30, INT32_MAX};
  for (int64_t d = 1; d < 200; ++d) divisors.push_back(d);
  for (const int64_t d : divisors) {
    const Divider divider(d);
    const auto check = [&](int64_t n) {
      if (n < 0 || n > INT32_MAX) return;
      const int quotient = divider.quotient(static_cast<int>(n));
      REQUIRE(quotient == n / d);
      REQUIRE(divider.remainder(static_cast<int>(n), quotient) == n % d);
    };
    for (int64_t n = 0; n < 300; ++n) check(n);
    // Around multiples of d, where a quotient that is off by one shows; the largest have the least slack.
    for (int64_t multiple : {INT32_MAX / d, INT32_MAX / d / 2, INT32_MAX / d / 3}) {
      for (int64_t n = multiple * d - 2; n <= multiple * d + 2; ++n) check(n);
    }
    for (int64_t n = INT32_MAX - 5; n <= INT32_MAX; ++n) check(n);
  }
}

TEST_CASE("tiles are large where that keeps a GPU busy", "[conv2d]") {
  const auto tile = [](int64_t m, int64_t n) {
    const TileShape t = tile_shapes[choose_tile(0, 1, m, n, 132)];
    return std::pair(t.m, t.n);
  };
  CHECK(tile(16 * 256 * 256, 128) == std::pair(128, 128));
  CHECK(tile(16 * 256 * 256, 64) == std::pair(128, 64));
  CHECK(tile(16 * 16, 512) == std::pair(64, 64));
  CHECK(choose_tile(1, 1, 16 * 256 * 256, 128, 132) == 1);  // the largest is not on offer
}

TEST_CASE("splits cover the reduction once and fit the workspace", "[conv2d]") {
  for (int64_t m : {1, 64, 512, 4096}) {
    for (int64_t n : {9, 576, 4608, 36864}) {
      for (int64_t steps : {0, 1, 7, 8, 9, 1000, 32768}) {
        const SplitPlan plan = choose_split(0, m, n, steps, 132);
        INFO(m << " x " << n << ", " << steps << " steps: " << plan.splits << " splits of "
               << plan.steps_per_split);
        REQUIRE(plan.splits >= 1);
        REQUIRE(plan.splits * plan.steps_per_split >= steps);
        REQUIRE((plan.splits - 1) * plan.steps_per_split < std::max<int64_t>(1, steps));
        REQUIRE((plan.splits == 1 || plan.splits * m * n * 4 <= 32 << 20));
        const TileShape t = tile_shapes[plan.tile];
        const int64_t tiles = ceil_div(m, t.m) * ceil_div(n, t.n);
        REQUIRE((plan.splits == 1 || plan.splits * tiles <= 2 * 132));  // all run at once
      }
    }
  }
  // A U-Net's first level: 9 tiles and half a million pixels must not run on 9 of 132 multiprocessors.
  CHECK(choose_split(0, 64, 576, 512 * 1024 / 32, 132).splits >= 14);
}

TEST_CASE("the fullest phase of a gradient has the taps that the mask is checked for", "[conv2d]") {
  for (int taps : {1, 2, 3, 4, 7, 16}) {
    for (int stride : {1, 2, 3, 4, 8}) {
      for (int dilation : {1, 2, 3, 4, 6}) {
        const Conv2dAxis axis{64, 0, taps, stride, 1, dilation};
        int most = 0;
        for (int phase = 0; phase < stride; ++phase) most = std::max(most, gradient_window(axis, phase).taps);
        CHECK(most == most_gradient_taps(taps, stride, dilation));
      }
    }
  }
}
