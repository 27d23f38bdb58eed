// The two rules of pasting masks, on numbers that can be checked by hand.
#include "kernels/paste_masks/paste_masks.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace atrous;
using kernels::PasteRule;

namespace {

// What row `row` of an 8x8 image holds after a mask of ones, size x size, was pasted into the box.
std::vector<float> row_of(int64_t size, std::initializer_list<float> box, PasteRule rule, bool binary,
                          int64_t row) {
  const Tensor y = kernels::paste_masks(Tensor::full({1, size, size}, 1), Tensor::from<float>({1, 4}, box),
                                        {8, 8, rule, binary, 0.5})
                       .to(DType::f32);
  return {y.data<float>() + 8 * row, y.data<float>() + 8 * (row + 1)};
}

}  // namespace

TEST_CASE("torchvision's rule: a border of zeros, the grown box in whole pixels, > threshold") {
  // The border makes 2x2 ones 4x4, so the box doubles: pixels 2 to 6. Their centres lie at 0, 0.7, 1.5, 2.3
  // and 3 of the four.
  const auto row = [](bool binary, int64_t at) {
    return row_of(2, {3, 3, 5, 5}, PasteRule::torchvision, binary, at);
  };
  const std::vector<float> zeros(8, 0.0f), middle = row(false, 4), upper = row(false, 3);
  const std::vector<float> expected = {0, 0, 0, 0.7f, 1, 0.7f, 0, 0};
  for (size_t i = 0; i < 8; ++i) {
    CHECK(middle[i] == Approx(expected[i]).margin(1e-6));
    CHECK(upper[i] == Approx(0.7f * expected[i]).margin(1e-6));
  }
  CHECK(row(false, 2) == zeros);
  CHECK(row(true, 4) == std::vector<float>{0, 0, 0, 1, 1, 1, 0, 0});
  CHECK(row(true, 3) == std::vector<float>{0, 0, 0, 0, 1, 0, 0, 0});
}

TEST_CASE("Detectron2's rule: the mask at the centres of pixels, >= threshold") {
  // One element over pixels 2 and 3, whose centres are a quarter of it from its own, the next a half more.
  const auto row = [](bool binary, int64_t at) {
    return row_of(1, {2, 2, 4, 4}, PasteRule::detectron2, binary, at);
  };
  CHECK(row(false, 2) == std::vector<float>{0, 0.1875f, 0.5625f, 0.5625f, 0.1875f, 0, 0, 0});
  CHECK(row(false, 1) == std::vector<float>{0, 0.0625f, 0.1875f, 0.1875f, 0.0625f, 0, 0, 0});
  CHECK(row(true, 3) == std::vector<float>{0, 0, 1, 1, 0, 0, 0, 0});
  // A pixel exactly at the threshold belongs to the object: its centre is on the border of the box, and
  // the box is so high that its middle row counts fully.
  CHECK(row_of(1, {2.5f, -99.5f, 6.5f, 100.5f}, PasteRule::detectron2, true, 0) ==
        std::vector<float>{0, 0, 1, 1, 1, 1, 1, 0});
  CHECK(row_of(1, {4, 4, 4, 4}, PasteRule::detectron2, true, 4) == std::vector<float>(8, 0.0f));
}
