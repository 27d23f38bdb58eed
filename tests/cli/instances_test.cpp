// `atrous eval` and `atrous predict` with a small untrained detector: results, and what users get wrong.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "data/image_io.h"
#include "data/shapes.h"
#include "nets/factory.h"
#include "tests/cli/program.h"
#include "train/checkpoint.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;
using nlohmann::json;

namespace {

// Shapes to validate on, and the checkpoint of a detector that finds something, though not the shapes.
struct Project {
  TemporaryFolder folder;
  std::string set = folder.path("set");
  std::string weights = folder.path("net.safetensors");

  explicit Project(const std::string& model = "maskrcnn_resnet50_fpn", int64_t num_classes = 3) {
    data::write_shapes(set, {.train = 1, .val = 3, .height = 48, .width = 64, .classes = 3, .seed = 3});
    json j;
    j["model"] = {{"name", model},
                  {"num_classes", num_classes},
                  {"backbone", "resnet18"},
                  {"width_multiplier", 0.0625},
                  {"detection",
                   {{"min_size", {48}},
                    {"max_size", 96},
                    {"anchor_sizes", {8, 16, 24, 32, 48}},
                    {"rpn_post_nms_test", 20},
                    {"max_detections", 4},
                    {"box_score", 0.0}}}};
    j["data"] = {{"dataset", "shapes_instances"}, {"root", set}};
    const train::Config config = train::parse_config(j.dump(), "test", {});
    const auto network = nets::make_detector(config.model, 1);
    std::vector<data::ClassInfo> classes = {
        {"background", {0, 0, 0}}, {"circle", {255, 0, 0}}, {"square", {0, 255, 0}}};
    while (static_cast<int64_t>(classes.size()) < num_classes)
      classes.push_back({"class" + std::to_string(classes.size()), {0, 0, 255}});
    // Masks that cover their boxes.
    if (num_classes > 3) {
      for (const layers::NamedParameter& p : network->parameters()) {
        if (!p.name.ends_with("mask_fcn_logits.bias")) continue;
        const Tensor values = p.variable.value();
        std::fill_n(values.data<float>(), values.numel(), 20.0f);
      }
    }
    train::save_checkpoint(weights, {.config = &config, .classes = &classes, .model = network.get()});
  }
  Outcome run_on(const char* command, std::vector<std::string> more) const {
    std::vector<std::string> arguments = {command, "--weights", weights};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

}  // namespace

TEST_CASE("eval of a detector: its JSON is what metrics coco makes of its results file") {
  const Project p;
  const std::string results = p.folder.path("results"), report = p.folder.path("report");
  const Outcome o = p.run_on(
      "eval", {"--json", p.folder.path("s.json"), "--results", results, "--report", report, "--worst", "1"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK_THAT(o.out, Contains("Average Precision") && Contains("circle"));
  const json j = json::parse(read_text(p.folder.path("s.json")));
  CHECK(j["images"] == 3);
  CHECK(j["box"]["detections"] == 12);
  CHECK(j["mask"]["objects"].get<int>() > 0);
  for (const auto& [type, key] : {std::pair{"bbox", "box"}, {"segm", "mask"}}) {
    const Outcome again =
        run({"metrics", "coco", "--gt", p.set + "/instances_val.json", "--dt", results + "/" + type + ".json",
             "--iou-type", type, "--json", p.folder.path("m.json")});
    INFO(again.err);
    REQUIRE(again.code == 0);
    const json m = json::parse(read_text(p.folder.path("m.json")));
    CHECK(m["stats"] == j[key]["stats"]);
    CHECK(m["detections"] == j[key]["detections"]);
  }
  const json images = json::parse(read_text(results + "/images.json"));
  REQUIRE(images["images"].size() == 3);
  CHECK_THAT(images["images"][0]["file_name"].get<std::string>(), Catch::EndsWith("val_0000.png"));
  CHECK(images["categories"][0]["name"] == "circle");
  const std::string page = read_text(report + "/report.html");
  CHECK_THAT(page, Contains("Images with the most errors") && Contains("How it was measured") &&
                       Contains("Evaluation: maskrcnn_resnet50_fpn, resnet18, width 0.0625"));
  REQUIRE_THAT(page, Contains(">objects</span>"));
  CHECK(page.find(">objects</span>") == page.rfind(">objects</span>"));  // one tile, not one of each score
  CHECK(std::ranges::distance(std::filesystem::directory_iterator(report + "/worst")) == 1);
  REQUIRE(j["per_image"].size() == 3);
  CHECK(j["per_image"][0]["objects"].get<int>() > 0);
  CHECK(json::parse(read_text(report + "/scores.json")) == j);
}

TEST_CASE("predict with a detector writes picture, label image and COCO results") {
  const Project p;
  const std::string image =
      p.set + "/images/" + std::filesystem::directory_iterator(p.set + "/images")->path().filename().string();
  const std::string stem = std::filesystem::path(image).stem().string(), out = p.folder.path("out");
  const Outcome o = p.run_on(
      "predict", {"--out", out, "--set", "eval.min_score=0", "--json", p.folder.path("p.json"), image});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.out == out + "/overlays/" + stem + ".png\n" + out + "/predictions.json\n");
  const json all = json::parse(read_text(out + "/predictions.json"));
  REQUIRE(all["images"].size() == 1);
  CHECK(all["images"][0] == json({{"id", 1}, {"file_name", image}, {"width", 64}, {"height", 48}}));
  CHECK(all["categories"][1] == json({{"id", 2}, {"name", "square"}}));
  REQUIRE(all["annotations"].size() == 4);
  for (const json& object : all["annotations"]) {
    CHECK(object["image_id"] == 1);
    CHECK(object["score"].get<double>() >= 0);
    CHECK((object["category_id"] == 1 || object["category_id"] == 2));
    CHECK(object["bbox"].size() == 4);
    CHECK(object["segmentation"]["size"] == json({48, 64}));
  }
  CHECK(std::filesystem::exists(out + "/overlays/" + stem + ".png"));
  CHECK(data::read_image(out + "/" + stem + ".png").dim(0) == 48);
  const json j = json::parse(read_text(p.folder.path("p.json")));
  CHECK(j["written"][0]["objects"] == out + "/objects/" + stem + ".json");
  CHECK(j["predictions"] == out + "/predictions.json");
  // It is annotations and results in one: all is found, at its own place.
  for (const char* type : {"bbox", "segm"}) {
    const Outcome scores =
        run({"metrics", "coco", "--gt", out + "/predictions.json", "--dt", out + "/predictions.json",
             "--iou-type", type, "--json", p.folder.path("m.json")});
    INFO(scores.err);
    REQUIRE(scores.code == 0);
    const json m = json::parse(read_text(p.folder.path("m.json")));
    CHECK(m["detections"] == 4);
    if (type == std::string("bbox")) CHECK(m["stats"][0] == 1);  // an untrained network's masks are empty
  }
  const Outcome again = p.run_on("predict", {"--out", out, "--resume", image});
  CHECK(again.code == 0);
  CHECK_THAT(again.err, Contains("already done"));
  // A run over more images: one file of all of them, whether they were done before or not.
  const Outcome more = p.run_on("predict", {"--out", out, "--resume", p.set + "/images"});
  INFO(more.err);
  REQUIRE(more.code == 0);
  const json whole = json::parse(read_text(out + "/predictions.json"));
  REQUIRE(whole["images"].size() == 4);
  std::set<int> images, ids;
  for (const json& object : whole["annotations"]) {
    images.insert(object["image_id"].get<int>());
    ids.insert(object["id"].get<int>());
  }
  CHECK(images == std::set<int>{1, 2, 3, 4});
  CHECK(ids.size() == whole["annotations"].size());
  // What another network found has other classes under the same numbers.
  json part = json::parse(read_text(out + "/objects/" + stem + ".json"));
  part["categories"][0]["name"] = "plate";
  write_text(out + "/objects/" + stem + ".json", part.dump());
  const Outcome mixed = p.run_on("predict", {"--out", out, "--resume", p.set + "/images"});
  CHECK(mixed.code == 4);
  CHECK_THAT(mixed.err, Contains("the same classes") && Contains("without --resume"));
}

TEST_CASE("more than 256 classes: the label image has 16 bits, and the classes of predictions.json") {
  const Project p("maskrcnn_resnet50_fpn", 700);
  const std::string out = p.folder.path("out");
  const Outcome o =
      p.run_on("predict", {"--out", out, "--set", "eval.min_score=0", p.set + "/images/val_0000.png"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const data::LabelFile labels = data::read_label_file(out + "/val_0000.png");
  REQUIRE(labels.bit_depth == 16);
  std::set<int> found, drawn;
  const json all = json::parse(read_text(out + "/predictions.json"));
  for (const json& object : all["annotations"]) found.insert(object["category_id"].get<int>());
  for (int64_t i = 0; i < labels.values.numel(); ++i) drawn.insert(labels.values.data<int32_t>()[i]);
  drawn.erase(0);
  CHECK(*drawn.rbegin() > 255);
  for (const int k : drawn) {
    CAPTURE(k, found);
    CHECK(found.count(k) == 1);
  }
}

TEST_CASE("predict takes images whose names are not UTF-8") {
  const Project p;
  const std::string image = p.folder.path("b\xff.png"), out = p.folder.path("out");
  std::filesystem::copy_file(p.set + "/images/val_0000.png", image);
  const Outcome o = p.run_on("predict", {"--out", out, "--json", p.folder.path("p.json"), image});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const json all = json::parse(read_text(out + "/predictions.json"));
  CHECK_THAT(all["images"][0]["file_name"].get<std::string>(), Catch::EndsWith("/b\xef\xbf\xbd.png"));
  CHECK(json::parse(read_text(p.folder.path("p.json")))["written"].size() == 1);
}

TEST_CASE("a detector without masks writes boxes, and no label image") {
  const Project p("fasterrcnn_resnet50_fpn");
  const std::string image = std::filesystem::directory_iterator(p.set + "/images")->path().string();
  const std::string stem = std::filesystem::path(image).stem().string(), out = p.folder.path("out");
  const Outcome o = p.run_on("predict", {"--out", out, image});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK_FALSE(std::filesystem::exists(out + "/" + stem + ".png"));
  CHECK(std::filesystem::exists(out + "/overlays/" + stem + ".png"));
  for (const json& object : json::parse(read_text(out + "/predictions.json"))["annotations"])
    CHECK_FALSE(object.contains("segmentation"));
  const Outcome scores = p.run_on("eval", {"--json", p.folder.path("s.json")});
  REQUIRE(scores.code == 0);
  CHECK_FALSE(json::parse(read_text(p.folder.path("s.json"))).contains("mask"));
}

TEST_CASE("options of semantic models are refused for detection models") {
  const Project p;
  for (const char* flag : {"--flip", "--multi-scale", "--crf"}) {
    const Outcome o = p.run_on("eval", {flag});
    CHECK(o.code == 2);
    CHECK_THAT(o.err, Contains("are for semantic models") || Contains("is for semantic models"));
  }
  const std::string config = p.folder.path("config.json"), flip = "eval.flip=true";
  write_text(config, R"({"model": {"name": "maskrcnn_resnet50_fpn", "num_classes": 2}})");
  for (const Outcome& o :
       {p.run_on("eval", {"--set", flip}),
        p.run_on("predict", {"--set", flip, "--out", p.folder.path("out"), p.set + "/images/val_0000.png"}),
        run({"summary", "--config", config, "--set", flip}),
        run({"train", "--config", config, "--set", flip, "--out", p.folder.path("run")})}) {
    CHECK(o.code == 3);
    CHECK_THAT(o.err,
               Contains("eval.flip is an option of semantic models. Got true with model.name \"maskrcnn"));
  }
  const Outcome list = p.run_on("eval", {"--set", "data.dataset=list"});
  CHECK(list.code == 3);
  CHECK_THAT(list.err, Contains("shapes_instances"));
}
