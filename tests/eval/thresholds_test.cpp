// Limits and modes of evaluation that no other test looks at from both sides.
#include <catch2/catch.hpp>

#include "eval/boundary.h"
#include "eval/coco_scores.h"
#include "eval/evaluate.h"
#include "eval/evaluate_instances.h"
#include "tests/eval/fake_models.h"

using namespace atrous;
using namespace atrous::eval;
using namespace atrous::eval_test;

namespace {

// Right in evaluation mode, always class 0 in training.
class OnlyInEvaluation : public Pointwise {
 public:
  layers::SegmentationOutput forward(const Variable& image) override {
    layers::SegmentationOutput out = Pointwise::forward(image);
    const Tensor logits = out.logits.value();
    for (int64_t i = 0; training() && i < logits.numel(); i += 3) logits.data<float>()[i] = 100;
    return out;
  }
};

}  // namespace

TEST_CASE("the tolerance of boundary F1 is 0.75 percent of the diagonal") {
  // 300 x 400: a diagonal of 500, and 3.75 pixels.
  const auto halves = [](int64_t edge) {
    const Tensor t = Tensor::zeros({300, 400}, DType::u8);
    for (int64_t i = 0; i < t.numel(); ++i) t.data<uint8_t>()[i] = i % 400 >= edge;
    return t;
  };
  CHECK(boundary_f1(halves(200), halves(203), 255).mean.value() == 1.0);
  CHECK(boundary_f1(halves(200), halves(204), 255).mean.value() == 0.0);
}

TEST_CASE("detections at the threshold are shown") {
  layers::Detections found;
  found.image = {10, 10};
  found.boxes = Tensor::from<float>({3, 4}, {0, 0, 4, 4, 1, 1, 5, 5, 2, 2, 6, 6});
  found.labels = {1, 2, 1};
  found.scores = {0.75f, 0.5f, 0.25f};
  CHECK(above(found, 0.5).size() == 2);
  CHECK(above(found, 0.50001).size() == 1);
  CHECK(above(found, 0).size() == 3);
}

TEST_CASE("masks begin above a probability of one half") {
  layers::Detections found;
  found.image = {8, 8};
  found.boxes = Tensor::from<float>({2, 4}, {0, 0, 8, 8, 0, 0, 8, 8});
  found.labels = {1, 1};
  found.scores = {0.9f, 0.8f};
  found.masks = Tensor::full({2, 28, 28}, 0.5);
  found.masks.narrow_batch(1, 1).fill(0.51);
  const std::vector<data::Rle> runs = mask_runs(found);
  REQUIRE(runs.size() == 2);
  CHECK(data::rle_area(runs[0]) == 0);
  CHECK(data::rle_area(runs[1]) == 64);
}

TEST_CASE("a network is scored in evaluation mode, whatever its own") {
  OnlyInEvaluation model;
  for (const bool training : {false, true}) {
    model.train(training);
    const MemoryDataset set(model, 3);
    const EvaluationResult r = evaluate(model, set, plain_data(), {}, false);
    CHECK(r.scores["pixel_accuracy"] ==
          Approx(1 - static_cast<double>(set.wrong) / static_cast<double>(set.pixels)));
    CHECK(model.training() == training);
  }
}

TEST_CASE("COCO's recalls count the first 1, 10 and 100 detections of an image") {
  const data::CocoBox home{0, 0, 10, 10}, far{500, 500, 10, 10};
  const CocoObject object{.category = 0, .box = home, .mask = nullptr, .area = 100, .crowd = false};
  // The only right one comes after `wrong` others.
  const auto recalls = [&](int wrong) {
    std::vector<CocoDetection> found;
    for (int i = 0; i <= wrong; ++i)
      found.push_back({.category = 0,
                       .score = 1.0 / (i + 1),
                       .box = i < wrong ? far : home,
                       .mask = nullptr,
                       .area = 100});
    CocoScores scores(IouType::bbox, {{1, "a"}});
    scores.add(1, {&object, 1}, found);
    const CocoSummary s = scores.summary();
    return std::vector<double>{s.stats[6], s.stats[7], s.stats[8]};
  };
  CHECK(recalls(0) == std::vector<double>{1, 1, 1});
  CHECK(recalls(1) == std::vector<double>{0, 1, 1});
  CHECK(recalls(9) == std::vector<double>{0, 1, 1});
  CHECK(recalls(10) == std::vector<double>{0, 0, 1});
  CHECK(recalls(99) == std::vector<double>{0, 0, 1});
  CHECK(recalls(100) == std::vector<double>{0, 0, 0});
}
