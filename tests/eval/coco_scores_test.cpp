// COCO's scores by hand: each rule of the matching alone, the kinds of errors, and what must not change them.
// (tests/parity/parity_coco.py compares all 12 numbers with pycocotools.)
#include "eval/coco_scores.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "eval/coco_metrics.h"
#include "eval/report/coco_html.h"

using namespace atrous;
using namespace atrous::eval;
using Catch::Contains;

namespace {

CocoObject object(const data::CocoBox& box, int64_t category = 0, bool crowd = false) {
  return {category, box, nullptr, box.area(), crowd};
}
CocoDetection detection(double score, const data::CocoBox& box, int64_t category = 0) {
  return {category, score, box, nullptr, box.area()};
}

using Objects = std::vector<CocoObject>;
using Detections = std::vector<CocoDetection>;

CocoSummary score(const Objects& objects, const Detections& detections, int classes = 1) {
  std::vector<data::CocoCategory> names;
  for (int c = 0; c < classes; ++c) names.push_back({c + 1, "class" + std::to_string(c)});
  CocoScores scores(IouType::bbox, names);
  scores.add(1, objects, detections);
  return scores.summary();
}

const DetectionErrorScore& error_of(const CocoSummary& s, DetectionError e) {
  return s.errors[static_cast<size_t>(e)];
}

}  // namespace

TEST_CASE("coco scores: all found, none found, nothing to find") {
  const data::CocoBox box{10, 10, 50, 50};
  const CocoSummary found = score({object(box)}, {detection(0.9, box)});
  const std::array<double, 12> all = {1, 1, 1, -1, 1, -1, 1, 1, 1, -1, 1, -1};
  for (size_t i = 0; i < 12; ++i) CHECK(found.stats[i] == Approx(all[i]).epsilon(1e-14));
  // One hit: precision is 1 / (1 + 2^-52), as pycocotools has it.
  CHECK(found.classes[0].precision50 ==
        std::vector<double>(101, 1 / (1 + std::numeric_limits<double>::epsilon())));
  CHECK(found.objects == 1);
  CHECK(found.detections == 1);
  const CocoSummary missed = score({object(box)}, {});
  CHECK(missed.stats == std::array<double, 12>{0, 0, 0, -1, 0, -1, 0, 0, 0, -1, 0, -1});
  const CocoSummary nothing = score({}, {detection(0.9, box)});
  CHECK(std::all_of(nothing.stats.begin(), nothing.stats.end(), [](double v) { return v == -1; }));
  CHECK(nothing.classes[0].precision.empty());
  // A gain that does not exist is none, and not 0.
  CHECK_FALSE(error_of(nothing, DetectionError::background).ap_gain.has_value());
  CHECK(error_of(nothing, DetectionError::background).count == 1);
  CHECK(existing(nothing.ap()) == std::nullopt);
  CHECK(existing(missed.ap()) == 0.0);
  const std::string page = coco_cards(nothing, "box") + coco_sections(nothing, "box");
  CHECK_THAT(page, Contains("nothing to score: the images have no annotated objects") && !Contains("-100") &&
                       !Contains("0.0 %") && !Contains("– %"));
  CHECK(score({}, {}, 0).ap() == -1);
}

TEST_CASE("coco scores: an IoU at the threshold counts, one below does not") {
  // IoU 50 / 100, exactly.
  CHECK(score({object({0, 0, 10, 10})}, {detection(1, {0, 0, 10, 5})}).ap50() > 0.99);
  CHECK(score({object({0, 0, 10, 10})}, {detection(1, {0, 0, 10, 4.999})}).ap50() == 0);
  // IoU 0.6: found at 0.50, 0.55 and 0.60.
  CHECK(score({object({0, 0, 10, 10})}, {detection(1, {0, 0, 10, 6})}).stats[8] == Approx(0.3));
}

