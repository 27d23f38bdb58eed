// Whole runs of a tiny network on generated pictures: files, bits, errors.
#include "train/trainer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/parallel.h"
#include "core/safetensors.h"
#include "layers/finite.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/plan.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

TEST_CASE("the same seed gives the same checkpoint bytes on any number of threads and workers") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const int before = num_threads();
  std::vector<std::string> bytes;
  for (const auto& [threads, workers] : std::vector<std::pair<int, int>>{{1, 0}, {2, 1}, {4, 4}}) {
    set_num_threads(threads);
    const std::string run = folder / std::to_string(threads);
    const RunResult r = run_training(tiny_config(folder.path(), {"data.workers=" + std::to_string(workers)}),
                                     out_folder(run));
    CHECK(r.steps == 9);
    bytes.push_back(last_of(run));
    CHECK(content_of(run + "/checkpoints/best.safetensors").size() > 1000);
  }
  set_num_threads(before);
  REQUIRE(bytes[0].size() > 10000);
  CHECK(bytes[0] == bytes[1]);
  CHECK(bytes[0] == bytes[2]);
}

TEST_CASE("a validation set with nothing to score makes no weights the best: the newest are kept") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Tensor ignored = Tensor::empty({20, 28}, DType::u8);
  ignored.fill(255);
  for (const char* name : {"picture5", "picture6"})
    data::write_png(folder / (std::string(name) + "_label.png"), ignored);
  const Quiet quiet;
  const std::string run = folder / "run";
  const RunResult r = run_training(tiny_config(folder.path(), {"train.max_steps=6", "train.validate_every=2",
                                                               "expected={\"miou\": [0, 0]}"}),
                                   out_folder(run));
  CHECK_THAT(content_of(run + "/best.json"), Contains("\"step\": 6"));
  // What does not exist is null or left out, and nowhere 0. No target is reached by it.
  CHECK(r.best_score == std::nullopt);
  CHECK_FALSE(r.expectation_met);
  const JsonValue best = parse_json(content_of(run + "/best.json"), "best.json");
  for (const char* key : {"miou", "pixel_accuracy", "mean_accuracy", "fw_iou", "mean_dice", "val_loss"}) {
    REQUIRE(best.find(key));
    CHECK(best.find(key)->kind == JsonValue::Kind::null);
  }
  int validations = 0;
  for (const JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    if (!line.find("best")) continue;
    ++validations;
    CHECK(line.find("miou")->kind == JsonValue::Kind::null);
  }
  CHECK(validations == 3);
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("events.")) events += content_of(entry.path().string());
  }
  CHECK_THAT(events, Contains("train/loss") && !Contains("val/"));
  CHECK_THAT(content_of(run + "/report.html"),
             Contains("nothing to score: all pixels of the labels are ignored") && !Contains("0.0 %") &&
                 !Contains("Validation scores") && !Contains("nan"));
}

TEST_CASE("the last loss of a run is that of the last line of its log") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string run = folder / "run";
  const RunResult r = run_training(tiny_config(folder.path(), {"train.max_steps=4"}), out_folder(run));
  std::vector<double> losses;  // means over two steps
  for (const JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    if (const JsonValue* loss = line.find("loss")) losses.push_back(loss->number);
  }
  REQUIRE(losses.size() == 2);
  CHECK(r.last_loss == losses.back());
}

