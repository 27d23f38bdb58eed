// Training networks that classify images: it learns, resumes bit-identically, and keeps the best by top-1.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "data/shapes.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

// Bright and dark pictures of several sizes.
void make_folders(const TemporaryFolder& folder) {
  for (int64_t i = 0; i < 12; ++i) {
    const bool bright = i % 2;
    const Tensor image = Tensor::empty({20 + i, 31 - i, 3}, DType::u8);
    for (int64_t p = 0; p < image.numel(); ++p)
      image.data<uint8_t>()[p] = static_cast<uint8_t>((bright ? 170 : 40) + (p * 7 + i * 13) % 50);
    data::write_png(
        folder.file(fmt::format("{}/{}/{}.png", i < 8 ? "train" : "val", bright ? "bright" : "dark", i)),
        image);
  }
}

Config classes_config(const std::string& root, const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> all = {"data.root=" + root};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return parse_config(R"({
    "model": {"name": "resnet18", "num_classes": 2, "width_multiplier": 0.0625},
    "data": {"dataset": "folders", "batch_size": 4, "workers": 1},
    "augment": {"area_min": 0.5, "flip_horizontal": 0.5, "brightness": 0.1},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "train": {"max_steps": 8, "validate_every": 4, "checkpoint_every": 3, "log_every": 2, "ema_decay": 0.5,
              "class_weights": "median_frequency", "sample_images": 1,
              "losses": [{"kind": "cross_entropy", "label_smoothing": 0.1}]},
    "eval": {"short_side": 24, "crop": 16},
    "seed": 5})",
                      "classes", all);
}

}  // namespace

TEST_CASE("a classifier learns bright from dark, and leaves the files of every run") {
  const TemporaryFolder folder;
  make_folders(folder);
  const std::string run = folder / "run";
  const Quiet quiet;
  const RunResult result =
      run_training(classes_config(folder.path(), {"train.max_steps=24", "expected={\"top1\": [0.99, 0]}"}),
                   out_folder(run));
  CHECK(result.expectation_met);
  CHECK(std::string(result.main_score) == "top1");
  CHECK(*result.best_score == 1);
  const JsonValue best = parse_json(content_of(run + "/best.json"), "best.json");
  CHECK(best.find("top1")->number == 1);
  CHECK(best.find("classification")->find("per_class")->array.size() == 2);
  const std::string page = content_of(run + "/report.html");
  CHECK_THAT(page,
             Contains("Per class, best validation") && Contains("mean per class") && Contains("bright"));
  CHECK(std::filesystem::exists(run + "/samples"));
  const LoadedModel loaded = load_model(run);
  CHECK(loaded.classes[0].name == "bright");
  CHECK(loaded.classes[1].name == "dark");
}

TEST_CASE("a classifier's run that was stopped goes on bit-identically") {
  const TemporaryFolder folder;
  make_folders(folder);
  const Quiet quiet;
  run_training(classes_config(folder.path()), out_folder(folder / "whole"));
  RunOptions stopped = out_folder(folder / "parts");
  const Config config = classes_config(folder.path());
  stopped.on_step = [](int64_t step) {
    if (step == 5) std::raise(SIGTERM);
  };
  CHECK(run_training(config, stopped).interrupted);
  run_training(config, out_folder(folder / "parts", /*resume=*/true));
  CHECK(last_of(folder / "parts") == last_of(folder / "whole"));
  CHECK(content_of(folder / "parts" + "/best.json") == content_of(folder / "whole" + "/best.json"));
}

TEST_CASE("what does not fit a classifier is refused, with what to do") {
  const TemporaryFolder folder;
  make_folders(folder);
  const Quiet quiet;
  const auto refused = [&](const std::vector<std::string>& overrides) {
    try {
      run_training(classes_config(folder.path(), overrides), out_folder(folder / "refused"));
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::config);
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(refused({"data.dataset=list"}), Contains("must be `folders`"));
  CHECK_THAT(refused({"model.num_classes=3"}), Contains("has 2 classes: \"bright\", \"dark\""));
  CHECK_THAT(refused({"expected={\"miou\": [0.5, 0]}"}), Contains("top1, top5, mean_class_accuracy"));
  CHECK_THAT(refused({"eval.window_height=64", "eval.window_width=64"}), Contains("semantic models"));
  CHECK_THAT(refused({"eval.crop=32"}), Contains("eval.crop must not exceed eval.short_side"));
  CHECK_THAT(refused({"augment.scale_min=0.5"}), Contains("augment.scale_min"));
  CHECK_THAT(refused({"data.label_map=identity"}), Contains("data sets with label maps"));
  CHECK_THAT(refused({"data.image_height=16", "data.image_width=16"}), Contains("augment.area_min"));
  CHECK_THAT(
      refused({"train.class_weights=none", "train.losses=[{\"kind\": \"dice\", \"label_smoothing\": 0.1}]"}),
      Contains("label_smoothing"));
}

TEST_CASE("GoogLeNet's auxiliary losses have the paper's weight unless the config gives one") {
  const auto weight = [](const std::vector<std::string>& overrides) {
    return parse_config(R"({"model": {"name": "googlenet", "num_classes": 2}})", "test", overrides)
        .train.aux_weight;
  };
  CHECK(weight({"model.aux_loss=true"}) == 0.3);
  CHECK(weight({"model.aux_loss=true", "train.aux_weight=0.5"}) == 0.5);
  CHECK(weight({}) == TrainOptions().aux_weight);
  CHECK(parse_config(R"({"model": {"name": "inception_v3", "num_classes": 2, "aux_loss": true}})", "test", {})
            .train.aux_weight == 0.4);
}
