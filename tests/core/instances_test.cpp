#include "core/instances.h"

#include <catch2/catch.hpp>

using namespace atrous;

namespace {

std::vector<int> values_of(const Tensor& t) {
  return {t.data<uint8_t>(), t.data<uint8_t>() + t.numel()};
}

Instances one_object(int64_t height, int64_t width, Mask mask) {
  Instances out{.height = height, .width = width};
  out.boxes = Tensor::from<float>({1, 4}, {1, 2, 3, 4});
  out.labels = {1};
  out.masks = {std::move(mask)};
  out.crowd = {0};
  out.ids = {7};
  out.areas = {2.5};
  return out;
}

}  // namespace

TEST_CASE("a mask is cropped to what is set, and its bounds are in image coordinates") {
  const Tensor plane = Tensor::from<uint8_t>({4, 5}, {0, 0, 0, 0, 0,  //
                                                      0, 0, 2, 2, 0,  //
                                                      0, 1, 0, 2, 0,  //
                                                      0, 0, 0, 0, 0});
  const Mask mask = Mask::of_value(plane, 2);
  CHECK(mask.bounds() == std::array<int64_t, 4>{2, 1, 4, 3});
  CHECK(mask.area() == 3);
  CHECK(mask.pixels == std::vector<uint8_t>{1, 1, 0, 1});
  CHECK(Mask::of_value(plane.to(DType::i32), 1).bounds() == std::array<int64_t, 4>{1, 2, 2, 3});
  const Mask none = Mask::of_value(plane, 9);
  CHECK(none.area() == 0);
  CHECK(none.pixels.empty());
  CHECK(none.bounds() == std::array<int64_t, 4>{0, 0, 0, 0});
  CHECK_THROWS_AS(Mask::of_value(Tensor::zeros({2, 2}), 1), Error);
}

TEST_CASE("planes of masks are what the window holds, zeros elsewhere") {
  const Instances objects =
      one_object(3, 4, {.x0 = 1, .y0 = 1, .width = 2, .height = 2, .pixels = {1, 0, 1, 1}});
  const int64_t which[] = {0, 0};
  const Tensor planes = dense_masks(objects, which, 3, 4);
  const std::vector<int> expected{0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0};
  CHECK(planes.shape() == Shape{2, 3, 4});
  CHECK(values_of(planes.narrow_batch(0, 1)) == expected);
  CHECK(values_of(planes.narrow_batch(1, 1)) == expected);
  CHECK(dense_masks(objects, {}, 3, 4).shape() == Shape{0, 3, 4});
  Instances boxes_only = objects;
  boxes_only.masks.clear();
  CHECK_THROWS_AS(dense_masks(boxes_only, which, 3, 4), Error);
}

TEST_CASE("resized masks take the nearest source by torchvision's rule") {
  // 4 -> 6 reads 0 0 1 2 2 3, 7 -> 3 reads 0 2 4.
  const int64_t which[] = {0};
  const Instances wide = one_object(1, 4, {.x0 = 1, .y0 = 0, .width = 2, .height = 1, .pixels = {1, 1}});
  CHECK(values_of(dense_masks(wide, which, 1, 6)) == std::vector<int>{0, 0, 1, 1, 1, 0});
  const Instances odd = one_object(1, 7, {.x0 = 2, .y0 = 0, .width = 3, .height = 1, .pixels = {1, 0, 1}});
  CHECK(values_of(dense_masks(odd, which, 1, 3)) == std::vector<int>{0, 1, 1});
}

TEST_CASE("selected objects keep all that belongs to them") {
  Instances two = one_object(3, 4, {.x0 = 0, .y0 = 0, .width = 1, .height = 1, .pixels = {1}});
  two.boxes = Tensor::from<float>({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  two.labels = {1, 2};
  two.masks.push_back({.x0 = 2, .y0 = 2, .width = 1, .height = 1, .pixels = {1}});
  two.crowd = {0, 1};
  two.ids = {7, 8};
  two.areas = {2.5, 1};
  const int64_t second[] = {1}, wrong[] = {2};
  const Instances out = select(two, second);
  CHECK(out.size() == 1);
  CHECK(out.box(0)[3] == 8);
  CHECK(out.labels == std::vector<int32_t>{2});
  CHECK(out.masks[0].x0 == 2);
  CHECK(out.crowd == std::vector<uint8_t>{1});
  CHECK(out.ids == std::vector<int64_t>{8});
  CHECK(out.areas == std::vector<double>{1});
  CHECK(out.height == 3);
  CHECK(select(two, {}).boxes.shape() == Shape{0, 4});
  CHECK_THROWS_AS(select(two, wrong), Error);
}
