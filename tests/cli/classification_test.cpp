// Classification from the command line: generated shapes, train, eval, predict, and what users get wrong.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/safetensors.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/cli/program.h"
#include "train/config.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;
using nlohmann::json;

namespace {

struct Project {
  TemporaryFolder folder;
  std::string set = folder.path("set"), config = folder.path("config.json"), net = folder.path("run");

  Project() {
    const Outcome made = run({"data", "make-shapes", "--out", set, "--folders", "--train", "24", "--val", "8",
                              "--size", "32x40", "--classes", "4"});
    REQUIRE(made.code == 0);
    CHECK_THAT(made.out, Contains("24 train and 8 val images of 40 x 32, 3 classes"));
    const json j = {
        {"model", {{"name", "lenet5"}, {"num_classes", 3}, {"in_channels", 3}, {"width_multiplier", 0.5}}},
        {"data", {{"dataset", "folders"}, {"root", set}, {"batch_size", 8}}},
        {"augment", {{"area_min", 0.7}, {"flip_horizontal", 0.5}}},
        {"optimizer", {{"name", "adamw"}, {"lr", 0.002}}},
        {"train", {{"max_steps", 6}, {"losses", {{{"kind", "cross_entropy"}, {"label_smoothing", 0.1}}}}}},
        {"eval", {{"short_side", 32}, {"crop", 28}}}};
    write_text(config, j.dump());
  }
  Outcome train() const { return run({"train", "--config", config, "--out", net}); }
};

}  // namespace

TEST_CASE("classification: train, eval and predict of generated shapes") {
  const Project p;
  const Outcome trained = p.train();
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  CHECK_THAT(trained.out, Contains("best top1"));
  CHECK_THAT(trained.err, Contains("images per class: circle 8, square 8, triangle 8"));

  const std::string scores = p.folder.path("scores.json"), report = p.folder.path("report");
  const Outcome scored = run({"eval", "--weights", p.net, "--json", scores, "--report", report, "--flip"});
  CAPTURE(scored.err);
  REQUIRE(scored.code == 0);
  CHECK_THAT(scored.out,
             Contains("top-1") && Contains("mean per class") && Contains("mirrored images averaged"));
  const json j = json::parse(read_text(scores));
  CHECK(j["images"] == 8);
  CHECK(j["per_class"].size() == 3);
  CHECK(j["confusion"].size() == 3);
  CHECK(j["per_image"].size() == 8);
  CHECK(j["split"] == "val");
  double right = 0;
  for (const json& image : j["per_image"]) {
    CHECK((image["place"] == 1) == (image["label"] == image["predicted"]));
    right += image["place"] == 1;
  }
  CHECK(j["top1"] == Approx(right / 8));
  CHECK_THAT(read_text(report + "/report.html"), Contains("Confusion matrix") && Contains("triangle"));
  CHECK(json::parse(read_text(report + "/scores.json")) == j);

  const std::string out = p.folder.path("out");
  const Outcome predicted =
      run({"predict", "--weights", p.net, p.set + "/val/square", "--out", out, "--top", "2"});
  CAPTURE(predicted.err);
  REQUIRE(predicted.code == 0);
  const json all = json::parse(read_text(out + "/predictions.json"));
  REQUIRE(all["predictions"].size() == 3);  // images 1, 4 and 7
  for (const json& image : all["predictions"]) {
    REQUIRE(image["top"].size() == 2);
    CHECK(image["top"][0]["probability"] >= image["top"][1]["probability"]);
    CHECK(image["top"][0]["name"] ==
          std::vector<std::string>{"circle", "square", "triangle"}[image["top"][0]["class"]]);
    CHECK_THAT(predicted.out, Contains(image["image"].get<std::string>()));
  }
  CHECK_THAT(read_text(out + "/predictions.csv"), Contains("image,place,class,name,probability\n"));
  // Without a folder, to stdout alone.
  const Outcome shown = run({"predict", "--weights", p.net, "--json", "-", p.set + "/val/square/0001.png"});
  REQUIRE(shown.code == 0);
  CHECK(json::parse(shown.out)["predictions"][0]["top"].size() == 3);
  write_text(p.folder.path("torn.png"), "\x89PNG\r\n\x1a\n");
  const Outcome torn =
      run({"predict", "--weights", p.net, p.folder.path("torn.png"), p.set + "/val/square/0001.png"});
  CHECK(torn.code == 4);
  CHECK_THAT(torn.err, Contains("1 of 2 were refused"));
  CHECK_THAT(torn.out, Contains("0001.png"));

  const Outcome resumed = run({"train", "--config", p.config, "--out", p.net, "--resume", "--set",
                               "train.max_steps=9", "--allow-change", "train.max_steps"});
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK_THAT(resumed.err, Contains("resumed at step 6"));
}

