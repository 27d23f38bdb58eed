// Scores of a network on a set whose classes have other numbers than in its checkpoint.
#include <algorithm>
#include <catch2/catch.hpp>
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

json read_json(const std::string& path) {
  return json::parse(read_text(path));
}

void save(const std::string& path, const json& config, const std::vector<std::string>& names) {
  const train::Config parsed = train::parse_config(config.dump(), "test", {});
  const auto model = nets::make_network(parsed.model, 1);
  std::vector<data::ClassInfo> classes;
  for (const std::string& name : names) classes.push_back({name, {}, {}});
  train::save_checkpoint(path, {.config = &parsed, .classes = &classes, .model = model.get()});
}

void exchange_ids(const std::string& path, int a, int b) {
  json j = read_json(path);
  const auto other = [&](int id) { return id == a ? b : id == b ? a : id; };
  for (json& c : j["categories"]) c["id"] = other(c["id"]);
  for (json& o : j["annotations"]) o["category_id"] = other(o["category_id"]);
  write_text(path, j.dump());
}

}  // namespace

TEST_CASE("eval and crf-search of a semantic network: a set in another order has the same scores") {
  const TemporaryFolder folder;
  const std::string weights = folder.path("net.safetensors");
  for (const char* name : {"a", "b"}) {
    data::write_png(folder.path(std::string(name) + ".png"), striped_picture(19, 26, 3));
    data::write_png(folder.path(std::string(name) + "_label.png"), stripes(19, 26, 3));
  }
  write_text(folder.path("train.txt"), "a.png a_label.png\n");
  write_text(folder.path("val.txt"), "b.png b_label.png\n");
  save(weights,
       {{"model", {{"name", "unet"}, {"num_classes", 3}, {"base_width", 4}, {"depth", 2}}},
        {"data", {{"dataset", "list"}, {"root", folder.path()}}}},
       {"left", "middle", "right"});
  const auto classes = [&](const std::vector<std::pair<int, std::string>>& rows) {
    json j = {{"classes", json::array()}};
    for (const auto& [id, name] : rows) j["classes"].push_back({{"id", id}, {"name", name}});
    write_text(folder.path("classes.json"), j.dump());
  };
  const auto eval = [&](std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"eval", "--weights", weights, "--json", folder.path("s.json")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  const auto search = [&] {
    return run({"crf-search", "--weights", weights, "--output", folder.path("crf.json"), "--grid",
                "bilateral_xy=5"});
  };
  classes({{0, "left"}, {1, "middle"}, {2, "right"}});
  REQUIRE(eval().code == 0);
  const json before = read_json(folder.path("s.json"));
  REQUIRE(search().code == 0);
  const json searched = read_json(folder.path("crf.json"));
  classes({{2, "right"}, {0, "left"}, {1, "middle"}});
  const Outcome turned = eval();
  INFO(turned.err);
  REQUIRE(turned.code == 0);
  CHECK_THAT(turned.err, Contains("3 of 3 have another number in the val split of"));
  CHECK(read_json(folder.path("s.json"))["per_class"] == before["per_class"]);
  CHECK(read_json(folder.path("s.json"))["miou"] == before["miou"]);
  CHECK(before["miou"].get<double>() > 0);
  REQUIRE(search().code == 0);
  CHECK(read_json(folder.path("crf.json"))["before"] == searched["before"]);
  // Another name: both lists, and the way out.
  classes({{2, "right"}, {0, "left"}, {1, "centre"}});
  const Outcome refused = eval();
  CHECK(refused.code == 4);
  CHECK_THAT(refused.err, Contains("one of the checkpoint") && Contains("\n  centre") && Contains("middle") &&
                              Contains("data.class_map=centre:"));
  REQUIRE(eval({"--set", "data.class_map=centre:middle"}).code == 0);
  CHECK(read_json(folder.path("s.json"))["per_class"] == before["per_class"]);
  // Ignored: the class is in no mean.
  const Outcome part = eval({"--set", "data.class_map=centre:ignore"});
  REQUIRE(part.code == 0);
  CHECK_THAT(part.out, Contains("over 2 of 3 classes") && Contains("excluded        middle"));
  const json j = read_json(folder.path("s.json"));
  CHECK(j["excluded_classes"] == json({"middle"}));
  CHECK(j["per_class"][1]["iou"].is_null());
  CHECK(j["miou"].get<double>() ==
        Approx((j["per_class"][0]["iou"].get<double>() + j["per_class"][2]["iou"].get<double>()) / 2));
  std::filesystem::remove(folder.path("classes.json"));
  const Outcome unnamed = eval();
  CHECK(unnamed.code == 0);
  CHECK_THAT(unnamed.err, Contains("has no class names, so its classes are matched"));
  CHECK(read_json(folder.path("s.json"))["per_class"] == before["per_class"]);
}

TEST_CASE("eval of a detector: a permuted annotation file has the same results and scores") {
  const TemporaryFolder folder;
  const std::string set = folder.path("set"), weights = folder.path("net.safetensors");
  data::write_shapes(set, {.train = 1, .val = 3, .height = 48, .width = 64, .classes = 3, .seed = 3});
  save(weights,
       {{"model",
         {{"name", "maskrcnn_resnet50_fpn"},
          {"num_classes", 3},
          {"backbone", "resnet18"},
          {"width_multiplier", 0.0625},
          {"detection",
           {{"min_size", {48}},
            {"max_size", 96},
            {"anchor_sizes", {8, 16, 24, 32, 48}},
            {"rpn_post_nms_test", 20},
            {"max_detections", 4},
            {"box_score", 0.0}}}}},
        {"data", {{"dataset", "shapes_instances"}, {"root", set}}}},
       {"background", "circle", "square"});
  const auto eval = [&](const std::string& out) {
    return run(
        {"eval", "--weights", weights, "--json", folder.path(out + ".json"), "--results", folder.path(out)});
  };
  REQUIRE(eval("before").code == 0);
  exchange_ids(set + "/instances_val.json", 1, 2);
  const Outcome o = eval("after");
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK_THAT(o.err, Contains("2 of 2 have another number in the val split"));
  const json before = read_json(folder.path("before/bbox.json"));
  json after = read_json(folder.path("after/bbox.json"));
  REQUIRE(before.size() == 12);
  std::set<int> categories;
  for (json& r : after) {
    categories.insert(r["category_id"].get<int>());
    r["category_id"] = 3 - r["category_id"].get<int>();
  }
  CHECK(after == before);
  const json a = read_json(folder.path("before.json")), b = read_json(folder.path("after.json"));
  CHECK(a["box"]["stats"] == b["box"]["stats"]);
  CHECK(a["mask"]["stats"] == b["mask"]["stats"]);
  CHECK(a["box"]["per_class"][0]["name"] == "circle");
  CHECK(b["box"]["per_class"][0]["name"] == "square");
  CHECK(a["box"]["per_class"][0]["objects"] == b["box"]["per_class"][1]["objects"]);
  CHECK(a["box"]["per_class"][0]["detections"] == b["box"]["per_class"][1]["detections"]);

  json renamed = read_json(set + "/instances_val.json");
  for (json& c : renamed["categories"]) {
    if (c["name"] == "square") c["name"] = "plate";
  }
  write_text(set + "/instances_val.json", renamed.dump());
  const Outcome refused = eval("other");
  CHECK(refused.code == 4);
  CHECK_THAT(refused.err, Contains("\n  plate") && Contains("square") && Contains("data.class_map=plate:"));
}

TEST_CASE("metrics coco: what predict writes is scored by the names of its categories") {
  const TemporaryFolder folder;
  json gt = {{"images", {{{"id", 1}, {"file_name", "a.png"}, {"height", 20}, {"width", 20}}}},
             {"categories", {{{"id", 4}, {"name", "nut"}}, {{"id", 9}, {"name", "bolt"}}}},
             {"annotations", json::array()}};
  json dt = {{"images", {{{"id", 1}, {"file_name", "pictures/a.png"}, {"height", 20}, {"width", 20}}}},
             {"categories", {{{"id", 1}, {"name", "bolt"}}, {{"id", 2}, {"name", "nut"}}}},
             {"annotations", json::array()}};
  for (int i = 0; i < 2; ++i) {
    const json box = {2 + 8 * i, 3, 5, 6};
    gt["annotations"].push_back({{"id", i + 1},
                                 {"image_id", 1},
                                 {"category_id", i ? 9 : 4},
                                 {"bbox", box},
                                 {"area", 30},
                                 {"iscrowd", 0}});
    dt["annotations"].push_back({{"image_id", 1}, {"category_id", i ? 1 : 2}, {"bbox", box}, {"score", 0.9}});
  }
  const auto score = [&](std::vector<std::string> more = {}) {
    write_text(folder.path("gt.json"), gt.dump());
    write_text(folder.path("dt.json"), dt.dump());
    std::vector<std::string> arguments = {
        "metrics", "coco",   "--gt", folder.path("gt.json"), "--dt", folder.path("dt.json"), "--iou-type",
        "bbox",    "--json", "-"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  const Outcome right = score();
  INFO(right.err);
  REQUIRE(right.code == 0);
  CHECK(json::parse(right.out)["stats"][0].get<double>() == Approx(1.0));
  CHECK_THAT(right.err, Contains("2 of 2 have another number"));
  gt["categories"][0]["name"] = "Mutter";
  const Outcome refused = score();
  CHECK(refused.code == 4);
  CHECK_THAT(refused.err, Contains("\"Mutter\"") && Contains("--class-map=Mutter:"));
  CHECK(json::parse(score({"--class-map", "Mutter:nut"}).out)["stats"][0].get<double>() == Approx(1.0));
  const Outcome half = score({"--class-map", "Mutter:ignore"});
  CHECK(json::parse(half.out)["stats"][0].get<double>() == Approx(1.0));
  CHECK(json::parse(half.out)["objects"] == 1);
  CHECK_THAT(half.err, Contains("1 result is of a class that"));
  // A model with fewer classes: what it lacks is never found, and in the mean, as pycocotools has it.
  dt["categories"].erase(1);
  dt["annotations"].erase(0);
  const Outcome few = score();
  INFO(few.err);
  REQUIRE(few.code == 0);
  CHECK(json::parse(few.out)["stats"][0].get<double>() == Approx(0.5));
  CHECK(json::parse(few.out)["objects"] == 2);
  CHECK_THAT(few.err, Contains("has no \"Mutter\"") && Contains("scored as never detected"));
}

TEST_CASE("import-weights: a checkpoint keeps its classes, whatever order the data set has") {
  const TemporaryFolder folder;
  const std::string weights = folder.path("net.safetensors"), output = folder.path("out.safetensors");
  json config = {{"model", {{"name", "unet"}, {"num_classes", 3}, {"base_width", 4}, {"depth", 2}}},
                 {"data", {{"dataset", "list"}, {"root", folder.path()}}}};
  save(weights, config, {"left", "middle", "right"});
  write_text(folder.path("config.json"), config.dump());
  write_text(folder.path("val.txt"), "b.png b_label.png\n");
  write_text(folder.path("classes.json"),
             R"({"classes": [{"name": "right"}, {"name": "left"}, {"name": "middle"}]})");
  const auto names_after = [&](const std::string& input) {
    const Outcome o =
        run({"import-weights", "--config", folder.path("config.json"), "--input", input, "--output", output});
    INFO(o.err);
    REQUIRE(o.code == 0);
    std::string names;
    for (const data::ClassInfo& c : train::read_checkpoint(output).classes) names += c.name + " ";
    return names + (o.err.find("the file names no classes") == std::string::npos ? "" : "by number");
  };
  CHECK(names_after(weights) == "left middle right ");
  const std::string bare = folder.path("bare.safetensors");
  REQUIRE(run({"export-weights", "--weights", weights, "--output", bare}).code == 0);
  CHECK(names_after(bare) == "right left middle by number");
}

TEST_CASE("data.class_names name the classes of the set, not those of weights without names") {
  const TemporaryFolder folder;
  const std::string weights = folder.path("net.safetensors"), bare = folder.path("bare.safetensors"),
                    taken = folder.path("taken.safetensors"), c = folder.path("config.json");
  for (const char* name : {"a", "b"}) {
    data::write_png(folder.path(std::string(name) + ".png"), striped_picture(19, 26, 3));
    data::write_png(folder.path(std::string(name) + "_label.png"), stripes(19, 26, 3));
  }
  write_text(folder.path("train.txt"), "a.png a_label.png\n");
  write_text(folder.path("val.txt"), "b.png b_label.png\n");
  write_text(folder.path("classes.json"),
             R"({"classes": [{"name": "left"}, {"name": "middle"}, {"name": "right"}]})");
  json config = {{"model", {{"name", "unet"}, {"num_classes", 3}, {"base_width", 4}, {"depth", 2}}},
                 {"data", {{"dataset", "list"}, {"root", folder.path()}}}};
  save(weights, config, {"left", "middle", "right"});
  REQUIRE(run({"export-weights", "--weights", weights, "--output", bare}).code == 0);
  config["data"]["class_names"] = {"links", "mitte", "rechts"};
  write_text(c, config.dump());
  const Outcome plain = run({"eval", "--weights", bare, "--config", c, "--json", "-"});
  INFO(plain.err);
  REQUIRE(plain.code == 0);
  CHECK_THAT(plain.err, Contains("the checkpoint has no class names"));
  CHECK(json::parse(plain.out)["per_class"][1]["name"] == "mitte");
  // Taken as a checkpoint, they have both names.
  REQUIRE(run({"import-weights", "--config", c, "--input", bare, "--output", taken}).code == 0);
  const Outcome named = run({"eval", "--weights", taken, "--json", "-"});
  INFO(named.err);
  REQUIRE(named.code == 0);
  CHECK_THAT(named.err, !Contains("has no class names"));
  CHECK(json::parse(named.out)["per_class"] == json::parse(plain.out)["per_class"]);
  // A checkpoint from before the set's names were stored.
  save(weights, config, {"links", "mitte", "rechts"});
  const Outcome old = run({"eval", "--weights", weights, "--json", "-"});
  INFO(old.err);
  REQUIRE(old.code == 0);
  CHECK_THAT(old.err, Contains("no class names but those of data.class_names, so its classes are matched"));
  CHECK(json::parse(old.out)["per_class"] == json::parse(plain.out)["per_class"]);
}
