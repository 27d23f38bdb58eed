// What the labels of a run mean when its data set numbers the classes otherwise than a checkpoint.
#include "train/class_source.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "data/shapes.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/task.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

void write_json(const std::string& path, const json& j) {
  std::ofstream(path) << j.dump();
}

// The label values of tiny_run's pictures under these names, in this order.
void write_classes(const TemporaryFolder& folder, const std::vector<std::pair<int, const char*>>& classes) {
  json j = {{"classes", json::array()}};
  for (const auto& [id, name] : classes) j["classes"].push_back({{"id", id}, {"name", name}});
  write_json(folder / "classes.json", j);
}

std::vector<std::string> names_of(const std::vector<data::ClassInfo>& classes) {
  std::vector<std::string> names;
  for (const data::ClassInfo& c : classes) names.push_back(c.name);
  return names;
}

// Exchanges the ids of two categories, and those of their objects.
void exchange_ids(const std::string& path, int a, int b) {
  json j = json::parse(content_of(path));
  const auto other = [&](int id) { return id == a ? b : id == b ? a : id; };
  for (json& c : j["categories"]) c["id"] = other(c["id"]);
  for (json& o : j["annotations"]) o["category_id"] = other(o["category_id"]);
  write_json(path, j);
}

Config objects_config(const std::string& root, const std::string& steps) {
  return parse_config(R"({
    "model": {"name": "maskrcnn_resnet50_fpn", "num_classes": 3, "backbone": "resnet18", "width_multiplier": 0.0625,
              "detection": {"min_size": [48], "max_size": 96, "anchor_sizes": [8, 16, 24, 32, 48],
                            "rpn_post_nms_train": 40, "rpn_post_nms_test": 20, "box_samples": 16, "max_detections": 5,
                            "box_score": 0.0}},
    "data": {"dataset": "shapes_instances", "batch_size": 2, "workers": 0},
    "optimizer": {"name": "adamw", "lr": 0.001, "clip_norm": 5},
    "train": {"validate_every": 2, "sample_images": 0}, "seed": 5})",
                      "objects", {"data.root=" + root, "train.max_steps=" + steps});
}

}  // namespace

TEST_CASE("a resumed run means the same classes by its labels when the set's table is in another order") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const auto config = [&](const char* steps) {
    return tiny_config(folder.path(), {"data.label_map=", std::string("train.max_steps=") + steps});
  };
  std::string bytes[2];
  for (const int turned : {0, 1}) {
    const std::string run = folder / ("run" + std::to_string(turned));
    write_classes(folder, {{0, "bright"}, {1, "dark"}, {2, "red"}});
    run_training(config("3"), out_folder(run));
    if (turned) write_classes(folder, {{2, "red"}, {0, "bright"}, {1, "dark"}});
    RunOptions resumed = out_folder(run, true);
    resumed.allow_change = {"train.max_steps"};
    run_training(config("6"), resumed);
    bytes[turned] = last_of(run);
  }
  CHECK(bytes[0] == bytes[1]);
  write_classes(folder, {{0, "bright"}, {1, "night"}, {2, "red"}});
  RunOptions resumed = out_folder(folder / "run0", true);
  resumed.allow_change = {"train.max_steps"};
  const Error e = error_of([&] { run_training(config("9"), resumed); });
  CHECK(e.kind() == ErrorKind::data);
  CHECK_THAT(e.what(), Contains("the checkpoint (") && Contains("\"night\"") && Contains("data.class_map"));
}

TEST_CASE("a detector's resumed run and its validation mean the same classes under other category ids") {
  const TemporaryFolder folder;
  const std::string root = folder / "set";
  data::write_shapes(root, {.train = 4, .val = 2, .height = 48, .width = 64, .classes = 3, .seed = 3});
  const Quiet quiet;
  std::string bytes[2];
  for (const int turned : {0, 1}) {
    const std::string run = folder / ("run" + std::to_string(turned));
    run_training(objects_config(root, "2"), out_folder(run));
    if (turned) exchange_ids(root + "/instances_train.json", 1, 2);
    if (turned) exchange_ids(root + "/instances_val.json", 1, 2);
    RunOptions resumed = out_folder(run, true);
    resumed.allow_change = {"train.max_steps"};
    run_training(objects_config(root, "4"), resumed);
    bytes[turned] = last_of(run);
  }
  CHECK(bytes[0] == bytes[1]);
}