TEST_CASE(
    "coco scores: of equal IoUs the last object is taken, of equal scores the first detection comes first") {
  // The first detection could take either object, the second only one.
  const Detections two = {detection(0.9, {0, 0, 10, 10}), detection(0.9, {0, 0, 10, 6})};
  const CocoObject upper = object({0, 0, 10, 5}), lower = object({0, 5, 10, 5});
  // IoU 0.5 at both and 5/6: two found at the lowest threshold, one up to 0.8.
  CHECK(score({upper, lower}, two).stats[7] == Approx((1 + 6 * 0.5) / 10));
  CHECK(score({lower, upper}, two).stats[7] == Approx(7 * 0.5 / 10));
}

TEST_CASE("coco scores: crowds and objects of another size are ignored with what finds them") {
  const data::CocoBox crowd{0, 0, 100, 100}, inside{10, 10, 40, 40}, apart{200, 200, 40, 40};
  const Objects objects = {object(crowd, 0, true), object(apart)};
  const CocoSummary s =
      score(objects, {detection(0.9, inside), detection(0.8, inside), detection(0.7, apart)});
  CHECK(s.ap50() > 0.99);  // many detections may find one crowd
  CHECK(error_of(s, DetectionError::duplicate).count == 0);
  // Outside of any object, large: wrong among all and among the large ones, ignored among the small ones.
  const Objects sizes = {object({0, 0, 20, 20}), object({300, 0, 100, 100})};
  const CocoSummary t = score(sizes, {detection(0.9, {500, 500, 100, 100}), detection(0.8, {0, 0, 20, 20}),
                                      detection(0.7, {300, 0, 100, 100})});
  CHECK(t.stats[3] > 0.99);
  CHECK(t.stats[4] == -1);
  CHECK(t.stats[5] == Approx(0.5));
  CHECK(t.stats[0] == Approx(2. / 3));
  // Exactly 32 x 32 is small and medium.
  const CocoSummary bound = score({object({0, 0, 32, 32})}, {detection(1, {0, 0, 32, 32})});
  CHECK(bound.stats[3] > 0.99);
  CHECK(bound.stats[4] > 0.99);
}

TEST_CASE("coco scores: of an image and class 100 detections count") {
  Detections many;
  for (int i = 0; i < 100; ++i) many.push_back(detection(0.9, {500, 500, 10, 10}));
  many.push_back(detection(0.5, {0, 0, 10, 10}));
  CHECK(score({object({0, 0, 10, 10})}, many).ap50() == 0);
  many.erase(many.begin());
  const CocoSummary s = score({object({0, 0, 10, 10})}, many);
  CHECK(s.ap50() == Approx(0.01));
  CHECK(s.stats[6] == 0);
  CHECK(s.stats[7] == 0);
  CHECK(s.stats[8] == 1);
}

TEST_CASE("coco scores: an object that is never found, as that of id 0 in pycocotools") {
  Objects objects = {object({0, 0, 10, 10})};
  objects[0].never_found = true;
  CHECK(score(objects, {detection(1, {0, 0, 10, 10})}).ap50() == 0);
}

TEST_CASE("coco scores: errors are the same whether the object of id 0 is never found or any other") {
  // The first object is found, and by a second detection again; the second object and a detection meet none.
  Objects objects = {object({0, 0, 100, 100}), object({300, 0, 100, 100})};
  const Detections found = {detection(0.9, {0, 0, 100, 100}), detection(0.8, {0, 0, 100, 98}),
                            detection(0.7, {600, 0, 50, 50})};
  const CocoSummary any_other = score(objects, found);
  objects[0].never_found = true;
  const CocoSummary never_found = score(objects, found);
  CHECK(any_other.ap50() > 0.5);
  CHECK(never_found.ap50() == 0);
  for (int e = 1; e < detection_errors; ++e) {
    CAPTURE(name_of(static_cast<DetectionError>(e)));
    const DetectionErrorScore &a = any_other.errors[static_cast<size_t>(e)],
                              &b = never_found.errors[static_cast<size_t>(e)];
    CHECK(a.count == b.count);
    CHECK(a.ap_gain.value() == b.ap_gain.value());
  }
  CHECK(error_of(never_found, DetectionError::duplicate).count == 1);
  CHECK(error_of(never_found, DetectionError::missed).count == 1);
  // Alone, the detection that finds the object is no error.
  const CocoSummary alone = score({objects[0]}, {found[0]});
  for (int e = 1; e < detection_errors; ++e) CHECK(alone.errors[static_cast<size_t>(e)].count == 0);
}