TEST_CASE("classification: weights without names have numbers, or the names of a file") {
  const TemporaryFolder folder;
  const train::Config config = train::parse_config(
      R"({"model": {"name": "resnet18", "num_classes": 3, "width_multiplier": 0.0625}, "eval": {"short_side": 32, "crop": 28}})",
      "test", {});
  write_safetensors(folder / "net.safetensors", layers::state_dict(*nets::make_model(config.model, 1)));
  write_text(folder / "config.json", train::to_json(config));
  REQUIRE(run({"data", "make-shapes", "--out", folder / "set", "--folders", "--train", "2", "--val", "2",
               "--size", "40x32", "--classes", "3"})
              .code == 0);
  const std::vector<std::string> command = {"predict",
                                            "--weights",
                                            folder / "net.safetensors",
                                            "--config",
                                            folder / "config.json",
                                            folder / "set/val/circle"};
  const Outcome numbers = run(command);
  CAPTURE(numbers.err);
  REQUIRE(numbers.code == 0);
  CHECK_THAT(numbers.err, Contains("has no class names"));
  CHECK_THAT(numbers.out, Contains("class2"));
  write_text(folder / "names.txt", "tench\r\ngoldfish\ngreat white shark\n");
  std::vector<std::string> named = command;
  named.insert(named.end(), {"--class-names", folder / "names.txt"});
  const Outcome names = run(named);
  REQUIRE(names.code == 0);
  CHECK_THAT(names.out, Contains("great white shark"));
  write_text(folder / "names.txt", "tench\n");
  const Outcome few = run(named);
  CHECK(few.code == 4);
  CHECK_THAT(few.err, Contains("Got 1 line"));
}

TEST_CASE("classification: options that it cannot use are refused, and data check finds what is wrong") {
  const Project p;
  REQUIRE(p.train().code == 0);
  const std::string image = p.set + "/val/square/0001.png";
  const Outcome sliding = run({"predict", "--weights", p.net, "--sliding", "64x64", image});
  CHECK(sliding.code == 2);
  CHECK_THAT(sliding.err, Contains("semantic models"));
  CHECK(run({"predict", "--weights", p.net, "--resume", image}).code == 2);
  const Outcome small = run({"predict", "--weights", p.net, "--set", "eval.crop=16", image});
  CHECK(small.code == 4);
  CHECK_THAT(small.err, Contains("exactly 28x28 pixels. Got 16x16"));
  const Outcome checked = run({"data", "check", "--config", p.config});
  CHECK(checked.code == 0);
  CHECK_THAT(checked.out, Contains("0 errors"));
  write_text(p.set + "/train/circle/torn.png", "\x89PNG\r\n\x1a\n");
  const Outcome faulty = run({"data", "check", "--dataset", "folders", "--root", p.set});
  CHECK(faulty.code == 4);
  CHECK_THAT(faulty.out, Contains("torn.png"));
  CHECK(run({"data", "show", "--config", p.config, "--split", "val", "--out", p.folder.path("look")}).code ==
        0);
  CHECK_THAT(run({"data", "sets"}).out, Contains("classification data sets"));
}
