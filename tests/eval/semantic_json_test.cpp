#include "eval/report/semantic_json.h"

#include <catch2/catch.hpp>

using namespace atrous;
using namespace atrous::eval;

TEST_CASE("scores and counts come back from JSON as they were") {
  ConfusionMatrix m(4);
  m.add_pixels(0, 0, 70);
  m.add_pixels(0, 1, 20);
  m.add_pixels(1, 1, 10);
  SemanticScores s =
      m.scores({.names = {"road", "car", "absent", "ignored"}, .excluded = {false, false, false, true}});
  for (bool boundary : {false, true}) {
    if (boundary) {
      s["boundary_f1"] = 0.25;
      s.per_class[1]["boundary_f1"] = 0.5;
    }
    const JsonValue json = parse_json(to_text(scores_to_json(s)), "test");
    CHECK((json.find("boundary_f1") != nullptr) == boundary);
    const SemanticScores back = scores_from_json(json);
    CHECK(to_text(scores_to_json(back)) == to_text(scores_to_json(s)));
    CHECK(back.absent_classes == 1);
    CHECK(back.excluded_classes == 1);
    CHECK(back.per_class[3].excluded);
    CHECK(back.pixels == 100);
    CHECK_FALSE(back.per_class[2]["iou"]);
  }
  const ConfusionMatrix back = confusion_from_json(parse_json(to_text(confusion_to_json(m)), "test"));
  CHECK(back.at(0, 1) == 20);
  CHECK(to_text(confusion_to_json(back)) == to_text(confusion_to_json(m)));
  CHECK(confusion_from_json(parse_json("[[1, 2], [3]]", "test")).num_classes() == 0);
}
