// Boxes and masks move with the picture.
#include <set>
#include "data/instances.h"

#include "data/warp.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

Mask filled(int64_t x0, int64_t y0, int64_t width, int64_t height) {
  return {.x0 = x0,
          .y0 = y0,
          .width = width,
          .height = height,
          .pixels = std::vector<uint8_t>(static_cast<size_t>(width * height), 1)};
}

void add_object(InstanceSample& s, std::array<float, 4> box, Mask mask, bool crowd = false) {
  Instances& o = s.instances;
  Tensor boxes = Tensor::empty({o.size() + 1, 4});
  std::copy_n(o.boxes.data<float>(), 4 * o.size(), boxes.data<float>());
  std::copy_n(box.data(), 4, boxes.data<float>() + 4 * o.size());
  o.boxes = boxes;
  o.labels.push_back(static_cast<int32_t>(o.size() % 3 + 1));
  o.areas.push_back(static_cast<double>(mask.area()));
  o.masks.push_back(std::move(mask));
  o.crowd.push_back(crowd);
  o.ids.push_back(o.size());
}

InstanceSample blank(int64_t height, int64_t width) {
  InstanceSample s;
  s.id = "made";
  s.image = Tensor::zeros({height, width, 1}, DType::u8);
  s.instances.height = height;
  s.instances.width = width;
  return s;
}

// The image is white where object 0 is, so that picture and mask can be compared.
InstanceSample painted(int64_t height, int64_t width, const Mask& mask) {
  InstanceSample s = blank(height, width);
  for (int64_t y = 0; y < mask.height; ++y) {
    for (int64_t x = 0; x < mask.width; ++x) {
      if (mask.pixels[static_cast<size_t>(y * mask.width + x)])
        s.image.data<uint8_t>()[(mask.y0 + y) * width + mask.x0 + x] = 255;
    }
  }
  const auto b = mask.bounds();
  add_object(s,
             {static_cast<float>(b[0]), static_cast<float>(b[1]), static_cast<float>(b[2]),
              static_cast<float>(b[3])},
             mask);
  return s;
}

Mask letter_l(int64_t x0, int64_t y0, int64_t size) {
  Mask m = filled(x0, y0, size, size);
  for (int64_t y = 0; y < size * 2 / 3; ++y) {
    for (int64_t x = size / 3; x < size; ++x) m.pixels[static_cast<size_t>(y * size + x)] = 0;
  }
  return m;
}

std::vector<float> box_of(const InstanceSample& s, int64_t i = 0) {
  return {s.instances.box(i), s.instances.box(i) + 4};
}

InstanceSample changed(const InstanceSample& s, const AugmentOptions& options, uint64_t seed = 1) {
  Rng rng(seed, 5);
  return augment(s, options, rng);
}

// Pixels where the picture (white or not) and the first mask disagree.
int64_t disagreement(const InstanceSample& s) {
  const int64_t which[] = {0};
  const Tensor plane = dense_masks(s.instances, which, s.image.dim(0), s.image.dim(1));
  int64_t wrong = 0;
  for (int64_t i = 0; i < plane.numel(); ++i)
    wrong += (s.image.data<float>()[i] > 0.5f) != (plane.data<uint8_t>()[i] == 1);
  return wrong;
}

}  // namespace

TEST_CASE("augmenting objects: without changes everything stays as it is") {
  InstanceSample s = painted(20, 30, letter_l(4, 5, 9));
  s.instances.box(0)[0] = 4.25f;
  s.instances.areas[0] = 33.5;
  const InstanceSample out = changed(s, {});
  CHECK(box_of(out) == std::vector<float>{4.25f, 5, 13, 14});
  CHECK(out.instances.masks[0].pixels == s.instances.masks[0].pixels);
  CHECK(out.instances.areas[0] == 33.5);
  CHECK(out.image.dtype() == DType::f32);
  CHECK(disagreement(out) == 0);
}

TEST_CASE("augmenting objects: flips are exact, also of boxes between pixels") {
  InstanceSample s = painted(20, 30, letter_l(4, 5, 9));
  s.instances.box(0)[0] = 4.25f;
  InstanceSample out = changed(s, {.flip_horizontal = 1});
  CHECK(box_of(out) == std::vector<float>{17, 5, 25.75f, 14});
  CHECK(disagreement(out) == 0);
  CHECK(out.instances.masks[0].bounds() == std::array<int64_t, 4>{17, 5, 26, 14});
  out = changed(s, {.flip_vertical = 1});
  CHECK(box_of(out) == std::vector<float>{4.25f, 6, 13, 15});
  CHECK(disagreement(out) == 0);
}

