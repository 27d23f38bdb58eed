#include "eval/instance_comparison.h"

#include <catch2/catch.hpp>
#include <numeric>

using namespace atrous;
using eval::DetectionError;

namespace {

const std::vector<data::ClassInfo> classes = {{"background"}, {"ab"}, {"cd"}};

// Two objects, of which the first is found twice and the second not at all, and one found where nothing is.
struct Scene {
  data::InstanceSample sample;
  layers::Detections found;
  eval::InstanceVerdict verdict;

  Scene() {
    sample.image = Tensor::full({640, 640, 3}, 90, DType::u8);
    Instances& o = sample.instances;
    o.height = o.width = 640;
    o.boxes = Tensor::from<float>({2, 4}, {100, 100, 200, 200, 400, 400, 500, 500});
    o.labels = {1, 2};
    o.crowd = {0, 0};
    found.boxes = Tensor::from<float>({3, 4}, {100, 100, 200, 198, 100, 100, 198, 200, 300, 10, 340, 50});
    found.labels = {1, 1, 2};
    found.scores = {0.9f, 0.8f, 0.7f};
    found.image = {640, 640};
    std::vector<eval::CocoObject> objects;
    std::vector<eval::CocoDetection> detections;
    const auto box = [](const float* b) { return data::CocoBox{b[0], b[1], b[2] - b[0], b[3] - b[1]}; };
    for (int64_t i = 0; i < 2; ++i) {
      const float* b = o.boxes.data<float>() + 4 * i;
      objects.push_back(
          {.category = o.labels[static_cast<size_t>(i)] - 1, .box = box(b), .area = box(b).area()});
    }
    for (int64_t i = 0; i < 3; ++i) {
      const float* b = found.boxes.data<float>() + 4 * i;
      detections.push_back({.category = found.labels[static_cast<size_t>(i)] - 1,
                            .score = found.scores[static_cast<size_t>(i)],
                            .box = box(b),
                            .area = box(b).area()});
    }
    const eval::CocoScores scores(eval::IouType::bbox, {{1, "ab"}, {2, "cd"}});
    const std::vector<int64_t> all = {0, 1, 2};
    verdict = eval::verdict_of(scores.match(1, objects, detections), all, 3, o);
  }
};

std::array<int, 3> at(const Tensor& picture, int64_t y, int64_t x) {
  const uint8_t* p = picture.data<uint8_t>() + (y * picture.dim(1) + x) * 3;
  return {p[0], p[1], p[2]};
}

}  // namespace

TEST_CASE("what each detection found, and what is wrong with the others") {
  const Scene s;
  CHECK(s.verdict.object == std::vector<int64_t>{0, -1, -1});
  CHECK(s.verdict.errors ==
        std::vector{DetectionError::none, DetectionError::duplicate, DetectionError::background});
  CHECK(s.verdict.found == std::vector<uint8_t>{1, 0});
  CHECK(s.verdict.wrong() == 2);
  CHECK(s.verdict.not_found() == 1);
  CHECK(s.verdict.all() == 3);
}

TEST_CASE(
    "annotated and found side by side: one colour for an object, headings, errors marked and explained") {
  const Scene s;
  const Tensor picture = eval::compare_instances(s.sample, s.found, {}, s.verdict, classes);
  const Tensor no_errors = [&] {
    Scene t;
    t.verdict.errors.assign(3, DetectionError::none);
    t.verdict.found.assign(2, 1);
    return eval::compare_instances(t.sample, t.found, {}, t.verdict, classes);
  }();
  CHECK(picture.dim(1) == 2 * 640 + 4);
  CHECK(no_errors.dim(0) > 640);               // headings
  CHECK(picture.dim(0) > no_errors.dim(0));    // and a legend
  const int64_t top = no_errors.dim(0) - 640;  // of the photographs
  CHECK(at(picture, top + 199, 100) == at(no_errors, top + 199, 100));
  // The found object's box on the left, and on the right where no other box is over it.
  CHECK(at(no_errors, top + 199, 199) == at(no_errors, top + 150, 644 + 199));
  const std::array<int, 3> red = {225, 20, 30}, white = {255, 255, 255};
  for (const int64_t y : {440, 460}) {  // the object that was not found
    const auto edge = at(picture, top + y, 400);
    CHECK((edge == red || edge == white));
  }
  const auto background = at(picture, top + 30, 644 + 300);
  CHECK((background == red || background == white));
}
