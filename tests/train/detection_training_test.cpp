// Whole runs of a tiny detector on generated shapes: files, bits, errors.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <regex>

#include "core/parallel.h"
#include "data/shapes.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/detection_task.h"
#include "train/step.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

void make_objects(const std::string& root) {
  data::ShapesOptions o;
  o.train = 6;
  o.val = 3;
  o.height = 48;
  o.width = 64;
  o.classes = 3;
  o.seed = 3;
  data::write_shapes(root, o);
}

Config detector_config(const std::string& root, const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> all = {"data.root=" + root};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return parse_config(R"({
    "model": {"name": "maskrcnn_resnet50_fpn", "num_classes": 3, "backbone": "resnet18", "width_multiplier": 0.0625,
              "detection": {"min_size": [48, 64], "max_size": 96, "anchor_sizes": [8, 16, 24, 32, 48],
                            "rpn_post_nms_train": 40, "rpn_post_nms_test": 20, "box_samples": 16, "max_detections": 5,
                            "box_score": 0.0}},
    "data": {"dataset": "shapes_instances", "batch_size": 2, "workers": 1},
    "augment": {"flip_horizontal": 0.5, "scale_min": 0.9, "scale_max": 1.1},
    "optimizer": {"name": "adamw", "lr": 0.001, "clip_norm": 5},
    "train": {"max_steps": 5, "validate_every": 3, "checkpoint_every": 2, "log_every": 2, "sample_images": 1},
    "seed": 5})",
                      "tiny", all);
}

}  // namespace

TEST_CASE("a detector's run leaves scores, terms of the loss, pictures and a report") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  const Quiet quiet;
  const std::string run = folder / "run";
  const RunResult r = run_training(detector_config(folder / "set"), out_folder(run));
  CHECK(r.steps == 5);
  CHECK(r.main_score == "mask_ap");
  CHECK(r.best_score.value() >= 0);
  int64_t validations = 0, steps = 0;
  for (const JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    if (line.find("best")) {
      ++validations;
      for (const char* key : {"box_ap", "box_ap50", "mask_ap", "mask_ap50"}) CHECK(line.find(key));
      continue;
    }
    ++steps;
    double sum = 0;
    for (const char* term :
         {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}) {
      const JsonValue* value = line.find(term);
      REQUIRE(value);
      sum += value->number;
    }
    CHECK(sum == Approx(line.find("loss")->number).epsilon(1e-5));
  }
  CHECK(validations == 2);
  CHECK(steps == 3);
  CHECK(content_of(run + "/report.html").find("COCO scores: mask") != std::string::npos);
  CHECK(content_of(run + "/best.json").find("\"stats\"") != std::string::npos);
  CHECK(std::distance(std::filesystem::directory_iterator(run + "/samples"),
                      std::filesystem::directory_iterator()) == 1);
  const StoredCheckpoint best = read_checkpoint(run + "/checkpoints/best.safetensors");
  CHECK(best.classes.size() == 3);
  CHECK(best.classes[0].name == "background");
}

TEST_CASE("a detector that is validated on crowds alone has no scores: null, not -1, and no curve") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  const std::string file = folder / "set/instances_val.json";
  const std::string text = content_of(file);
  std::ofstream(file) << std::regex_replace(text, std::regex("\"iscrowd\": ?0"), "\"iscrowd\": 1");
  const Quiet quiet;
  const std::string run = folder / "run";
  const RunResult r = run_training(detector_config(folder / "set"), out_folder(run));
  CHECK(r.best_score == std::nullopt);
  int validations = 0;
  for (const JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    if (!line.find("best")) continue;
    ++validations;
    for (const char* key : {"box_ap", "box_ap50", "box_ap75", "mask_ap", "mask_ap50", "mask_ap75"}) {
      REQUIRE(line.find(key));
      CHECK(line.find(key)->kind == JsonValue::Kind::null);
    }
  }
  CHECK(validations == 2);
  const JsonValue best = parse_json(content_of(run + "/best.json"), "best.json");
  CHECK(best.find("step")->integer == 5);  // the newest
  CHECK(best.find("mask_ap")->kind == JsonValue::Kind::null);
  REQUIRE(best.find("mask")->find("stats")->array.size() == 12);
  for (const JsonValue& v : best.find("mask")->find("stats")->array) CHECK(v.kind == JsonValue::Kind::null);
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    if (entry.path().filename().string().starts_with("events.")) events += content_of(entry.path().string());
  }
  CHECK_THAT(events, Contains("train/loss") && !Contains("val/"));
  CHECK_THAT(content_of(run + "/report.html"),
             Contains("nothing to score: the images have no annotated objects") && !Contains("-100") &&
                 !Contains("Validation scores"));
}

