#include "eval/instance_pictures.h"

#include <catch2/catch.hpp>
#include <limits>

using namespace atrous;

namespace {

Instances objects(int64_t height, int64_t width, const std::vector<std::array<float, 4>>& boxes) {
  Instances o;
  o.height = height;
  o.width = width;
  o.boxes = Tensor::empty({static_cast<int64_t>(boxes.size()), 4});
  for (size_t i = 0; i < boxes.size(); ++i) {
    std::copy_n(boxes[i].data(), 4, o.box(static_cast<int64_t>(i)));
    o.labels.push_back(1);
    o.crowd.push_back(0);
  }
  return o;
}

const std::vector<data::ClassInfo> classes = {{"background"}, {"ab"}, {"cd"}};

std::array<int, 3> at(const Tensor& picture, int64_t y, int64_t x) {
  const uint8_t* p = picture.data<uint8_t>() + (y * picture.dim(1) + x) * 3;
  return {p[0], p[1], p[2]};
}

int64_t changed(const Tensor& picture, uint8_t background) {
  int64_t n = 0;
  for (int64_t i = 0; i < picture.numel() / 3; ++i)
    n += at(picture, i / picture.dim(1), i % picture.dim(1)) !=
         std::array<int, 3>{background, background, background};
  return n;
}

}  // namespace

TEST_CASE("pictures of objects: boxes, tinted masks with outlines, names") {
  const Tensor image = Tensor::full({700, 700, 1}, 100, DType::u8);
  Instances o = objects(700, 700, {{100, 200, 180, 260}});
  const Tensor boxes_only = eval::draw_instances(image, o, classes);
  CHECK(boxes_only.shape() == Shape{700, 700, 3});
  const auto color = at(boxes_only, 200, 100);
  CHECK(color != std::array<int, 3>{100, 100, 100});
  CHECK(at(boxes_only, 259, 179) == color);
  CHECK(at(boxes_only, 230, 140) == std::array<int, 3>{100, 100, 100});
  CHECK(at(boxes_only, 195, 100) == color);  // the tag, above the box
  o.masks = {{.x0 = 120, .y0 = 220, .width = 10, .height = 10, .pixels = std::vector<uint8_t>(100, 1)}};
  const Tensor masks = eval::draw_instances(image, o, classes);
  CHECK(at(masks, 220, 120) == color);
  const auto inside = at(masks, 225, 125);
  CHECK(inside != color);
  CHECK(inside != std::array<int, 3>{100, 100, 100});
  const float score = 0.5f;
  CHECK(changed(eval::draw_instances(image, o, classes, {&score, 1}), 100) > changed(masks, 100));
}

TEST_CASE(
    "pictures of objects: one class goes without names, errors are red, letters grow with the picture") {
  const Tensor image = Tensor::full({700, 700, 1}, 100, DType::u8);
  const Instances o = objects(700, 700, {{100, 200, 180, 260}});
  const std::vector<data::ClassInfo> one = {{"background"}, {"ab"}};
  CHECK(at(eval::draw_instances(image, o, one), 195, 100) == std::array<int, 3>{100, 100, 100});
  const Tensor wrong = eval::draw_instances(image, o, one, {}, {.colors = {5}, .errors = {"bg"}});
  CHECK(at(wrong, 195, 100) == std::array<int, 3>{225, 20, 30});  // the tag
  int64_t white = 0, red = 0;
  for (int64_t x = 100; x < 180; ++x) {
    white += at(wrong, 259, x) == std::array<int, 3>{255, 255, 255};
    red += at(wrong, 259, x) == std::array<int, 3>{225, 20, 30};
  }
  CHECK(white + red == 80);
  CHECK(white > 30);
  CHECK(red > 30);
  // Colours by number, wherever the object is in the list.
  const auto color_of = [&](int64_t number) {
    return at(eval::draw_instances(image, o, one, {}, {.colors = {number}, .errors = {}}), 259, 100);
  };
  CHECK(color_of(3) == color_of(3));
  CHECK(color_of(3) != color_of(4));
  const Tensor large = Tensor::full({2000, 2000, 1}, 100, DType::u8);
  const Tensor picture = eval::draw_instances(large, objects(2000, 2000, {{100, 200, 180, 260}}), classes);
  CHECK(at(picture, 262 - 4, 140) == at(picture, 259, 140));  // a line of some pixels
  CHECK_THROWS_AS(eval::draw_instances(image, o, one, {}, {.colors = {1, 2}, .errors = {}}), Error);
}