TEST_CASE("a run leaves its files, learns, and never overwrites") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::string run = folder / "run";
  const Config config = tiny_config(
      folder.path(), {"train.max_steps=60", "train.validate_every=20", "expected={\"miou\": [0.8, 0.1]}",
                      "augment.scale_min=1", "augment.scale_max=1"});
  const RunResult r = run_training(config, out_folder(run));
  CHECK(r.best_score > 0.7);
  CHECK(r.expectation_met);
  for (const char* name : {"config.json", "metrics.jsonl", "best.json", "report.html",
                           "checkpoints/last.previous.safetensors"}) {
    CHECK(std::filesystem::exists(run + "/" + name));
  }
  CHECK(parse_config(content_of(run + "/config.json"), "config.json", {}).train.max_steps == 60);
  int validations = 0, steps = 0;
  for (const JsonValue& line : read_metrics(run + "/metrics.jsonl")) {
    REQUIRE(line.find("step"));
    validations += line.find("miou") != nullptr;
    if (!line.find("loss")) continue;
    ++steps;
    CHECK(line.find("lr"));
  }
  CHECK(validations == 3);
  CHECK(steps == 30);
  const std::string html = content_of(run + "/report.html");
  CHECK(html.find("<svg class=\"chart\"") != std::string::npos);
  CHECK(html.find("data:image/png;base64,iVBOR") != std::string::npos);
  CHECK(html.find("http://") == std::string::npos);
  CHECK(html.find("https://") == std::string::npos);

  const Error again = error_of([&] { run_training(config, out_folder(run)); });
  CHECK(again.kind() == ErrorKind::usage);
  CHECK_THAT(again.what(), Contains("never overwritten"));
  // Files of others are neither mixed with a run nor touched.
  std::filesystem::create_directories(folder / "mine");
  std::ofstream(folder / "mine/notes.txt") << "mine";
  for (const bool resume : {false, true}) {
    const Error mixed = error_of([&] { run_training(config, out_folder(folder / "mine", resume)); });
    CHECK(mixed.kind() == ErrorKind::usage);
    CHECK_THAT(mixed.what(), Contains("notes.txt") && Contains("no run"));
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "mine"), {}) == 1);
  // But what a user puts beside a run does not hinder it.
  std::ofstream(run + "/notes.txt") << "mine";
  CHECK(run_training(config, out_folder(run, /*resume=*/true)).steps == 60);

  const LoadedModel loaded = load_model(run + "/checkpoints/best.safetensors");
  CHECK_FALSE(loaded.model->training());
  CHECK(loaded.classes.size() == 3);
  CHECK(loaded.config.model.base_width == 4);

  Config wrong = config;
  wrong.expected["miou"] = {1.0, 0.0};
  wrong.train.max_steps = 2;
  CHECK_FALSE(run_training(wrong, out_folder(folder / "short")).expectation_met);
  // The page says so, too.
  CHECK_THAT(html, Contains(">reached</td>") && !Contains("not reached"));
  CHECK_THAT(content_of(folder / "short/report.html"), Contains("class=\"bad\">not reached</td>"));
}

TEST_CASE("metrics: torn lines are left out, later ones stay; a full disk is told once") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  std::ofstream(path) << R"({"step": 2, "loss": 1})"
                      << "\n{\"step\": 3, \"lo\n"
                      << R"({"step": 4, "loss": 2})"
                      << "\n"
                      << R"({"step": 4, "miou": 0.5, "best": true})"
                      << "\n"
                      << R"({"step": 6, "loss": 3})"
                      << "\n{\"st";
  CHECK(lines_of(path) == 4);
  int ends[2];  // a pipe for stderr: no limit on file sizes holds there
  REQUIRE(pipe(ends) == 0);
  const int saved = dup(2);
  dup2(ends[1], 2);
  close(ends[1]);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  {
    // Goes on after step 4, whose validation was not saved.
    RunLog log(folder.path(), 4, 0, 10, Device::cpu);
    const rlimit small{100, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    for (int64_t step = 5; step < 8; ++step) log.step({.step = step});
    setrlimit(RLIMIT_FSIZE, &before);
  }
  std::signal(SIGXFSZ, handler);
  dup2(saved, 2);
  close(saved);
  CHECK(lines_of(path) == 2);
  std::string told(4096, '\0');
  told.resize(static_cast<size_t>(std::max<ssize_t>(0, read(ends[0], told.data(), told.size()))));
  close(ends[0]);
  const std::string warning = "warning: metrics.jsonl cannot be written";
  REQUIRE(told.find(warning) != std::string::npos);
  CHECK(told.find(warning) == told.rfind(warning));
}