TEST_CASE("a detector's checkpoint has the same bytes on any number of threads and workers, stopped or not") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  const Quiet quiet;
  const int before = num_threads();
  std::vector<std::string> bytes;
  for (const auto& [threads, workers] : std::vector<std::pair<int, int>>{{1, 0}, {3, 3}}) {
    set_num_threads(threads);
    const std::string run = folder / std::to_string(threads);
    run_training(detector_config(folder / "set", {"data.workers=" + std::to_string(workers)}),
                 out_folder(run));
    bytes.push_back(last_of(run));
  }
  RunOptions stopped = out_folder(folder / "stopped");
  stopped.on_step = [](int64_t step) {
    if (step == 3) std::raise(SIGTERM);
  };
  CHECK(run_training(detector_config(folder / "set"), stopped).interrupted);
  run_training(detector_config(folder / "set"), out_folder(folder / "stopped", /*resume=*/true));
  bytes.push_back(last_of(folder / "stopped"));
  set_num_threads(before);
  REQUIRE(bytes[0].size() > 10000);
  CHECK(bytes[0] == bytes[1]);
  CHECK(bytes[0] == bytes[2]);
}

TEST_CASE("a few steps on two images lower a detector's loss") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  const Config config = detector_config(folder / "set", {"model.detection.min_size=[64]", "augment={}"});
  const auto set = data::open_instance_dataset(config.data, "train", 3, 3);
  data::InstanceLoader loader(*set, config.data, {}, 1, 0);
  const data::InstanceBatch batch = loader.next();
  const auto model = nets::make_detector(config.model, 1);
  model->train();
  Optimizer optimizer(config.optimizer, model->parameters());
  std::map<std::string, double> first, last;
  for (int64_t step = 0; step < 60; ++step) {
    const StepResult r = train_step(
        optimizer, [&] { return detection_batch(*model, batch, 7); }, 1, step, 0.003);
    for (const auto& [name, value] : r.terms) (step == 0 ? first : last)[name] = value;
  }
  // Not the offsets of boxes: better proposals make more of the samples positive, and they alone have some.
  for (const char* name : {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_mask"}) {
    INFO(name);
    CHECK(last.at(name) < 0.8 * first.at(name));
  }
}

TEST_CASE("validation objects that are all crowds make no weights of a detector the best") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  const std::string val = folder / "set/instances_val.json";
  std::string text = content_of(val);
  text = std::regex_replace(text, std::regex("\"iscrowd\": ?0"), "\"iscrowd\": 1");
  REQUIRE(text.find("\"iscrowd\": 1") != std::string::npos);
  std::ofstream(val) << text;
  const Quiet quiet;
  run_training(detector_config(folder / "set", {"train.validate_every=1"}), out_folder(folder / "run"));
  CHECK_THAT(content_of(folder / "run/best.json"), Contains("\"step\": 5"));
}

TEST_CASE("a network with masks says so if validation has none, and keeps what it has learned") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  const std::string val = folder / "set/instances_val.json";
  std::string text = content_of(val);
  for (size_t at = 0; (at = text.find("\"segmentation\"", at)) != std::string::npos;)
    text.replace(at, 14, "\"unknownfield\"");
  std::ofstream(val) << text;
  const Quiet quiet;
  const Error error =
      error_of([&] { run_training(detector_config(folder / "set"), out_folder(folder / "run")); });
  CHECK(error.kind() == ErrorKind::data);
  CHECK_THAT(error.what(), Contains("need masks"));
  CHECK(read_checkpoint(folder / "run/checkpoints/last.safetensors").state.step == 3);
}

TEST_CASE("detectors and data sets that do not go together are told apart") {
  const TemporaryFolder folder;
  make_objects(folder / "set");
  make_pictures(folder.path());
  const Quiet quiet;
  const auto refuse = [&](const Config& config) {
    return error_of([&] { run_training(config, out_folder(folder / "run")); });
  };
  const Error semantic = refuse(detector_config(folder.path(), {"data.dataset=list"}));
  CHECK(semantic.kind() == ErrorKind::config);
  CHECK_THAT(semantic.what(), Contains("shapes_instances"));
  const Error objects =
      refuse(tiny_config(folder / "set", {"data.dataset=shapes_instances", "data.label_map="}));
  CHECK(objects.kind() == ErrorKind::config);
  CHECK_THAT(objects.what(), Contains("shapes_instances"));
  const Error classes = refuse(detector_config(folder / "set", {"model.num_classes=9"}));
  CHECK_THAT(classes.what(), Contains("num_classes"));
}