TEST_CASE("pictures of objects: tags do not cover other objects") {
  const Tensor image = Tensor::full({640, 640, 3}, 0, DType::u8);
  // A tight grid: only the rim has free places.
  std::vector<std::array<float, 4>> grid;
  for (int i = 0; i < 400; ++i) {
    const int row = i / 20, column = i % 20;
    const auto x = static_cast<float>(120 + 20 * column), y = static_cast<float>(120 + 20 * row);
    grid.push_back({x, y, x + 20, y + 20});
  }
  const Tensor picture = eval::draw_instances(image, objects(640, 640, grid), classes);
  for (int64_t y = 160; y < 480; ++y) {  // within, boxes stay hollow
    for (int64_t x = 160; x < 480; ++x) {
      const bool inside = y % 20 > 0 && y % 20 < 19 && x % 20 > 0 && x % 20 < 19;
      if (inside) REQUIRE(at(picture, y, x) == std::array<int, 3>{0, 0, 0});
    }
  }
  CHECK(changed(picture, 0) > 400 * 76);  // boxes, and tags around them
}

TEST_CASE("pictures of objects: small ones are enlarged, crowds are grey, nothing is nothing") {
  const Tensor image = Tensor::full({64, 32, 3}, 7, DType::u8);
  Instances o = objects(64, 32, {{8, 16, 24, 32}});
  o.crowd[0] = 1;
  const Tensor picture = eval::draw_instances(image, o, classes);
  CHECK(picture.shape() == Shape{640, 320, 3});
  CHECK(at(picture, 160, 80) == std::array<int, 3>{150, 150, 150});
  CHECK(changed(eval::draw_instances(image, objects(64, 32, {}), classes), 7) == 0);
  CHECK_THROWS_AS(eval::draw_instances(image, objects(32, 64, {}), classes), Error);
  const float scores[] = {1, 2};
  CHECK_THROWS_AS(eval::draw_instances(image, o, classes, scores), Error);
}

TEST_CASE("pictures of objects: names of a crowded picture do not pile up") {
  const Tensor image = Tensor::full({640, 640, 3}, 0, DType::u8);
  std::vector<std::array<float, 4>> boxes(300, {300, 300, 340, 340});  // all in one place
  const Tensor picture = eval::draw_instances(image, objects(640, 640, boxes), classes);
  // The box and at most three places above, in and below it, left and right.
  CHECK(changed(picture, 0) < 40 * 40 + 6 * 15 * 15);
  boxes.assign(1, {-20, -20, 700, 700});  // beyond the picture
  CHECK(eval::draw_instances(image, objects(640, 640, boxes), classes).dim(0) == 640);
}

TEST_CASE("pictures of objects: boxes far outside cost no time, and none that is not a number breaks it") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor image = Tensor::full({700, 700, 3}, 7, DType::u8);
  const auto draw = [&](const std::vector<std::array<float, 4>>& boxes) {
    return eval::draw_instances(image, objects(700, 700, boxes), classes);
  };
  CHECK(changed(draw({{-1e18f, -1e18f, 1e18f, 1e18f}, {-inf, -inf, inf, inf}, {nan, nan, nan, nan}}), 7) ==
        0);
  // The edge inside is drawn as far as the picture goes.
  const Tensor picture = draw({{-1e18f, 300, 1e18f, 1e18f}});
  CHECK(at(picture, 300, 0) != std::array<int, 3>{7, 7, 7});
  CHECK(at(picture, 300, 699) == at(picture, 300, 0));
  CHECK(changed(picture, 7) >= 700);
}