TEST_CASE("a run that starts from a checkpoint with the same classes takes over their numbers") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  write_classes(folder, {{0, "bright"}, {1, "dark"}, {2, "red"}});
  const Quiet quiet;
  run_training(tiny_config(folder.path(), {"data.label_map=", "train.max_steps=1"}),
               out_folder(folder / "run"));
  const std::string weights = folder / "run/checkpoints/last.safetensors";
  const Config config = tiny_config(folder.path(), {"data.label_map=", "model.weights=" + weights});
  write_classes(folder, {{1, "dark"}, {2, "red"}, {0, "bright"}});
  CHECK(names_of(make_task(tiny_config(folder.path(), {"data.label_map="}), false)->classes()) ==
        std::vector<std::string>{"dark", "red", "bright"});
  CHECK(names_of(make_task(config, false)->classes()) == std::vector<std::string>{"bright", "dark", "red"});
  // The same if the weights are given by name.
  std::filesystem::copy(weights, folder / "mine.safetensors");
  setenv("ATROUS_WEIGHTS", folder.path().c_str(), 1);
  const Config by_name = tiny_config(folder.path(), {"data.label_map=", "model.weights=mine"});
  CHECK(names_of(make_task(by_name, false)->classes()) == std::vector<std::string>{"bright", "dark", "red"});
  unsetenv("ATROUS_WEIGHTS");
  // Other classes: transfer to another task, which is said.
  write_classes(folder, {{1, "night"}, {2, "red"}, {0, "bright"}});
  const auto task = make_task(config, false);
  CHECK(names_of(task->classes()) == std::vector<std::string>{"night", "red", "bright"});
  std::string lines;
  for (const std::string& line : task->describe()) lines += line + "\n";
  CHECK_THAT(lines,
             Contains("different classes. Only the first has \"night\"; only the second has \"dark\""));
}

TEST_CASE("the names that a set uses are kept beside those that the user gives") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  write_classes(folder, {{0, "bright"}, {1, "dark"}, {2, "red"}});
  const Quiet quiet;
  run_training(tiny_config(folder.path(),
                           {"data.label_map=", "train.max_steps=1", "data.class_names=hell,dunkel,rot"}),
               out_folder(folder / "run"));
  const StoredCheckpoint stored = read_checkpoint(folder / "run/checkpoints/last.safetensors");
  CHECK(stored.classes[1].name == "dunkel");
  CHECK(stored.classes[1].set_name == "dark");
}

TEST_CASE("a checkpoint without the names of its set goes on by number, which is said") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  write_classes(folder, {{0, "bright"}, {1, "dark"}, {2, "red"}});
  const Quiet quiet;
  const std::vector<std::string> keys = {"data.label_map=", "data.class_names=hell,dunkel,rot"};
  const Config config = tiny_config(folder.path(), keys);
  const std::string weights = folder / "old.safetensors";
  const std::vector<data::ClassInfo> names = {{"hell", {}, {}}, {"dunkel", {}, {}}, {"rot", {}, {}}};
  const auto model = nets::make_network(config.model, 1);
  save_checkpoint(weights, {.config = &config, .classes = &names, .model = model.get()});
  const StoredCheckpoint stored = read_checkpoint(weights);
  const data::ClassList meant = class_list(stored.classes, config, "the checkpoint");
  std::vector<std::string> with_weights = keys;
  with_weights.push_back("model.weights=" + weights);
  const auto resumed = make_task(config, false, &meant),
             started = make_task(tiny_config(folder.path(), with_weights), false);
  for (const auto* task : {&resumed, &started}) {
    CHECK(names_of((*task)->classes()) == std::vector<std::string>{"hell", "dunkel", "rot"});
    CHECK((*task)->classes()[1].set_name == "dark");
    std::string lines;
    for (const std::string& line : (*task)->describe()) lines += line + "\n";
    CHECK_THAT(lines, Contains("no class names but those of data.class_names, so its classes are matched"));
  }
}
