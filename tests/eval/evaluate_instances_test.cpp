// Scores of a detector on COCO annotations: the same objects have the same scores, however a file says them.
#include "eval/evaluate_instances.h"

#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/rle.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::eval;
using Json = nlohmann::json;

namespace {

constexpr int64_t side = 64;
// The objects of the images: x, y, side of a square.
constexpr std::array<std::array<int, 3>, 4> squares = {{{10, 27, 28}, {32, 3, 24}, {2, 20, 22}, {33, 9, 23}}};

// Finds the square of each image in turn, a pixel too large in some.
class FakeDetector : public layers::DetectionModel {
 public:
  bool has_masks() const override { return true; }
  int64_t num_classes() const override { return 2; }
  int64_t in_channels() const override { return 3; }
  int64_t output_stride() const override { return 1; }
  std::string kind() const override { return "FakeDetector"; }
  std::vector<layers::Detections> detect(const std::vector<Tensor>&, const layers::StageObserver&) override {
    const auto [x, y, s] = squares[static_cast<size_t>(next_ % std::ssize(squares))];
    const auto more = static_cast<float>(2 * (next_++ % 2));
    layers::Detections found{.image = {side, side},
                             .boxes = Tensor::empty({1, 4}),
                             .labels = {1},
                             .scores = {0.9f},
                             .masks = Tensor::full({1, 14, 14}, 1)};
    const float corners[] = {static_cast<float>(x), static_cast<float>(y), static_cast<float>(x + s) + more,
                             static_cast<float>(y + s) + more};
    std::copy_n(corners, 4, found.boxes.data<float>());
    return {found};
  }
  layers::DetectionLosses losses(const std::vector<Tensor>&, const std::vector<Instances>&, Rng&,
                                 const layers::StageObserver&) override {
    return {};
  }
  Regions regions(bool) const override { return {}; }
  void run_heads(const Variable&, const Regions&) override {}

 private:
  int64_t next_ = 0;
};

Json good() {
  Json j{{"images", Json::array()},
         {"annotations", Json::array()},
         {"categories", {{{"id", 1}, {"name", "square"}}}}};
  for (size_t i = 0; i < squares.size(); ++i) {
    const auto [x, y, s] = squares[i];
    j["images"].push_back(
        {{"id", i + 1}, {"file_name", fmt::format("{}.png", i)}, {"height", side}, {"width", side}});
    j["annotations"].push_back({{"id", i + 1},
                                {"image_id", i + 1},
                                {"category_id", 1},
                                {"bbox", {x, y, s, s}},
                                {"area", s * s},
                                {"iscrowd", 0},
                                {"segmentation", {{x, y, x + s, y, x + s, y + s, x, y + s}}}});
  }
  return j;
}

struct Scores {
  std::array<double, 12> boxes, masks;
  bool operator==(const Scores&) const = default;
};

Scores scores_of(const Json& annotations, data::Crowds crowds = data::Crowds::ignore) {
  const TemporaryFolder folder;
  for (size_t i = 0; i < squares.size(); ++i) {
    data::write_png(folder.file(fmt::format("images/{}.png", i)),
                    Tensor::full({side, side, 3}, static_cast<double>(i), DType::u8));
  }
  data::test::write_text(folder.file("val.json"), annotations.dump());
  data::DataOptions options;
  options.dataset = "coco";
  options.root = folder.path();
  options.crowds = crowds;
  FakeDetector model;
  const auto set = data::open_instance_dataset(options, "val", 2, 3);
  const InstanceEvaluation e = evaluate(model, *set);
  REQUIRE(e.masks);
  return {e.boxes.stats, e.masks->stats};
}

Scores with(const std::function<void(Json& annotation, size_t number)>& change) {
  Json j = good();
  for (size_t i = 0; i < j["annotations"].size(); ++i) change(j["annotations"][i], i);
  return scores_of(j);
}

}  // namespace

TEST_CASE("evaluation of instances: what is missing is derived before it is scored") {
  const Scores right = scores_of(good());
  CHECK(right.boxes[0] > 0.8);
  CHECK(right.boxes[0] < 1);
  CHECK(right.masks[0] > 0.5);
  CHECK(right.boxes[3] > 0.8);  // small objects
  CHECK(with([](Json& a, size_t) { a.erase("bbox"); }) == right);
  CHECK(with([](Json& a, size_t i) {
          if (i % 2) a.erase("bbox");
        }) == right);
  CHECK(with([](Json& a, size_t) { a["bbox"] = Json::array(); }) == right);
  CHECK(with([](Json& a, size_t) { a.erase("area"); }) == right);
  CHECK(with([](Json& a, size_t) { a["area"] = nullptr; }) == right);
  CHECK(with([](Json& a, size_t) { a.erase("iscrowd"); }) == right);
  CHECK(with([](Json& a, size_t) { a["segmentation"].push_back(Json::array()); }) == right);
  CHECK(with([](Json& a, size_t i) {
          const auto [x, y, s] = squares[i];
          const data::Rle mask = data::rle_from_box(side, side,
                                                    {static_cast<double>(x), static_cast<double>(y),
                                                     static_cast<double>(s), static_cast<double>(s)});
          const Json run_lengths = {{"size", {side, side}}, {"counts", data::rle_to_string(mask)}};
          a["segmentation"] = Json::array({run_lengths});
        }) == right);
}

TEST_CASE("evaluation of instances: ids are names, whatever they are") {
  const Scores right = scores_of(good());
  CHECK(with([](Json& a, size_t i) { a["id"] = i; }) == right);  // from 0
  CHECK(with([](Json& a, size_t i) { a["id"] = -static_cast<int64_t>(i) - 7; }) == right);
  CHECK(with([](Json& a, size_t i) {
          a["id"] = std::to_string(i);
          a["image_id"] = std::to_string(i + 1);
          a["category_id"] = "1";
        }) == right);
}

TEST_CASE("evaluation of instances: crowds everywhere are objects if the config says so") {
  Json j = good();
  for (Json& a : j["annotations"]) a["iscrowd"] = 1;
  CHECK(scores_of(j).boxes[0] == -1);
  CHECK(scores_of(j, data::Crowds::objects) == scores_of(good()));
}
