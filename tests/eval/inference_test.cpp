#include "eval/inference.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "eval/evaluate.h"
#include "eval/logit_rows.h"
#include "tests/eval/fake_models.h"

using namespace atrous;
using namespace atrous::eval;
using namespace atrous::eval_test;

TEST_CASE("whole-image probabilities of a pointwise model are its softmax at every pixel") {
  Pointwise model;
  for (const auto& [h, w] : {std::pair{1, 1}, {1, 7}, {5, 3}, {33, 65}}) {
    const Tensor image = random_image(h, w, 1);
    const Tensor p = predict_probabilities(model, image, plain_data(), {});
    REQUIRE(p.shape() == Shape({h, w, 3}));
    double worst = 0;
    for (int64_t i = 0; i < h * w; ++i) {
      double sum = 0;
      double e[3];
      for (int k = 0; k < 3; ++k) sum += e[k] = std::exp(model.logit(image.data<uint8_t>() + i * 3, k));
      for (int k = 0; k < 3; ++k)
        worst = std::max(worst, std::abs(e[k] / sum - static_cast<double>(p.data<float>()[i * 3 + k])));
    }
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("sliding windows and flips change nothing for a pointwise model") {
  Pointwise model;
  const Tensor image = random_image(37, 53, 2);
  const Tensor want = predict_probabilities(model, image, plain_data(), {});
  const Tensor want_labels = predict_labels(model, image, plain_data(), {});
  for (bool flip : {false, true}) {
    for (const auto& [wh, ww] : {std::pair{16, 16}, {37, 20}, {13, 53}, {100, 8}, {1, 1}, {0, 31}}) {
      for (double overlap : {0.0, 0.5, 0.8}) {
        InferenceOptions options;
        options.flip = flip;
        options.window_height = wh;
        options.window_width = ww;
        options.window_overlap = overlap;
        if (wh == 1 && overlap > 0) continue;
        CAPTURE(flip, wh, ww, overlap);
        CHECK(max_difference(predict_probabilities(model, image, plain_data(), options), want) < 1e-5);
        CHECK(different_pixels(predict_labels(model, image, plain_data(), options), want_labels) == 0);
      }
    }
  }
}

TEST_CASE("labels are the argmax of the probabilities in every mode") {
  Smooth model;
  const Tensor image = random_image(48, 64, 3);
  for (int mode = 0; mode < 8; ++mode) {
    InferenceOptions options;
    options.flip = mode & 1;
    if (mode & 2) options.window_height = options.window_width = 24;
    if (mode & 4) options.scales = {0.5, 1.0, 1.25};
    const Tensor p = predict_probabilities(model, image, plain_data(), options);
    const Tensor labels = predict_labels(model, image, plain_data(), options);
    int64_t wrong = 0;
    double worst_sum = 0;
    for (int64_t i = 0; i < labels.numel(); ++i) {
      const float* v = p.data<float>() + i * 3;
      worst_sum = std::max(worst_sum, std::abs(v[0] + v[1] + v[2] - 1.0));
      // Where two classes are within rounding either may win.
      wrong += v[labels.data<uint8_t>()[i]] < *std::max_element(v, v + 3) - 1e-6f;
    }
    CAPTURE(mode);
    CHECK(wrong == 0);
    CHECK(worst_sum < 1e-5);
  }
}

TEST_CASE("a flipped image gives flipped probabilities when flips are averaged") {
  Smooth model;
  const Tensor image = random_image(20, 30, 4);
  const Tensor mirrored = Tensor::empty(image.shape(), DType::u8);
  for (int64_t y = 0; y < 20; ++y) {
    for (int64_t x = 0; x < 30; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        mirrored.data<uint8_t>()[(y * 30 + x) * 3 + c] = image.data<uint8_t>()[(y * 30 + 29 - x) * 3 + c];
      }
    }
  }
  InferenceOptions options;
  options.flip = true;
  const Tensor a = predict_probabilities(model, image, plain_data(), options);
  const Tensor b = predict_probabilities(model, mirrored, plain_data(), options);
  double worst = 0;
  for (int64_t y = 0; y < 20; ++y) {
    for (int64_t x = 0; x < 30; ++x) {
      for (int64_t k = 0; k < 3; ++k) {
        worst = std::max(worst, std::abs(static_cast<double>(a.data<float>()[(y * 30 + x) * 3 + k]) -
                                         static_cast<double>(b.data<float>()[(y * 30 + 29 - x) * 3 + k])));
      }
    }
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("a network with valid convolutions gets mirrored context and predicts every pixel") {
  Pointwise plain;
  for (int64_t uneven : {0, 1, 2}) {
    Valid valid(5, uneven);
    for (const auto& [h, w] : {std::pair{1, 1}, {3, 9}, {24, 31}}) {
      const Tensor image = random_image(h, w, 5);
      for (int64_t window : {0, 8}) {
        InferenceOptions options;
        options.window_height = options.window_width = window;
        CAPTURE(uneven, h, w, window);
        CHECK(max_difference(predict_probabilities(valid, image, plain_data(), options),
                             predict_probabilities(plain, image, plain_data(), {})) < 1e-5);
      }
    }
  }
  // What lies beyond the image is its mirror image: the 3x3 sum at the corner sees pixel (1,1) three times
  // over.
  Valid neighbour(1, 0, /*take_top_left=*/true);
  const Tensor image = random_image(4, 4, 6);
  const Tensor p = predict_labels(neighbour, image, plain_data(), {});
  CHECK(p.data<uint8_t>()[0] == plain.label(image.data<uint8_t>() + (1 * 4 + 1) * 3));
  CHECK(p.data<uint8_t>()[1] == plain.label(image.data<uint8_t>() + (1 * 4 + 0) * 3));
}

TEST_CASE("images of a fixed network size are predicted at their own size") {
  Pointwise model;
  data::DataOptions data = plain_data();
  data.image_height = 10;
  data.image_width = 12;
  const Tensor flat = Tensor::full({45, 61, 3}, 200, DType::u8);
  const Tensor labels = predict_labels(model, flat, data, {});
  CHECK(labels.shape() == Shape({45, 61}));
  CHECK(labels.data<uint8_t>()[2000] == model.label(flat.data<uint8_t>()));
}

TEST_CASE("logit rows interpolate with half-pixel centres, or from corner to corner") {
  const Tensor logits = Tensor::from<float>({1, 2, 1}, {0.0f, 4.0f});
  LogitGeometry g{2, 4, 2, 4};
  float out[4];
  auto row = [&](const Tensor& from) {
    LogitRows(from, g).read(1, out);
    return std::vector<float>(out, out + 4);
  };
  CHECK(row(logits) == std::vector<float>{0, 1, 3, 4});
  g.mirrored = true;
  CHECK(row(logits) == std::vector<float>{4, 3, 1, 0});
  g.mirrored = false;
  g.align_corners = true;
  CHECK(row(Tensor::from<float>({1, 2, 1}, {0.0f, 6.0f})) == std::vector<float>{0, 2, 4, 6});
  // The network saw 8 columns: 4 label pixels lie at 0.5, 2.5, 4.5, 6.5 of its corners 0 and 7.
  g.input_width = 8;
  CHECK(row(Tensor::from<float>({1, 2, 1}, {0.0f, 7.0f})) == std::vector<float>{0.5, 2.5, 4.5, 6.5});
}

TEST_CASE("bad images and options are refused") {
  Pointwise model;
  const Tensor image = random_image(8, 8, 1);
  CHECK_THROWS_WITH(predict_labels(model, Tensor::zeros({8, 8, 1}, DType::u8), plain_data(), {}),
                    Catch::Contains("takes images of 3 channel(s). Got an image of 1"));
  CHECK_THROWS_WITH(predict_labels(model, Tensor::zeros({8, 8, 3}), plain_data(), {}),
                    Catch::Contains("must be u8"));
  InferenceOptions options;
  options.scales = {};
  CHECK_THROWS_WITH(predict_labels(model, image, plain_data(), options),
                    Catch::Contains("must not be empty"));
  options.scales = {-1};
  CHECK_THROWS_WITH(predict_labels(model, image, plain_data(), options), Catch::Contains("Got -1"));
  options.scales = {1};
  options.window_height = 4;
  options.window_overlap = 1;
  CHECK_THROWS_WITH(predict_labels(model, image, plain_data(), options), Catch::Contains("overlap"));
  model.poison = true;
  CHECK_THROWS_WITH(predict_labels(model, image, plain_data(), {}), Catch::Contains("NaN or Inf"));
}

TEST_CASE("evaluate scores a whole set at label resolution") {
  Pointwise model;
  model.train();
  const MemoryDataset set(model, 5);
  int64_t seen = 0;
  int64_t last = 0;
  EvaluationHooks hooks;
  hooks.image = [&](const ScoredImage& image) {
    CHECK(image.prediction.shape() == image.sample.label.shape());
    CHECK(image.score.id == image.sample.id);
    CHECK_FALSE(image.score_before);
    ++seen;
  };
  hooks.progress = [&](int64_t done, int64_t total) {
    last = done;
    CHECK(total == 5);
  };
  const EvaluationResult r = evaluate(model, set, plain_data(), {}, true, hooks);
  CHECK(seen == 5);
  CHECK(last == 5);
  CHECK(model.training());  // the mode is given back
  // Labels are the model's own, but for one column of wrong and one of ignored labels in each image.
  CHECK(r.scores.ignored_pixels == set.ignored);
  CHECK(r.scores.pixels == set.pixels);
  CHECK(r.scores["pixel_accuracy"] ==
        Approx(1 - static_cast<double>(set.wrong) / static_cast<double>(set.pixels)));
  CHECK(r.scores["boundary_f1"].has_value());
  CHECK(r.loss == Approx(set.loss(model)).epsilon(1e-4));
  REQUIRE(r.images.size() == 5);
  // Same bits on any number of threads.
  const int before = num_threads();
  set_num_threads(before == 1 ? 3 : 1);
  const EvaluationResult again = evaluate(model, set, plain_data(), {}, true);
  set_num_threads(before);
  CHECK(again.loss == r.loss);
  CHECK(again.scores["miou"] == r.scores["miou"]);
  CHECK(again.scores["boundary_f1"] == r.scores["boundary_f1"]);
  // And it can be stopped.
  int64_t asked = 0;
  hooks = {};
  hooks.stop = [&] { return ++asked > 2; };
  CHECK(evaluate(model, set, plain_data(), {}, false, hooks).images.size() == 2);
}
