#include "data/shapes.h"

#include <nlohmann/json.hpp>
#include <set>

#include "data/check.h"
#include "data/statistics.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

TEST_CASE("shapes: a scene is a function of its number and the seed") {
  const ShapesOptions options{.height = 48, .width = 64};
  const ShapeScene a = generate_scene(options, 3), b = generate_scene(options, 3),
                   c = generate_scene(options, 4);
  CHECK(same(a.image, b.image));
  CHECK(same(a.label, b.label));
  CHECK(same(a.instance, b.instance));
  CHECK_FALSE(same(a.image, c.image));
  ShapesOptions other = options;
  other.seed = 2;
  CHECK_FALSE(same(generate_scene(other, 3).image, a.image));
}

TEST_CASE("shapes: label, instances and boxes tell one story") {
  const ShapesOptions options{.height = 60, .width = 80, .classes = 8};
  std::set<int> seen;
  int64_t overlapping = 0;
  for (int64_t index = 0; index < 40; ++index) {
    const ShapeScene scene = generate_scene(options, index);
    REQUIRE(!scene.instances.empty());
    std::vector<ShapeInstance> found(scene.instances.size());
    for (int64_t p = 0; p < scene.label.numel(); ++p) {
      const int id = scene.instance.data<uint8_t>()[p], label = scene.label.data<uint8_t>()[p];
      seen.insert(label);
      REQUIRE((id == 0) == (label == 0));
      if (id == 0) continue;
      const ShapeInstance& s = scene.instances.at(static_cast<size_t>(id - 1));
      REQUIRE(s.label == label);
      REQUIRE((p % 80 >= s.x0 && p % 80 < s.x1 && p / 80 >= s.y0 && p / 80 < s.y1));
      ++found[static_cast<size_t>(id - 1)].area;
    }
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(found[i].area == scene.instances[i].area);
      CHECK(found[i].area > 0);
      for (size_t j = 0; j < i; ++j) {
        const ShapeInstance &s = scene.instances[i], &t = scene.instances[j];
        overlapping += s.x0 < t.x1 && t.x0 < s.x1 && s.y0 < t.y1 && t.y0 < s.y1;
      }
    }
  }
  CHECK(seen.size() == 8);
  CHECK(overlapping > 5);
}

TEST_CASE("shapes: the written set reads back, checks clean, and is the same each time") {
  TemporaryFolder folder;
  const ShapesOptions options{.train = 6, .val = 3, .height = 40, .width = 52};
  const std::string a = folder.file("a/x"), b = folder.file("b/x");
  write_shapes(fs::path(a).parent_path(), options);
  write_shapes(fs::path(b).parent_path(), options);
  int64_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.file("a"))) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const auto twin = fs::path(folder.file("b")) / fs::relative(entry.path(), folder.file("a"));
    CHECK(bytes_of(entry.path().string()) == bytes_of(twin.string()));
  }
  CHECK(files == 3 * 9 + 5);

  DataOptions data;
  data.dataset = "shapes";
  data.root = folder.file("a");
  const auto val = open_dataset(data, "val", 0, 0);
  CHECK(val->size() == 3);
  CHECK(val->classes()[3].name == "triangle");
  const ShapeScene scene = generate_scene(options, int64_t{1} << 40);
  CHECK(same(val->load(0).image, scene.image));
  CHECK(same(val->load(0).label, scene.label));
  CHECK(check_data(data, 5, 3).errors() == 0);
}

TEST_CASE("shapes: COCO annotations hold the masks") {
  TemporaryFolder folder;
  const ShapesOptions options{.train = 2, .val = 1, .height = 33, .width = 47};
  write_shapes(folder.path(), options);
  std::ifstream in(folder.file("instances_train.json"));
  const auto coco = nlohmann::json::parse(in);
  CHECK(coco["images"].size() == 2);
  CHECK(coco["categories"].size() == 4);
  std::set<int64_t> ids;
  for (int64_t image = 0; image < 2; ++image) {
    const ShapeScene scene = generate_scene(options, image);
    size_t number = 0;
    for (const auto& a : coco["annotations"]) {
      if (a["image_id"] != image + 1) continue;
      CHECK(ids.insert(a["id"].get<int64_t>()).second);
      const ShapeInstance& s = scene.instances.at(number++);
      CHECK(a["category_id"] == s.label);
      CHECK(a["area"] == s.area);
      CHECK(a["bbox"] == nlohmann::json({s.x0, s.y0, s.x1 - s.x0, s.y1 - s.y0}));
      // Decode the run lengths, column by column.
      int64_t p = 0, wrong = 0;
      bool inside = false;
      for (const auto& count : a["segmentation"]["counts"]) {
        for (int64_t k = 0; k < count.get<int64_t>(); ++k, ++p) {
          const int64_t y = p % 33, x = p / 33;
          wrong += (scene.instance.data<uint8_t>()[y * 47 + x] == number) != inside;
        }
        inside = !inside;
      }
      CHECK(p == 33 * 47);
      CHECK(wrong == 0);
    }
    CHECK(number == scene.instances.size());
  }
}

TEST_CASE("shapes rejects: impossible options and unwritable folders") {
  TemporaryFolder folder;
  CHECK_SAYS(ErrorKind::usage, write_shapes(folder.path(), {.classes = 9}), "2 to 8 classes", "Got 9");
  CHECK_SAYS(ErrorKind::usage, write_shapes(folder.path(), {.height = 4}), "16 to 8192");
  CHECK_SAYS(ErrorKind::usage, write_shapes(folder.path(), {.train = 0}), "each split needs an image");
  write_text(folder.file("file"), "");
  CHECK_SAYS(ErrorKind::io, write_shapes(folder.file("file"), {}), "cannot be made");
  DataOptions data;
  data.dataset = "shapes";
  data.root = folder.path();
  write_text(folder.file("train.txt"), "a b\n");
  CHECK_SAYS(ErrorKind::data, open_dataset(data, "train", 0, 0), "atrous data make-shapes");
}
