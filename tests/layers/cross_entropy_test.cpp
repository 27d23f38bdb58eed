#include "layers/cross_entropy.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace atrous;
using layers::cross_entropy;

namespace {

// Softmax (1/4, 3/4) and (1/2, 1/2).
Variable two_pixels() {
  const auto log3 = static_cast<float>(std::log(3.0));
  return Variable(Tensor::from<float>({1, 1, 2, 2}, {0, log3, 5, 5}), true);
}

}  // namespace

TEST_CASE("cross-entropy of two pixels by hand") {
  const Variable z = two_pixels();
  const Variable loss = cross_entropy(z, Tensor::from<int32_t>({1, 1, 2}, {0, 1}));
  CHECK(loss.value().item() == Approx((std::log(4.0) + std::log(2.0)) / 2));
  backward(loss);
  const double expected[] = {-0.375, 0.375, 0.25, -0.25};
  for (int i = 0; i < 4; ++i) CHECK(z.grad().data<float>()[i] == Approx(expected[i]));
}

TEST_CASE("class weights give a weighted mean, as in PyTorch") {
  const Variable z = two_pixels();
  const Tensor labels = Tensor::from<uint8_t>({1, 1, 2}, {0, 1});
  const Variable loss = cross_entropy(z, labels, {.class_weights = Tensor::from<float>({2}, {3, 1})});
  CHECK(loss.value().item() == Approx((3 * std::log(4.0) + std::log(2.0)) / 4));
  backward(loss);
  CHECK(z.grad().data<float>()[0] == Approx(-0.75 * 3 / 4));
}

TEST_CASE("ignored pixels have no loss and no gradient") {
  const Variable z = two_pixels();
  const Variable loss = cross_entropy(z, Tensor::from<int32_t>({1, 1, 2}, {255, 1}));
  CHECK(loss.value().item() == Approx(std::log(2.0)));
  backward(loss);
  CHECK(z.grad().data<float>()[0] == 0);
  CHECK(z.grad().data<float>()[2] == Approx(0.5));
}

TEST_CASE("a batch without valid pixels gives loss 0 and gradient 0") {
  const Variable z = two_pixels();
  const Variable loss = cross_entropy(z, Tensor::full({1, 1, 2}, 255, DType::u8));
  CHECK(loss.value().item() == 0);
  backward(loss);
  for (int i = 0; i < 4; ++i) CHECK(z.grad().data<float>()[i] == 0);
}

TEST_CASE("cross-entropy stands huge logits and shows NaN") {
  const Variable huge(Tensor::from<float>({1, 1, 1, 3}, {3e4f, -3e4f, 0}));
  CHECK(cross_entropy(huge, Tensor::from<int32_t>({1, 1, 1}, {1})).value().item() == Approx(6e4));
  const Variable nan(Tensor::from<float>({1, 1, 1, 3}, {0, NAN, 0}));
  CHECK(std::isnan(cross_entropy(nan, Tensor::from<int32_t>({1, 1, 1}, {0})).value().item()));
}

TEST_CASE("focal loss with gamma 2 by hand") {
  // q = 1/4: (3/4)^2 log 4.
  const Variable z(Tensor::from<float>({1, 1, 1, 2}, {0, static_cast<float>(std::log(3.0))}));
  const Tensor label = Tensor::from<int32_t>({1, 1, 1}, {0});
  CHECK(cross_entropy(z, label, {.gamma = 2}).value().item() == Approx(9.0 / 16 * std::log(4.0)));
}

TEST_CASE("the incoming gradient scales the stored one") {
  const Variable z = two_pixels();
  const Variable loss = cross_entropy(z, Tensor::from<int32_t>({1, 1, 2}, {0, 1}));
  backward(loss, Tensor::scalar(4));
  CHECK(z.grad().data<float>()[0] == Approx(-1.5));
}