TEST_CASE("augmenting objects: quarter turns swap the sides") {
  const InstanceSample s = painted(20, 30, letter_l(4, 5, 9));
  bool turned = false;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const InstanceSample out = changed(s, {.rotate_quarter_turns = true}, seed);
    CHECK(out.instances.height == out.image.dim(0));
    CHECK(disagreement(out) == 0);
    const auto bounds = out.instances.masks[0].bounds();
    for (size_t k = 0; k < 4; ++k) CHECK(box_of(out)[k] == static_cast<float>(bounds[k]));
    turned = turned || out.image.dim(0) == 30;
  }
  CHECK(turned);
}

TEST_CASE(
    "augmenting objects: a crop clips boxes, fits those it cuts to what is left, and removes the rest") {
  InstanceSample s = blank(40, 40);
  add_object(s, {1, 1, 39, 39}, letter_l(1, 1, 38));  // always cut
  for (float at : {0.0f, 10.0f, 20.0f, 30.0f})        // some of them inside, some outside
    add_object(s, {at, at, at + 8, at + 8}, filled(static_cast<int64_t>(at), static_cast<int64_t>(at), 8, 8));
  std::set<int64_t> counts;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const InstanceSample out = changed(s, {.crop_height = 16, .crop_width = 16}, seed);
    const Instances& o = out.instances;
    counts.insert(o.size());
    CHECK(o.height == 16);
    REQUIRE(o.masks.size() == o.labels.size());
    REQUIRE(o.boxes.dim(0) == o.size());
    for (int64_t i = 0; i < o.size(); ++i) {
      const auto k = static_cast<size_t>(i);
      const auto bounds = o.masks[k].bounds();
      CHECK(o.masks[k].area() > 0);
      CHECK(o.areas[k] == static_cast<double>(o.masks[k].area()));
      for (size_t c = 0; c < 4; ++c) CHECK(o.box(i)[c] == static_cast<float>(bounds[c]));
    }
    if (o.size() > 0 && o.ids[0] == 1) CHECK(o.labels[0] == s.instances.labels[0]);
  }
  CHECK(counts.size() > 1);
}

TEST_CASE("augmenting objects: scale and crop keep picture and mask in register") {
  const InstanceSample s = painted(60, 80, letter_l(20, 15, 30));
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const InstanceSample out =
        changed(s, {.crop_height = 50, .crop_width = 60, .scale_min = 0.6, .scale_max = 1.9}, seed);
    if (out.instances.size() == 0) continue;
    // Interpolated edges may fall on either side of one half.
    CHECK(disagreement(out) <= 8);
  }
}

TEST_CASE("augmenting objects: rotated and deformed boxes are fitted to the mask") {
  const InstanceSample s = painted(60, 80, letter_l(20, 15, 30));
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const InstanceSample out = changed(s, {.rotate_degrees = 40, .elastic_sigma = 4}, seed);
    REQUIRE(out.instances.size() == 1);
    const auto bounds = out.instances.masks[0].bounds();
    for (size_t c = 0; c < 4; ++c) CHECK(box_of(out)[c] == static_cast<float>(bounds[c]));
    CHECK(disagreement(out) <= 40);
  }
}

TEST_CASE("augmenting objects: large scale jitter counts from the crop, and small pictures do not alias") {
  // A checkerboard of single pixels is grey from afar.
  InstanceSample s = painted(200, 200, filled(0, 0, 200, 200));
  for (int64_t i = 0; i < 200 * 200; ++i)
    s.image.data<uint8_t>()[i] = (i / 200 + i % 200) % 2 ? uint8_t{255} : uint8_t{0};
  const InstanceSample out = changed(
      s, {.crop_height = 50, .crop_width = 100, .scale_min = 0.5, .scale_max = 0.5, .scale_to_crop = true});
  REQUIRE(out.instances.size() == 1);
  const std::vector<float> b = box_of(out);
  CHECK(b[2] - b[0] == Approx(25));
  CHECK(b[3] - b[1] == Approx(25));
  for (auto y = static_cast<int64_t>(b[1]) + 1; y < static_cast<int64_t>(b[3]) - 1; ++y) {
    for (auto x = static_cast<int64_t>(b[0]) + 1; x < static_cast<int64_t>(b[2]) - 1; ++x)
      CHECK(out.image.data<float>()[y * 100 + x] == Approx(0.5).margin(0.02));
  }
  CHECK_SAYS(ErrorKind::config, changed(s, {.scale_to_crop = true}), "scale_to_crop needs a crop");
}

TEST_CASE(
    "augmenting objects: sets of boxes only work too, an empty image stays empty, mirrors are refused") {
  InstanceSample s = blank(40, 40);
  add_object(s, {2, 3, 12, 20}, filled(2, 3, 10, 17));
  s.instances.masks.clear();
  CHECK(box_of(changed(s, {.flip_horizontal = 1})) == std::vector<float>{28, 3, 38, 20});
  const InstanceSample none =
      changed(blank(40, 40), {.crop_height = 8, .crop_width = 8, .flip_horizontal = 0.5});
  CHECK(none.instances.size() == 0);
  CHECK(none.instances.boxes.shape() == Shape{0, 4});
  CHECK(none.image.shape() == Shape{8, 8, 1});
  CHECK_SAYS(ErrorKind::config, changed(s, {.border = Border::reflect}), "border", "no annotation");
}

