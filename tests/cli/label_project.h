// A small semantic model and its data set, for the tests of commands that take one.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/image_io.h"
#include "nets/factory.h"
#include "tests/cli/program.h"
#include "train/checkpoint.h"

namespace atrous::cli_test {

// A list data set (two images to validate on) with labels of 3 classes, and a checkpoint that knows it.
struct Project {
  TemporaryFolder folder;
  std::string weights = folder.path("net.safetensors");
  std::string config = folder.path("config.json");

  explicit Project(int num_classes = 3) {
    for (const char* name : {"a", "b", "c"}) {
      data::write_png(folder.path(std::string(name) + ".png"), striped_picture(19, 26, 3));
      data::write_png(folder.path(std::string(name) + "_label.png"), stripes(19, 26, 3));
    }
    for (const char* list : {"val.txt", "test.txt"}) write_text(folder.path(list), list_text());
    write_text(folder.path("train.txt"), "c.png c_label.png\n");
    write_text(config, config_text(num_classes));
    const train::Config parsed = train::parse_config(config_text(num_classes), "test", {});
    const auto model = nets::make_model(parsed.model, 1);
    std::vector<data::ClassInfo> classes = {
        {"left", {255, 0, 0}}, {"middle", {0, 255, 0}}, {"right", {0, 0, 255}}};
    while (static_cast<int>(classes.size()) < num_classes)
      classes.push_back({"class" + std::to_string(classes.size()), {0, 0, 0}});
    train::CheckpointContent content;
    content.config = &parsed;
    content.classes = &classes;
    content.model = model.get();
    const train::RunState state;
    content.state = &state;
    train::save_checkpoint(weights, content);
  }
  static std::string list_text() { return "a.png a_label.png\nb.png b_label.png\n"; }
  std::string config_text(int classes) const {
    nlohmann::json j;
    j["model"] = {{"name", "unet"}, {"num_classes", classes}, {"base_width", 4}, {"depth", 2}};
    j["data"] = {{"dataset", "list"}, {"root", folder.path()}, {"label_map", "identity"}};
    return j.dump();
  }
  Outcome eval(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"eval", "--weights", weights};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  Outcome predict(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"predict", "--weights", weights, "--out", folder.path("out")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

}  // namespace atrous::cli_test