TEST_CASE("coco scores: every kind of error, counted and mended") {
  using E = DetectionError;
  const data::CocoBox home{0, 0, 100, 100}, far{500, 500, 100, 100};
  const auto only = [&](const CocoSummary& s, E kind, int64_t count = 1) {
    for (int e = 1; e < detection_errors; ++e) {
      CAPTURE(name_of(static_cast<E>(e)));
      CHECK(error_of(s, static_cast<E>(e)).count == (static_cast<E>(e) == kind ? count : 0));
    }
    return error_of(s, kind).ap_gain.value_or(-1);
  };
  CHECK(only(score({object(home)}, {detection(1, {0, 0, 100, 30})}), E::localisation) == Approx(1));
  CHECK(only(score({object(home)}, {detection(1, {0, 0, 100, 50.1}), detection(0.5, home)}), E::duplicate) ==
        Approx(0).margin(1e-9));
  CHECK(only(score({object(home)}, {detection(0.9, home), detection(0.8, far)}), E::background) ==
        Approx(0).margin(1e-9));
  CHECK(only(score({object(home)}, {detection(0.9, home), detection(1, far)}), E::background) == Approx(0.5));
  CHECK(only(score({object(home)}, {}), E::missed) == Approx(1));
  // Right place, wrong class: class 1 has the object, class 0 the detection.
  CHECK(only(score({object(home, 1)}, {detection(1, home, 0)}, 2), E::classification) == Approx(1));
  const CocoSummary both = score({object(home, 1)}, {detection(1, {0, 0, 100, 30}, 0)}, 2);
  CHECK(error_of(both, E::both).count == 1);
  CHECK(error_of(both, E::missed).count == 1);
  CHECK(both.classes[0].errors[static_cast<size_t>(E::both)].count == 1);
  CHECK(both.classes[1].errors[static_cast<size_t>(E::missed)].count == 1);
  // Two misplaced detections of one object: the one with the higher score would find it, the other vanishes.
  CHECK(only(score({object(home)}, {detection(0.5, {0, 0, 100, 30}), detection(0.9, {0, 0, 100, 20})}),
             E::localisation, 2) == Approx(1));
  // The object is taken: a misplaced detection of it only vanishes.
  CHECK(only(score({object(home), object(far)},
                   {detection(1, {0, 0, 100, 30}), detection(0.9, home), detection(0.8, far)}),
             E::localisation) == Approx(1 - 2. / 3));
  // A crowd is nobody's error.
  const CocoSummary crowd = score({object(home, 0, true), object(far)}, {detection(1, far)});
  only(crowd, E::none);
}

TEST_CASE("coco scores: masks are compared as masks") {
  const data::Rle triangle = data::rle_from_polygon(20, 20, std::vector<double>{0, 0, 20, 0, 0, 20});
  const data::Rle other = data::rle_from_polygon(20, 20, std::vector<double>{20, 20, 20, 1, 1, 20});
  const auto area = [](const data::Rle& r) { return static_cast<double>(data::rle_area(r)); };
  CocoObject o{0, data::rle_box(triangle), &triangle, area(triangle), false};
  CocoDetection same{0, 1, data::rle_box(triangle), &triangle, area(triangle)};
  CocoDetection opposite{0, 1, data::rle_box(triangle), &other, area(other)};
  CocoScores good(IouType::segm, {{1, "a"}}), bad(IouType::segm, {{1, "a"}}),
      boxes(IouType::bbox, {{1, "a"}});
  good.add(1, {&o, 1}, {&same, 1});
  bad.add(1, {&o, 1}, {&opposite, 1});
  boxes.add(1, {&o, 1}, {&opposite, 1});
  CHECK(good.summary().ap() > 0.99);
  CHECK(bad.summary().ap() == 0);
  CHECK(boxes.summary().ap() > 0.99);
}

