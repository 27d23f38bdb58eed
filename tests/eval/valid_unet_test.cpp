// Mirrored context with the network that needs it.
#include <catch2/catch.hpp>

#include "eval/inference.h"
#include "nets/unet.h"
#include "tests/eval/fake_models.h"

using namespace atrous;
using namespace atrous::eval;
using namespace atrous::eval_test;

TEST_CASE("The valid U-Net predicts every pixel of images of any size, whole and in windows") {
  const auto net =
      nets::make_unet({.base_width = 2, .depth = 3, .valid = true, .norm = layers::NormKind::none});
  net->initialise(5);
  net->eval();
  for (const auto& [h, w] : {std::pair{1, 1}, {2, 9}, {4, 4}, {5, 7}, {33, 16}, {47, 62}}) {
    CAPTURE(h, w);
    const Tensor image = random_image(h, w, 4);
    const Tensor whole = predict_probabilities(*net, image, plain_data(), {});
    CHECK(whole.shape() == Shape{h, w, 2});
    InferenceOptions windows;
    windows.window_height = windows.window_width = 16;
    windows.window_overlap = 0;
    CHECK(predict_probabilities(*net, image, plain_data(), windows).shape() == whole.shape());
  }
}
