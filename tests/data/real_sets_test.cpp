// Samples of the real sets, where ATROUS_DATA_DIR names a folder that holds them: they load through their
// official layouts, `data check` finds no error, and pixel counts are those found with other tools.
#include <cstdlib>
#include <map>

#include "data/check_instances.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// Empty if the sample is not there.
std::string sample(const std::string& name) {
  const char* folder = std::getenv("ATROUS_DATA_DIR");
  if (folder && fs::exists(fs::path(folder) / name)) return (fs::path(folder) / name).string();
  WARN("skipped: ATROUS_DATA_DIR does not name a folder with " << name << "/");
  return "";
}

CheckReport check(const std::string& dataset, const std::string& root,
                  const std::vector<std::string>& splits = {}) {
  DataOptions options;
  options.dataset = dataset;
  options.root = root;
  const CheckReport report = check_data(options, 0, 0, splits);
  INFO(report.table());
  CHECK(report.errors() == 0);
  return report;
}

int64_t pixels_of(const SplitReport& split, const CheckReport& report, const std::string& name) {
  for (size_t k = 0; k < report.classes.size(); ++k) {
    if (report.classes[k].name == name) return split.histogram.pixels[k];
  }
  FAIL(name << " is no class");
  return 0;
}

}  // namespace

TEST_CASE("real samples: VOC layout") {
  const std::string root = sample("voc_mini");
  if (root.empty()) return;
  const CheckReport report = check("voc2012", root);
  REQUIRE(report.splits.size() == 2);
  CHECK(report.splits[0].images == 2);
  CHECK(report.splits[1].images == 1);
  CHECK(report.splits[0].label_formats.begin()->first == "PNG palette, 8 bit");
  CHECK(pixels_of(report.splits[0], report, "person") > 0);
}

TEST_CASE("real samples: ADE20K") {
  const std::string root = sample("ade20k_mini");
  if (root.empty()) return;
  const CheckReport report = check("ade20k", root, {"val"});
  REQUIRE(report.splits.size() == 1);
  CHECK(report.splits[0].images == 3);
  CHECK(report.splits[0].histogram.ignored == 22924);
  CHECK(pixels_of(report.splits[0], report, "sky") > 100000);
}

TEST_CASE("real samples: CamVid, CrackForest, ISBI 2012, Penn-Fudan") {
  if (const std::string root = sample("camvid"); !root.empty()) {
    CHECK(check("camvid", root, {"val"}).splits.at(0).histogram.pixels.at(0) == 1601620);
  }
  if (const std::string root = sample("crackforest"); !root.empty()) {
    const CheckReport report = check("crackforest", root);
    CHECK(pixels_of(report.splits.at(0), report, "crack") == 217724);
    CHECK(report.splits.at(0).histogram.ignored == 1226);
    CHECK(pixels_of(report.splits.at(1), report, "crack") == 75161);
  }
  if (const std::string root = sample("isbi2012"); !root.empty()) {
    const CheckReport report = check("isbi2012", root);
    CHECK(report.splits.at(0).images == 24);
    CHECK(report.splits.at(1).images == 6);
  }
  if (const std::string root = sample("pennfudan"); !root.empty()) {
    const CheckReport report = check("pennfudan_person", root);
    CHECK(report.splits.at(0).images == 120);
    CHECK(report.splits.at(1).images == 50);
    CHECK(report.splits.at(1).histogram.images.at(1) == 50);
  }
}

TEST_CASE("real samples: LoveDA's tiles in the official folders") {
  const std::string root = sample("loveda_mini");
  if (root.empty()) return;
  const TemporaryFolder folder;
  for (const char* kind : {"images_png", "masks_png"}) {
    for (const auto& [split, tile] :
         {std::pair{"Train/Rural/", "1"}, std::pair{"Train/Urban/", "2"}, std::pair{"Val/Urban/", "0"}}) {
      const std::string name = fmt::format("{}/{}.png", kind, tile);
      fs::create_symlink(fs::path(root) / name, folder.file(split + name));
    }
  }
  const CheckReport report = check("loveda", folder.path());
  CHECK(report.splits.at(0).images == 2);
  CHECK(report.splits.at(0).histogram.ignored == 0);
  CHECK(pixels_of(report.splits.at(0), report, "building") == 3503);
  CHECK(pixels_of(report.splits.at(1), report, "agriculture") == 868612);
}

