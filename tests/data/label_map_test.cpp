#include "data/label_map.h"

#include <algorithm>

#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

LabelFile grey(const Shape& shape, std::initializer_list<int> values) {
  LabelFile file;
  file.format = "PNG grey, 8 bit";
  file.values = pixels(shape, values);
  return file;
}
LabelFile rgb(const Shape& shape, std::initializer_list<int> values) {
  LabelFile file = grey({shape[0], shape[1], 3}, values);
  file.format = "PNG RGB, 8 bit";
  file.is_rgb = true;
  return file;
}

}  // namespace

TEST_CASE("label map: identity keeps classes and 255") {
  const LabelMap map = LabelMap::identity(3);
  CHECK(values_of(map.apply(grey({1, 4}, {0, 1, 2, 255}), "l.png", false)) == std::vector<int>{0, 1, 2, 255});
  CHECK(map.describe({{"sky", {}}, {"road", {}}, {"car", {}}}) == "0:sky 1:road 2:car 255:ignore");
}

TEST_CASE("label map: values, ranges and ignore") {
  const LabelMap map = LabelMap::parse("0:ignore, 1-3:0, 7:1, 300-302:ignore", 3);
  CHECK(values_of(map.apply(grey({1, 5}, {0, 1, 2, 3, 7}), "l.png", false)) ==
        std::vector<int>{255, 0, 1, 2, 1});
  CHECK(map.lookup(301) == ignore_label);
  CHECK(map.lookup(4) == LabelMap::unknown);
  CHECK(map.lookup(70000) == LabelMap::unknown);
  CHECK(LabelMap::parse("identity", 2).lookup(1) == 1);
}

TEST_CASE("label map: colours") {
  const LabelMap map = LabelMap::parse("#FF0000:0,#00ff00:1,#000000:ignore", 2);
  CHECK(map.uses_colors());
  const auto file = rgb({1, 4}, {255, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0});
  CHECK(values_of(map.apply(file, "l.png", false)) == std::vector<int>{0, 1, 255, 0});
}

TEST_CASE("label map: a value without a class names file, position, value, class count and remedy") {
  const LabelMap map = LabelMap::identity(3);
  CHECK_SAYS(ErrorKind::data, map.apply(grey({2, 3}, {0, 1, 2, 0, 9, 9}), "dir/l.png", false), "dir/l.png",
             "value 9", "x=1 y=1", "3 classes", "data.label_map", "data.map_unknown_to_ignore");
  CHECK(values_of(map.apply(grey({1, 2}, {0, 9}), "l.png", true)) == std::vector<int>{0, 255});
}

TEST_CASE("label map: the remedy fits the mistake") {
  CHECK_SAYS(ErrorKind::data, LabelMap::parse("0:0,1:1", 2).apply(grey({1, 2}, {0, 255}), "l.png", false),
             "data.label_map=0:0,255:1");
  CHECK_SAYS(ErrorKind::data, LabelMap::identity(3).apply(grey({1, 3}, {1, 2, 3}), "l.png", false),
             "data.label_map=0:ignore,1-3:0");
  CHECK_SAYS(ErrorKind::data, LabelMap::identity(11).apply(grey({1, 3}, {0, 5, 11}), "l.png", false),
             "data.label_map=0-10:0,11:ignore", "model.num_classes=12");
}

TEST_CASE("label map: colours where indices are expected, and the reverse") {
  const auto picture = rgb({1, 1}, {128, 64, 32});
  CHECK_SAYS(ErrorKind::data, LabelMap::identity(2).apply(picture, "l.png", false), "l.png", "class indices",
             "RGB", "#804020:0");
  CHECK_SAYS(ErrorKind::data, LabelMap::parse("#000000:0", 1).apply(grey({1, 1}, {0}), "l.png", false),
             "must be RGB", "grey");
}

TEST_CASE("label map: unmatched colours are listed with counts, none is guessed") {
  const LabelMap map = LabelMap::parse("#ff0000:0", 1);
  const auto file = rgb({2, 2}, {255, 0, 0, 254, 0, 0, 1, 2, 3, 1, 2, 3});
  CHECK_SAYS(ErrorKind::data, map.apply(file, "l.png", false), "2 colours", "#010203 x 2 (first at x=0 y=1)",
             "#fe0000 x 1 (first at x=1 y=0)", "map_unknown_to_ignore");
  CHECK(values_of(map.apply(file, "l.png", true)) == std::vector<int>{0, 255, 255, 255});
}

TEST_CASE("label map: every malformed entry is named") {
  const auto rejects = [](const char* text, const char* reason) {
    INFO(text);
    CHECK_SAYS(ErrorKind::config, LabelMap::parse(text, 3), "data.label_map", reason);
  };
  rejects("0", "no colon");
  rejects("", "no colon");
  rejects("0:0,", "no colon");
  rejects("0:x", "neither a number nor `ignore`");
  rejects("0:-1", "neither a number nor `ignore`");
  rejects("a:0", "not a number or range");
  rejects("3-1:0", "not a number or range");
  rejects("65536:0", "not a number or range");
  rejects("0:3", "class 3 does not exist, the model has 3");
  rejects("0-5:0", "class 3 does not exist");
  rejects("0:0,0:1", "value 0 was given before");
  rejects("#12:0", "not #rrggbb");
  rejects("#gg0000:0", "not #rrggbb");
  rejects("#000000:0,#000000:1", "given before");
  rejects("#000000:0,1:1", "values or colours, not both");
}

TEST_CASE("label map: a range with = is one class, and maps are printed as they are written") {
  const LabelMap map = LabelMap::parse("0:0, 1-254: = 1, 255:ignore", 2);
  CHECK(map.lookup(0) == 0);
  for (const int64_t value : {1, 2, 254}) CHECK(map.lookup(value) == 1);
  CHECK(map.lookup(255) == ignore_label);
  CHECK(map.describe({{"background", {}, {}}, {"person", {}, {}}}) ==
        "0:background 1-254:=person 255:ignore");
  CHECK(LabelMap::parse("7:=1", 2).lookup(7) == 1);
  CHECK_SAYS(ErrorKind::config, LabelMap::parse("0-5:=3", 3), "0-5:=3", "class 3 does not exist");
  CHECK_SAYS(ErrorKind::config, LabelMap::parse("0-5:=", 3), "neither a number nor `ignore`");
  CHECK_SAYS(ErrorKind::config, LabelMap::parse("0-5:=ignore", 3), "the class of a range");
  CHECK_SAYS(ErrorKind::config, LabelMap::parse("#ff0000:=1", 3), "the class of a range");
  for (const char* text : {"0:0,1-254:=1", "0-2:0,3-9:ignore,10-11:=2", "0-1:=0,2:1,3:0,4-6:=2"}) {
    const LabelMap first = LabelMap::parse(text, 3);
    // With numbers for names.
    std::string printed = first.describe({{"0", {}, {}}, {"1", {}, {}}, {"2", {}, {}}});
    std::replace(printed.begin(), printed.end(), ' ', ',');
    CAPTURE(printed);
    const LabelMap again = LabelMap::parse(printed, 3);
    for (int64_t value = 0; value < 300; ++value) CHECK(again.lookup(value) == first.lookup(value));
  }
}

TEST_CASE("label map: the remedy for a value does not send from data check to data check") {
  CHECK_SAYS(ErrorKind::data, LabelMap::identity(3).apply(grey({1, 2}, {0, 9}), "a.png", false), "value 9",
             "data.map_unknown_to_ignore=true.");
}
