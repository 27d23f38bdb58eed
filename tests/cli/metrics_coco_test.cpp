// `atrous metrics coco` on files: what it prints and writes, and how it refuses.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace atrous::cli_test;
using atrous::TemporaryFolder;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

// Two images and classes. The cat is found; of two dogs one is found, after a wrong detection with a higher
// score.
struct Files {
  TemporaryFolder folder;
  std::string gt = folder.path("gt.json"), dt = folder.path("dt.json");
  Json annotations{
      {"images", {{{"id", 1}, {"height", 100}, {"width", 120}}, {{"id", 2}, {"height", 50}, {"width", 60}}}},
      {"categories", {{{"id", 17}, {"name", "cat"}}, {{"id", 18}, {"name", "dog"}}}},
      {"annotations",
       {object(1, 1, 17, 10, 10, 40), object(2, 1, 18, 60, 20, 40), object(3, 2, 18, 5, 5, 30)}}};
  Json results = {result(1, 17, 0.9, 10, 10, 40), result(2, 18, 0.8, 45, 35, 10),
                  result(1, 18, 0.7, 60, 20, 40)};

  static Json box(int x, int y, int side) { return {x, y, side, side}; }
  static Json corners(int x, int y, int side) {
    return {{x, y, x + side, y, x + side, y + side, x, y + side}};
  }
  static Json object(int id, int image, int category, int x, int y, int side) {
    return {{"id", id},
            {"image_id", image},
            {"category_id", category},
            {"iscrowd", 0},
            {"area", side * side},
            {"bbox", box(x, y, side)},
            {"segmentation", corners(x, y, side)}};
  }
  static Json result(int image, int category, double score, int x, int y, int side) {
    return {{"image_id", image}, {"category_id", category}, {"score", score}, {"bbox", box(x, y, side)}};
  }
  Outcome score(std::vector<std::string> more = {}, const std::string& type = "bbox") const {
    write_text(gt, annotations.dump());
    write_text(dt, results.dump());
    std::vector<std::string> arguments = {"metrics", "coco", "--gt", gt, "--dt", dt, "--iou-type", type};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

}  // namespace

TEST_CASE("coco: the table of 12 numbers, as pycocotools prints it") {
  const Files f;
  const Outcome o = f.score();
  CHECK(o.code == 0);
  CHECK_THAT(o.out,
             Contains(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.626\n"));
  CHECK_THAT(o.out,
             Contains(" Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 0.750\n"));
  CHECK_THAT(o.out, Contains("area= large | maxDets=100 ] = -1.000\n"));
  CHECK_THAT(o.out, Contains("background              1  +12.6"));
  CHECK_THAT(f.score({"--per-class"}).out, Contains("cat") && Contains("dog"));
  CHECK(f.score({}, "segm").out.substr(0, 200) == o.out.substr(0, 200));  // the masks are the boxes
}

TEST_CASE("coco: JSON and report") {
  const Files f;
  const std::string report = f.folder.path("report");
  const Outcome o = f.score({"--json", "-", "--report", report, "--voc", "all"}, "segm");
  CHECK(o.code == 0);
  const Json j = Json::parse(o.out);
  REQUIRE(j["stats"].size() == 12);
  CHECK(j["stats"][1].get<double>() == Approx((1 + 51. / 101 * 0.5) / 2));
  CHECK(j["stats"][5].is_null());
  CHECK(j["iou_type"] == "segm");
  CHECK(j["images"] == 2);
  CHECK(j["objects"] == 3);
  CHECK(j["detections"] == 3);
  CHECK(j["per_class"][1]["name"] == "dog");
  CHECK(j["per_class"][1]["id"] == 18);
  CHECK(j["per_class"][1]["ap50"].get<double>() == Approx(51. / 101 * 0.5));
  CHECK(j["per_class"][1]["ap_large"].is_null());
  CHECK(j["per_class"][1]["errors"]["background"]["count"] == 1);
  CHECK(j["pr_curves"]["recall"].size() == 101);
  CHECK(j["pr_curves"]["classes"][1]["iou50"].size() == 101);
  CHECK(j["pr_curves"]["classes"][1]["iou50"][51] == 0);
  CHECK(j["errors"]["background"]["ap50_gain"].get<double>() == Approx(51. / 101 * 0.5 / 2));
  CHECK(j["errors"]["missed"]["count"] == 1);
  CHECK(j["voc"]["mean_ap"].get<double>() == Approx((1 + 0.5 * 0.5) / 2));
  CHECK_THAT(o.err, Contains("Average Precision") && Contains("VOC AP at IoU 0.5, all points: 0.6250"));
  CHECK(Json::parse(read_text(report + "/scores.json")) == j);
  CHECK_THAT(read_text(report + "/report.html"), Contains("dog: AP") && Contains("</html>"));
  // 11 points: half of the dogs are found at precision 0.5, which 6 of the recalls 0, 0.1 ... 1 reach.
  const Outcome boxes = f.score({"--json", "-", "--voc", "11"}, "bbox");
  CHECK(Json::parse(boxes.out)["iou_type"] == "bbox");
  CHECK(Json::parse(boxes.out)["voc"]["mean_ap"].get<double>() == Approx((1 + 6. / 11 * 0.5) / 2));
  CHECK_THAT(boxes.err, Contains("VOC AP at IoU 0.5, 11 points: 0.6364"));
}

TEST_CASE("coco: no results, no objects, crowds only") {
  Files f;
  f.results = Json::array();
  CHECK_THAT(f.score().out, Contains("maxDets=100 ] = 0.000"));
  f.annotations["annotations"][0]["iscrowd"] = f.annotations["annotations"][1]["iscrowd"] =
      f.annotations["annotations"][2]["iscrowd"] = 1;
  CHECK_THAT(f.score().out,
             Contains("maxDets=100 ] = -1.000") &&
                 Contains("nothing to score: the images have no annotated objects (crowds do not count)"));
  const Json crowds = Json::parse(f.score({"--json", "-"}).out);
  CHECK(crowds["stats"] == Json(std::vector<Json>(12)));  // null
  CHECK(crowds["errors"]["missed"] == Json{{"count", 0}, {"ap50_gain", nullptr}});
  f.annotations["annotations"] = Json::array();
  const Outcome o = f.score({"--per-class", "--json", "-"}, "segm");
  CHECK(o.code == 0);
  CHECK(Json::parse(o.out)["per_class"][0]["ap"].is_null());
}

TEST_CASE("coco: an annotation with id 0 is not found as in pycocotools, or counts as any other") {
  Files f;
  CHECK_THAT(f.score().err, !Contains("id 0"));
  f.annotations["annotations"][0]["id"] = 0;
  const Outcome o = f.score({"--json", "-"});
  CHECK(o.code == 0);
  CHECK_THAT(o.err, Contains("annotation with id 0") && Contains("AP is 0.126 that way, and 0.626 if") &&
                        Contains("--strict-ids gives the second") && Contains("Number annotations from 1"));
  CHECK(Json::parse(o.out)["stats"][0].get<double>() == Approx(51. / 101 * 0.5 / 2));
  CHECK(Json::parse(o.out)["strict_ids"] == false);
  const Outcome strict = f.score({"--strict-ids", "--json", "-"});
  CHECK_THAT(strict.err, Contains("the second (--strict-ids)"));
  CHECK(Json::parse(strict.out)["stats"][0].get<double>() == Approx((1 + 51. / 101 * 0.5) / 2));
  CHECK(Json::parse(strict.out)["strict_ids"] == true);
  CHECK(Json::parse(strict.out)["errors"] == Json::parse(o.out)["errors"]);
  // Of crowds alone there is no number in the note either.
  f.annotations["annotations"][0]["iscrowd"] = 1;
  f.annotations["annotations"].erase(2);
  f.annotations["annotations"].erase(1);
  CHECK_THAT(f.score().err, !Contains("id 0"));  // nothing to choose between
}

TEST_CASE("coco: what the files leave out is said") {
  Files f;
  const Outcome whole = f.score();
  CHECK_THAT(whole.err, !Contains("note:"));
  for (Json& a : f.annotations["annotations"]) a.erase("bbox"), a.erase("area");
  f.results[0]["image_id"] = "1";
  const Outcome o = f.score();
  CHECK(o.code == 0);
  CHECK(o.out == whole.out);
  CHECK_THAT(o.err, Contains("gt.json: 3 records without \"bbox\"") &&
                        Contains("3 records without \"area\"") &&
                        Contains("dt.json: 1 record with ids as text"));
  for (Json& a : f.annotations["annotations"]) a["iscrowd"] = 1;
  CHECK_THAT(f.score().err, Contains("CVAT") && Contains("set iscrowd to 0"));
}

TEST_CASE("coco: bad files and options have their exit codes") {
  Files f;
  f.results.push_back(Files::result(3, 18, 0.5, 0, 0, 5));
  Outcome o = f.score();
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("dt.json: result 3") && Contains("image_id"));
  f.results = Json::array();
  f.annotations["annotations"][0].erase("segmentation");
  o = f.score({}, "segm");
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("annotation 1") && Contains("must have a \"segmentation\""));
  f.annotations["annotations"][0].erase("bbox");
  CHECK_THAT(f.score().err, Contains("annotation 1") && Contains("must have a \"bbox\""));
  f.annotations["annotations"][0]["id"] = 2;
  CHECK_THAT(f.score({"--strict-ids"}).err, Contains("ids of annotations must be unique"));
  CHECK(f.score({}, "keypoints").code == 2);
  CHECK(run({"metrics", "coco", "--gt", f.gt, "--dt", f.dt}).code == 2);
  CHECK(run({"metrics", "coco", "--gt", f.folder.path("none"), "--dt", f.dt, "--iou-type", "bbox"}).code ==
        4);
  std::filesystem::remove(f.dt);
  write_text(f.gt, std::string(1000000, '['));
  CHECK(run({"metrics", "coco", "--gt", f.gt, "--dt", f.dt, "--iou-type", "bbox"}).code == 4);
}