TEST_CASE("coco scores: neither the order of images nor the number of threads changes a bit") {
  Rng rng(5);
  std::vector<Objects> objects(30);
  std::vector<Detections> detections(30);
  const auto box = [&] {
    return data::CocoBox{rng.uniform(0, 50), rng.uniform(0, 50), rng.uniform(5, 60), rng.uniform(5, 60)};
  };
  for (size_t i = 0; i < 30; ++i) {
    for (int64_t k = rng.integer(0, 4); k-- > 0;)
      objects[i].push_back(object(box(), rng.integer(0, 2), rng.coin(0.2)));
    for (int64_t k = rng.integer(0, 9); k-- > 0;)
      detections[i].push_back(detection(std::round(rng.uniform() * 5) / 5, box(), rng.integer(0, 2)));
  }
  const std::vector<data::CocoCategory> classes = {{1, "a"}, {2, "b"}, {3, "c"}};
  CocoScores forth(IouType::bbox, classes), back(IouType::bbox, classes);
  for (size_t i = 0; i < 30; ++i) {
    forth.add(static_cast<int64_t>(i), objects[i], detections[i]);
    back.add(static_cast<int64_t>(29 - i), objects[29 - i], detections[29 - i]);
  }
  const int threads = num_threads();
  set_num_threads(1);
  const CocoSummary a = forth.summary();
  set_num_threads(3);
  const CocoSummary b = back.summary();
  set_num_threads(threads);
  CHECK(a.stats == b.stats);
  CHECK(a.ap50() > 0);
  for (size_t c = 0; c < 3; ++c) {
    CHECK(a.classes[c].precision == b.classes[c].precision);
    for (size_t e = 0; e < detection_errors; ++e)
      CHECK(a.classes[c].errors[e].ap_gain == b.classes[c].errors[e].ap_gain);
  }
}

TEST_CASE("coco scores: what cannot be scored is refused") {
  CocoScores boxes(IouType::bbox, {{1, "a"}}), masks(IouType::segm, {{1, "a"}});
  const data::CocoBox box{0, 0, 10, 10};
  const auto with = [&](CocoScores& s, const CocoObject& o, const CocoDetection& d) {
    s.add(4, {&o, 1}, {&d, 1});
  };
  CHECK_THROWS_WITH(with(boxes, object(box, 1), detection(1, box)),
                    Contains("image 4, object 0") && Contains("one of the 1"));
  CHECK_THROWS_WITH(with(boxes, object(box), detection(1, box, -1)), Contains("image 4, detection 0"));
  CHECK_THROWS_WITH(with(boxes, object(box), detection(std::nan(""), box)), Contains("finite"));
  CHECK_THROWS_WITH(with(masks, object(box), detection(1, box)),
                    Contains("object 0") && Contains("Score boxes"));
  const data::Rle small = data::rle_from_box(4, 4, {0, 0, 4, 4}),
                  large = data::rle_from_box(5, 5, {0, 0, 4, 4});
  const CocoObject o{0, box, &small, 16, false};
  const CocoDetection d{0, 1, box, &large, 16};
  CHECK_THROWS_WITH(with(masks, o, d), Contains("one size"));
  with(boxes, object(box), detection(1, box));
  with(boxes, object(box), detection(1, box));
  CHECK_THROWS_WITH(boxes.summary(), Contains("Image 4 came twice"));
}

TEST_CASE("coco scores: the page shows numbers, errors, classes and curves, and no name breaks it") {
  CocoScores scores(IouType::bbox, {{1, "<b>car"}, {2, "nothing"}});
  const CocoObject o = object({0, 0, 10, 10});
  const CocoDetection d = detection(1, {0, 0, 10, 10});
  scores.add(1, {&o, 1}, {&d, 1});
  const std::string html = coco_sections(scores.summary(), "box");
  for (const char* part : {"AP50", "localisation", "background", "missed", "&lt;b&gt;car: AP 100.0 %",
                           "Mean over classes", "no objects", "<svg class=\"chart\""})
    CHECK_THAT(html, Contains(part));
  CHECK_THAT(html, !Contains("<b>car"));
  CHECK(coco_stat_name(coco_metrics()[0]) ==
        "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]");
  CHECK(coco_stat_name(coco_metrics()[6]) ==
        "Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ]");
  CHECK(coco_sections(score({}, {}, 0), "mask").find("nan") == std::string::npos);
}
