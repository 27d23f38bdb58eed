// Scores of classification against numbers counted by hand.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "data/image_io.h"
#include "eval/classify.h"
#include "eval/report/classification_report.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using namespace atrous::eval;
using Catch::Matchers::Contains;

namespace {

ClassificationScores counted() {
  ClassificationScores s({"a", "b", "c", "d", "e", "f", "g"});
  s.add(0, std::vector<double>{0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1});  // right
  s.add(0, std::vector<double>{0.1, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1});  // second, as the first of equals
  s.add(6, std::vector<double>{0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1});  // last, as the last of equals
  s.add(1, std::vector<double>{0.02, 0.9, 0.02, 0.02, 0.02, 0.01, 0.01});
  return s;
}

}  // namespace

TEST_CASE("classification: of equal probabilities the lower index is first, in prediction and in rank") {
  const std::vector<double> p{0.1, 0.3, 0.2, 0.3, 0.1};
  CHECK(top_classes(p, 3) == std::vector<int64_t>{1, 3, 2});
  CHECK(top_classes(p, 9) == std::vector<int64_t>{1, 3, 2, 0, 4});
  CHECK(rank_of(p, 1) == 0);
  CHECK(rank_of(p, 3) == 1);
  CHECK(rank_of(p, 0) == 3);
  CHECK(rank_of(p, 4) == 4);
  // A network that says nothing is right about class 0 only.
  ClassificationScores flat({"a", "b", "c", "d", "e", "f", "g"});
  for (int64_t k = 0; k < 7; ++k) flat.add(k, std::vector<double>(7, 1.0 / 7));
  CHECK(*flat["top1"] == Approx(1.0 / 7));
  CHECK(*flat["top5"] == Approx(5.0 / 7));
  CHECK(flat.classes[0].predicted == 7);
}

TEST_CASE("classification: metrics by value") {
  const ClassificationScores s = counted();
  CHECK(*s["top1"] == Approx(0.5));
  CHECK(*s["top5"] == Approx(0.75));
  // a: one of two, b: one of one, g: none of one; the others have no images.
  CHECK(*s["mean_class_accuracy"] == Approx((0.5 + 1 + 0) / 3));
  CHECK(*s.loss() == Approx(-(std::log(0.4) + 2 * std::log(0.1) + std::log(0.9)) / 4));
  CHECK(*s.classes[0].accuracy() == Approx(0.5));
  CHECK(*s.classes[0].top5_share() == Approx(1));
  CHECK_FALSE(s.classes[2].accuracy());
  CHECK(s.classes[0].predicted == 2);
  CHECK(confusion_matrix(s).at(0, 1) == 1);
  CHECK(confusion_matrix(s).at(6, 0) == 1);
  CHECK_THROWS_AS(s["miou"], Error);
  const ClassificationScores none({"a"});
  for (const ClassificationMetric& m : classification_metrics()) CHECK_FALSE(m.value(none));
}

TEST_CASE("classification: scores survive JSON") {
  const ClassificationScores s = counted();
  const ClassificationScores again =
      classification_from_json(parse_json(to_text(classification_to_json(s)), "test"));
  CHECK(to_text(classification_to_json(again)) == to_text(classification_to_json(s)));
  CHECK(again.confusion == s.confusion);
  CHECK_THAT(classification_sections(s, "Per class"), Contains("<td>g</td>") && Contains("1 images"));
  CHECK_THAT(classification_cards(s), Contains("50.0 %"));
}

TEST_CASE("classification: images of any size, mirrored ones averaged, scored as they are predicted") {
  const TemporaryFolder folder;
  for (const auto& [name, h, w] : {std::tuple{"bright", 30, 47}, {"dark", 61, 40}}) {
    const Tensor image = Tensor::full({h, w, 3}, name[0] == 'b' ? 230 : 20, DType::u8);
    for (int64_t i = 0; i < image.numel(); i += 5) image.data<uint8_t>()[i] = static_cast<uint8_t>(i % 251);
    data::write_png(folder.file(std::string("val/") + name + "/1.png"), image);
  }
  data::DataOptions data;
  data.dataset = "folders";
  data.root = folder.path();
  nets::ModelOptions model;
  model.name = "resnet18";
  model.num_classes = 2;
  model.width_multiplier = 0.0625;
  const auto net = nets::make_model(model, 3);
  InferenceOptions options;
  options.short_side = 32;
  options.crop = 24;
  const auto set = data::open_image_folders(data, "val", 2, 3);
  std::vector<std::vector<double>> seen;
  ClassifiedHooks hooks;
  hooks.image = [&](const data::ClassifiedImage&, std::span<const double> p) {
    seen.emplace_back(p.begin(), p.end());
  };
  const ClassificationResult result = evaluate(*net, *set, data, options, hooks);
  CHECK(result.scores.images == 2);
  REQUIRE(seen.size() == 2);
  CHECK(net->training());  // as it was
  net->eval();
  const Tensor image = set->load(0).image;
  const std::vector<double> plain = class_probabilities(*net, image, data, options);
  CHECK(plain == seen[0]);
  CHECK(plain[0] + plain[1] == Approx(1));
  Tensor turned = Tensor::empty(image.shape(), DType::u8);
  for (int64_t y = 0; y < image.dim(0); ++y) {
    for (int64_t x = 0; x < image.dim(1) * 3; ++x)
      turned.data<uint8_t>()[y * image.dim(1) * 3 + x] =
          image.data<uint8_t>()[(y * image.dim(1) + image.dim(1) - 1 - x / 3) * 3 + x % 3];
  }
  options.flip = true;
  const std::vector<double> both = class_probabilities(*net, image, data, options);
  CHECK(both[0] != plain[0]);
  options.flip = false;
  // The view of 50 x 32 begins at column 13 from both sides.
  const std::vector<double> mirrored = class_probabilities(*net, turned, data, options);
  CHECK(both[0] == Approx((plain[0] + mirrored[0]) / 2).margin(1e-3));
  CHECK(describe_view(data, options) == "shorter side resized to 32, centre crop 24x24");
}