TEST_CASE(
    "augmenting objects: the picture is that of the image alone, and the same draws give the same result") {
  const InstanceSample s = painted(60, 80, letter_l(20, 15, 30));
  const AugmentOptions all{.crop_height = 40,
                           .crop_width = 50,
                           .scale_min = 0.4,
                           .scale_max = 1.4,
                           .flip_horizontal = 0.5,
                           .rotate_degrees = 15,
                           .elastic_sigma = 1,
                           .brightness = 0.2,
                           .contrast = 0.2,
                           .blur_sigma_max = 1};
  Rng rng(9, 5);
  const Sample alone = augment(Sample{.image = s.image}, all, rng);
  const InstanceSample a = changed(s, all, 9), b = changed(s, all, 9), other = changed(s, all, 10);
  CHECK(same(a.image, alone.image));
  CHECK(same(a.image, b.image));
  CHECK(same(a.instances.boxes, b.instances.boxes));
  CHECK_FALSE(same(a.image, other.image));
}

TEST_CASE("training targets: crowds go, boxes are clipped, boxes without area go") {
  InstanceSample s = blank(40, 50);
  add_object(s, {-5, 2, 12, 60}, filled(0, 2, 12, 38));
  add_object(s, {0, 0, 20, 20}, filled(0, 0, 20, 20), true);
  add_object(s, {7, 7, 7, 9}, filled(7, 7, 1, 2));
  add_object(s, {51, 3, 60, 9}, filled(40, 3, 1, 1));
  add_object(s, {48, 3, 50, 9}, filled(48, 3, 2, 6));
  const Instances out = training_targets(s.instances);
  CHECK(out.ids == std::vector<int64_t>{1, 5});
  CHECK(std::vector<float>(out.box(0), out.box(0) + 4) == std::vector<float>{0, 2, 12, 40});
  CHECK(out.masks[1].x0 == 48);
  CHECK(training_targets(blank(3, 3).instances).size() == 0);
}

TEST_CASE("resizing objects: boxes scale by the ratio of each side, masks take the nearest pixel") {
  const InstanceSample s = painted(20, 30, filled(6, 4, 9, 8));
  const InstanceSample out = resize_sample(s, 10, 60);
  CHECK(out.image.shape() == Shape{10, 60, 1});
  CHECK(out.image.dtype() == DType::u8);
  CHECK(box_of(out) == std::vector<float>{12, 2, 30, 6});
  CHECK(out.instances.masks[0].bounds() == std::array<int64_t, 4>{12, 2, 30, 6});
  CHECK(out.instances.height == 10);
  CHECK(box_of(resize_sample(s, 0, 0)) == box_of(s));
}

TEST_CASE("the inverse of a map undoes it") {
  const internal::Affine m{0.8, -0.3, 12, 0.2, 1.4, -7}, back = m.inverse();
  for (const auto& [x, y] : {std::array{0.0, 0.0}, {1.0, 0.0}, {0.0, 1.0}, {-3.0, 50.0}}) {
    const auto [u, v] = m(x, y);
    CHECK(u == Approx(0.8 * x - 0.3 * y + 12));
    CHECK(v == Approx(0.2 * x + 1.4 * y - 7));
    CHECK(back(u, v)[0] == Approx(x).margin(1e-12));
    CHECK(back(u, v)[1] == Approx(y).margin(1e-12));
  }
  CHECK(internal::Affine{.a = 5, .e = 9}.inverse().e == 5.0 / 45);  // 5 * (1 / 45) is another number
}

TEST_CASE("cropped masks become COCO's run lengths and come back") {
  for (const Mask& mask : {letter_l(3, 2, 9), filled(0, 0, 20, 12), filled(0, 0, 1, 1), filled(19, 11, 1, 1),
                           Mask{}, filled(0, 3, 20, 1), filled(5, 0, 3, 12)}) {
    Tensor plane = Tensor::zeros({12, 20}, DType::u8);
    for (int64_t y = 0; y < mask.height; ++y) {
      for (int64_t x = 0; x < mask.width; ++x)
        plane.data<uint8_t>()[(mask.y0 + y) * 20 + mask.x0 + x] =
            mask.pixels[static_cast<size_t>(y * mask.width + x)];
    }
    const Rle rle = rle_of(mask, 12, 20);
    CHECK(rle == rle_encode(plane));
    const Mask back = mask_of(rle);
    CHECK(back.pixels == mask.pixels);
    CHECK(back.bounds() == mask.bounds());
  }
  CHECK_SAYS(ErrorKind::usage, rle_of(filled(19, 0, 2, 1), 12, 20), "lies in its image");
}
