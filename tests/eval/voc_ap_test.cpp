// VOC's average precision by hand.
#include "eval/voc_ap.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"

using namespace atrous;
using namespace atrous::eval;
using Catch::Contains;

namespace {

const VocBox home{0, 0, 9, 9}, far{50, 50, 59, 59};

VocSummary score(const std::vector<VocObject>& objects, const std::vector<VocDetection>& detections,
                 VocRule rule) {
  VocScores scores({"a"});
  scores.add(objects, detections);
  return scores.summary(rule);
}

}  // namespace

TEST_CASE("voc ap: corners belong to the box") {
  CHECK(voc_iou({0, 0, 0, 0}, {0, 0, 0, 0}) == 1);
  CHECK(voc_iou({0, 0, 9, 9}, {0, 0, 9, 4}) == 0.5);
  CHECK(voc_iou({0, 0, 9, 9}, {9, 9, 18, 18}) == 1.0 / 199);
  CHECK(voc_iou({0, 0, 9, 9}, {10, 0, 19, 9}) == 0);
}

TEST_CASE("voc ap: area under the curve, or eleven points of it") {
  // Of two objects the first is found with precision 1, the second with 2 / 3.
  const std::vector<VocObject> objects = {{0, home}, {0, far}};
  const std::vector<VocDetection> detections = {
      {0, 0.7, far}, {0, 0.9, home}, {0, 0.8, {100, 100, 109, 109}}};
  CHECK(*score(objects, detections, VocRule::all_points).mean_ap == Approx(0.5 + 0.5 * 2 / 3));
  CHECK(*score(objects, detections, VocRule::eleven_points).mean_ap == Approx((6 + 5 * 2. / 3) / 11));
  CHECK(*score(objects, {}, VocRule::all_points).mean_ap == 0);
  CHECK(*score(objects, {{0, 1, home}}, VocRule::eleven_points).mean_ap ==
        Approx(6. / 11));  // recall 0.5 counts
}

TEST_CASE("voc ap: an object is found once, even if another one is free") {
  const VocBox shifted{0, 1, 9, 10};
  // Both detections are nearest to the first object.
  const auto s = score({{0, home}, {0, shifted}}, {{0, 0.9, home}, {0, 0.8, home}}, VocRule::all_points);
  CHECK(*s.mean_ap == Approx(0.5));
  CHECK(*score({{0, home}}, {{0, 1, {0, 0, 9, 4}}}, VocRule::all_points).mean_ap == 1);  // IoU 0.5 is enough
}

TEST_CASE("voc ap: difficult objects and what finds them count neither way") {
  const std::vector<VocObject> objects = {{0, home, true}, {0, far}};
  CHECK(*score(objects, {{0, 0.9, home}, {0, 0.8, home}, {0, 0.7, far}}, VocRule::all_points).mean_ap == 1);
  const auto none = score({{0, home, true}}, {{0, 0.9, home}}, VocRule::all_points);
  CHECK_FALSE(none.mean_ap.has_value());
  CHECK_FALSE(none.classes[0].ap.has_value());
  CHECK(none.classes[0].objects == 0);
}

TEST_CASE("voc ap: classes do not see each other, images neither") {
  VocScores scores({"a", "b", "absent"});
  const std::vector<VocObject> objects = {{0, home}, {1, far}};
  const std::vector<VocDetection> detections = {{0, 0.5, home}, {0, 0.9, far}};
  scores.add(objects, detections);
  scores.add({}, std::vector<VocDetection>{{1, 0.5, far}});
  const VocSummary s = scores.summary(VocRule::all_points);
  CHECK(*s.classes[0].ap == Approx(0.5));
  CHECK(*s.classes[1].ap == 0);
  CHECK_FALSE(s.classes[2].ap.has_value());
  CHECK(*s.mean_ap == Approx(0.25));
  CHECK_THROWS_WITH(scores.add(std::vector<VocObject>{{3, home}}, {}), Contains("one of the 3"));
  CHECK_THROWS_WITH(scores.add({}, std::vector<VocDetection>{{-1, 0.5, home}}), Contains("Got -1"));
  CHECK_THROWS_WITH(scores.add({}, std::vector<VocDetection>{{0, std::nan(""), home}}), Contains("finite"));
}
