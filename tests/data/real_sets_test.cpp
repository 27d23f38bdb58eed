// Samples of the real sets, where ATROUS_DATA_DIR names a folder that holds them: they load through their
// official layouts, `data check` finds no error, and pixel counts are those found with other tools.
#include <cstdlib>

#include "data/check.h"
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
  const Folder folder;
  for (const char* kind : {"images_png", "masks_png"}) {
    for (const auto& [split, tile] :
         {std::pair{"Train/Rural/", "1"}, std::pair{"Train/Urban/", "2"}, std::pair{"Val/Urban/", "0"}}) {
      const std::string name = fmt::format("{}/{}.png", kind, tile);
      fs::create_symlink(fs::path(root) / name, folder.file(split + name));
    }
  }
  const CheckReport report = check("loveda", folder.str());
  CHECK(report.splits.at(0).images == 2);
  CHECK(report.splits.at(0).histogram.ignored == 0);
  CHECK(pixels_of(report.splits.at(0), report, "building") == 3503);
  CHECK(pixels_of(report.splits.at(1), report, "agriculture") == 868612);
}