namespace {

std::unique_ptr<InstanceDataset> objects(const std::string& dataset, const std::string& root,
                                         const std::string& split) {
  DataOptions options;
  options.dataset = dataset;
  options.root = root;
  return open_instance_dataset(options, split, 0, 0);
}

// Objects of train and val, crowds not counted.
std::vector<int64_t> count_objects(const std::string& dataset, const std::string& root) {
  DataOptions options;
  options.dataset = dataset;
  options.root = root;
  const InstanceCheckReport report = check_instances(options, 0, 0);
  INFO(report.table());
  CHECK(report.errors() == 0);
  std::vector<int64_t> out;
  for (const InstanceSplitReport& s : report.splits) out.push_back(s.objects);
  for (const Finding& f : report.findings) CHECK_THAT(f.message, !Catch::Contains("data.dataset=list"));
  return out;
}

// Masks as numbers in a picture and masks as run lengths say the same.
void check_same_masks(const InstanceDataset& pictures, const InstanceDataset& coco) {
  REQUIRE(pictures.size() == coco.size());
  std::map<std::string, int64_t> index_of;
  for (int64_t i = 0; i < coco.size(); ++i) index_of[coco.id(i)] = i;
  for (int64_t i = 0; i < pictures.size(); ++i) {
    const Instances a = pictures.instances(i), b = coco.instances(index_of.at(pictures.id(i)));
    REQUIRE(a.size() == b.size());
    CHECK(same(a.boxes, b.boxes));
    CHECK(a.areas == b.areas);
    for (size_t k = 0; k < a.masks.size(); ++k) CHECK(a.masks[k].pixels == b.masks[k].pixels);
  }
}

}  // namespace

TEST_CASE("real samples: COCO instances") {
  const std::string root = sample("coco_mini");
  if (root.empty()) return;
  CHECK(count_objects("coco", root) == std::vector<int64_t>{434, 340});
  const auto val = objects("coco", root, "val");
  CHECK(val->num_classes() == 81);
  CHECK(val->classes()[80].name == "toothbrush");
  CHECK(val->category_id(80) == 90);
  CHECK(val->annotations().annotations.size() == 345);
}

TEST_CASE("real samples: Penn-Fudan, its masks and the same in COCO's form") {
  const std::string root = sample("pennfudan");
  if (root.empty()) return;
  CHECK(count_objects("pennfudan", root) == std::vector<int64_t>{306, 117});
  check_same_masks(*objects("pennfudan", root, "val"), *objects("coco", root, "val"));
}

TEST_CASE("real samples: nuclei in 16-bit masks, and the same in COCO's form") {
  const std::string root = sample("dsb2018_stage1_test");
  if (root.empty()) return;
  CHECK(count_objects("nuclei", root) == std::vector<int64_t>{2987, 1165});
  check_same_masks(*objects("nuclei", root, "val"), *objects("coco", root, "val"));
}

TEST_CASE("real samples: fruits and nuts, polygons") {
  const std::string root = sample("fruits_nuts");
  if (root.empty()) return;
  CHECK(count_objects("coco", root) == std::vector<int64_t>{127, 38});
  CHECK(objects("coco", root, "train")->classes()[3].name == "hazelnut");
}

TEST_CASE("real samples: label pictures are not taken for masks of objects") {
  const std::string root = sample("camvid");
  if (root.empty()) return;
  DataOptions options;
  options.dataset = "id_masks";
  options.root = root;
  const InstanceCheckReport report = check_instances(options, 0, 0, {"val"});
  REQUIRE(report.findings.size() == 1);
  CHECK_FALSE(report.findings[0].is_error);
  CHECK_THAT(report.findings[0].message, Catch::Contains("scattered over their image"));
}