TEST_CASE("NaN stops with the layer named, and the checkpoint stays") {
  const TemporaryFolder folder;
  const Quiet quiet;
  // Given batches of which the third holds a NaN.
  const Tensor images = Tensor::full({4, 2, 3, 8, 8}, 0.5);
  const Tensor labels = Tensor::zeros({4, 2, 8, 8}, DType::u8);
  images.data<float>()[2 * 2 * 3 * 64 + 7] = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(folder / "batches.safetensors", {{"images", images}, {"labels", labels}});
  const std::vector<std::string> set = {
      "data.dataset=tensors",   "data.label_map=",       "augment={}",
      "train.max_steps=4",      "train.accumulate=1",    "train.checkpoint_every=1",
      "train.validate_every=0", "train.sample_images=4", "train.class_weights=none"};
  const Error e = error_of(
      [&] { run_training(tiny_config(folder / "batches.safetensors", set), out_folder(folder / "run")); });
  CHECK(e.kind() == ErrorKind::diverged);
  CHECK_THAT(e.what(), Contains("at step 3") && Contains("conv") && Contains("batch 2 image 0"));
  INFO(e.what());
  CHECK(read_checkpoint(folder / "run/checkpoints/last.safetensors").state.step == 2);
}

TEST_CASE("NaN in running statistics is not saved either") {
  const nets::ModelOptions options = tiny_config("").model;
  const auto model = nets::make_model(options, 1);
  layers::check_weights_finite(*model, "train", "");
  for (const layers::NamedBuffer& b : model->buffers()) {
    if (b.name.ends_with("running_var")) b.tensor.data<float>()[0] = std::numeric_limits<float>::infinity();
  }
  const Error e = error_of([&] { layers::check_weights_finite(*model, "train", ""); });
  CHECK(e.kind() == ErrorKind::diverged);
  CHECK_THAT(e.what(), Contains("running_var"));
}

TEST_CASE("given batches: one checkpoint, at the end, unless asked for more") {
  std::vector<std::string> given = {"data.dataset=tensors", "data.label_map=", "augment={}",
                                    "train.validate_every=0", "train.sample_images=4"};
  CHECK(make_plan(tiny_config("", given), 100).checkpoint_every == 3);
  given.emplace_back("train.checkpoint_every=0");
  CHECK(make_plan(tiny_config("", given), 0).checkpoint_every == 9);
}

TEST_CASE("weights files: what is wrong in them is no error of the config") {
  const TemporaryFolder folder;
  const auto kind_of = [&](const Metadata& metadata, const std::vector<std::string>& overrides = {}) {
    const std::string path = folder / "weights.safetensors";
    write_safetensors(path, {{"x", Tensor::zeros({1})}}, metadata);
    return error_of([&] { load_model(path, "", overrides); }).kind();
  };
  CHECK(error_of([&] { load_model(folder / "none.safetensors"); }).kind() == ErrorKind::checkpoint);
  CHECK(kind_of({}) == ErrorKind::checkpoint);
  CHECK(kind_of({{"atrous.config", "{"}}) == ErrorKind::checkpoint);
  CHECK(kind_of({{"atrous.config", "{\"modle\": {}}"}}) == ErrorKind::checkpoint);
  const std::string good = to_json(tiny_config(""));
  CHECK(kind_of({{"atrous.config", good}}) == ErrorKind::checkpoint);  // no such tensors
  CHECK(kind_of({{"atrous.config", good}}, {"modle.name=unet"}) == ErrorKind::config);
  const Error missing = error_of([&] {
    nets::ModelOptions options = tiny_config("").model;
    options.weights = folder / "none.safetensors";
    nets::make_model(options, 1);
  });
  CHECK(missing.kind() == ErrorKind::checkpoint);
}

TEST_CASE("a dry run says what memory a step takes and writes nothing") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  RunOptions o = out_folder(folder / "run");
  o.dry_run = true;
  const RunResult r = run_training(tiny_config(folder.path()), o);
  CHECK(r.peak_memory_bytes > 10000);
  CHECK(r.parameters > 500);
  CHECK(r.last_loss.value() > 0);
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_CASE("the learning rate of the backbone is that of the network's backbone, whatever its names") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const Config config = tiny_config(
      folder.path(), {R"(model={"name": "pspnet", "num_classes": 3, "backbone": "resnet18",
                                            "width_multiplier": 0.0625})",
                      "optimizer.backbone_lr_factor=0", "train.max_steps=2", "train.ema_decay=0"});
  run_training(config, out_folder(folder / "run"));
  const TensorFile trained = read_safetensors(folder / "run/checkpoints/last.safetensors");
  const auto start = nets::make_model(config.model, config.seed);
  int64_t same = 0, changed = 0;
  for (const auto& [name, value] : layers::state_dict(*start)) {
    if (name.find("running_") != std::string::npos || name.ends_with("num_batches_tracked")) continue;
    const auto at = std::find_if(trained.tensors.begin(), trained.tensors.end(),
                                 [&name = name](const auto& t) { return t.first == name; });
    REQUIRE(at != trained.tensors.end());
    const bool equal = std::equal(value.raw(), value.raw() + value.bytes(), at->second.raw());
    INFO(name);
    CHECK(equal == start->in_backbone(name));
    (equal ? same : changed) += 1;
  }
  CHECK(same > 0);
  CHECK(changed > 0);
}

TEST_CASE("a CRF behind the network trains, goes on to the same bits and is in the checkpoint") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::vector<std::string> crf = {"model.crf_as_rnn.iterations_train=2",
                                        "model.crf_as_rnn.iterations=3", "model.crf_as_rnn.bilateral_xy=8",
                                        "train.max_steps=4", "train.max_minutes=0"};
  const std::string whole = folder / "whole", broken = folder / "broken";
  run_training(tiny_config(folder.path(), crf), out_folder(whole));
  RunOptions stopping = out_folder(broken);
  stopping.on_step = [](int64_t step) {
    if (step == 2) raise(SIGTERM);
  };
  CHECK(run_training(tiny_config(folder.path(), crf), stopping).interrupted);
  run_training(tiny_config(folder.path(), crf), out_folder(broken, true));
  CHECK(last_of(broken) == last_of(whole));
  const LoadedNetwork loaded = load_network(whole + "/checkpoints/best.safetensors", "", {});
  double moved = 0;
  for (const layers::NamedParameter& p : loaded.model->parameters()) {
    if (p.name == "crf.compatibility") moved = std::abs(p.variable.value().data<float>()[0] + 1);
  }
  CHECK(moved > 0);
  CHECK(moved < 1);
}

TEST_CASE("training errors before the first step") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const auto refuse = [&](const std::vector<std::string>& set) {
    return error_of([&] { run_training(tiny_config(folder.path(), set), out_folder(folder / "run")); });
  };
  CHECK_THAT(refuse({"train.max_steps=0"}).what(),
             Contains("exactly one of train.epochs and train.max_steps"));
  CHECK_THAT(refuse({"data.root="}).what(), Contains("needs data.root"));
  CHECK_THAT(refuse({"train.class_weights=1,2"}).what(),
             Contains("one number per class. Got 2 for 3 classes"));
  CHECK_THAT(refuse({"train.class_weights=median"}).what(), Contains("median_frequency"));
  const Error no_backbone = refuse({"optimizer.backbone_lr_factor=0.1"});
  CHECK(no_backbone.kind() == ErrorKind::config);
  CHECK_THAT(no_backbone.what(), Contains("needs a network with a separate backbone"));
  const Error unwritable =
      error_of([&] { run_training(tiny_config(folder.path()), out_folder("/proc/run")); });
  CHECK(unwritable.kind() == ErrorKind::io);
  CHECK_THAT(unwritable.what(), Contains("must be writable") && Contains("/proc/run"));
}
