// `atrous train` and `atrous data` on a generated set of small pictures: files, JSON and exit codes.
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/safetensors.h"
#include "data/image_io.h"
#include "tests/cli/program.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

namespace {

struct Project {
  TemporaryFolder folder;
  std::string shapes = folder.path("shapes");
  std::string config = folder.path("config.json");
  std::string out = folder.path("run");

  Project() {
    const Outcome o = run({"data", "make-shapes", "--out", shapes, "--train", "4", "--val", "2", "--size",
                           "32x48", "--classes", "3", "--seed", "5"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    write_text(
        config,
        nlohmann::json{{"model", {{"name", "unet"}, {"num_classes", 3}, {"base_width", 4}, {"depth", 2}}},
                       {"data", {{"dataset", "shapes"}, {"root", shapes}, {"batch_size", 2}}},
                       {"train", {{"max_steps", 3}, {"log_every", 1}, {"checkpoint_every", 1}}}}
            .dump());
  }
  std::vector<std::string> train(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"train", "--config", config, "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

}  // namespace

TEST_CASE("train: a run leaves its files and reports as JSON; the checkpoint scores and predicts") {
  const Project p;
  const Outcome o = run(p.train({"--json", "-"}));
  INFO(o.err);
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  for (const char* key : {"schema", "device", "math", "steps", "best_miou", "last_loss", "interrupted",
                          "signal", "timed_out", "expectation_met", "parameters", "peak_memory_bytes"}) {
    CAPTURE(key);
    CHECK(j.contains(key));
  }
  CHECK(j["steps"] == 3);
  CHECK(j["interrupted"] == false);
  for (const char* file : {"config.json", "metrics.jsonl", "best.json", "report.html",
                           "checkpoints/last.safetensors", "checkpoints/best.safetensors"}) {
    CAPTURE(file);
    CHECK(std::filesystem::is_regular_file(p.out + "/" + file));
  }
  CHECK(run({"eval", "--weights", p.out + "/checkpoints/best.safetensors"}).code == 0);
  CHECK(run({"predict", "--weights", p.out + "/checkpoints/best.safetensors", "--out",
             p.folder.path("pictures"), p.shapes + "/images/val_0000.png"})
            .code == 0);
  // Going on where nothing is left to do is no error; a second run in the same folder is.
  const Outcome done = run(p.train({"--resume", "--json", "-"}));
  CHECK(done.code == 0);
  CHECK(nlohmann::json::parse(done.out)["last_loss"].is_null());
  CHECK_THAT(done.err, Contains("the run was already complete"));
  CHECK(run(p.train()).code == 2);
}

TEST_CASE("train: the config that `train --help` names runs") {
  const TemporaryFolder folder;
  const std::string shapes = folder.path("shapes");
  REQUIRE(
      run({"data", "make-shapes", "--out", shapes, "--train", "4", "--val", "1", "--size", "32x32"}).code ==
      0);
  const Outcome o =
      run({"train", "--config", std::string(ATROUS_SOURCE_DIR) + "/configs/smoke/unet_shapes.json", "--out",
           folder.path("run"), "--set", "data.root=" + shapes, "--set", "train.max_steps=2"});
  INFO(o.err);
  CHECK(o.code == 0);
}

TEST_CASE("train: configs, data and expectations end with codes of their own") {
  const Project p;
  CHECK(run({"train"}).code == 2);
  CHECK(run({"train", "--config", p.config}).code == 2);  // no --out
  CHECK(run({"train", "--config", p.folder.path("none.json"), "--out", p.out}).code == 3);
  Outcome o = run(p.train({"--set", "model.nmae=unet"}));
  CHECK(o.code == 3);
  CHECK_THAT(o.err, Contains("did you mean \"name\""));
  CHECK(run(p.train({"--set", "train.max_steps=many"})).code == 3);
  CHECK(run(p.train({"--set", "data.root=" + p.folder.path("nowhere")})).code == 4);
  CHECK_FALSE(std::filesystem::exists(p.out + "/checkpoints/last.safetensors"));
  o = run({"train", "--config", p.config, "--dry-run"});
  CHECK(o.code == 0);
  CHECK_THAT(o.out, Contains("dry run"));
  o = run({"train", "--config", p.config, "--print-config"});
  CHECK(o.code == 0);
  CHECK(nlohmann::json::parse(o.out)["train"]["max_steps"] == 3);
  auto hopeful = nlohmann::json::parse(read_text(p.config));
  hopeful["expected"] = {{"miou", {0.999, 0.0}}};
  write_text(p.config, hopeful.dump());
  // A file in the folder that the run will make is welcome.
  CHECK(run(p.train({"--json", p.out + "/result.json"})).code == 1);
  CHECK(nlohmann::json::parse(read_text(p.out + "/result.json"))["expectation_met"] == false);
  CHECK_THAT(read_text(p.out + "/report.html"), Contains("not reached"));
}

TEST_CASE("train: results that could not be written are told before the run") {
  const Project p;
  for (const std::string& path : {p.folder.path("none/result.json"), p.shapes}) {
    CAPTURE(path);
    const Outcome o = run(p.train({"--json", path}));
    CHECK(o.code == 8);
    CHECK_THAT(o.err, Contains("[--json] the file must be writable") && Contains(path));
    CHECK_FALSE(std::filesystem::exists(p.out));
  }
}

TEST_CASE("train: NaN ends with exit code 7") {
  const Project p;
  const Tensor images = Tensor::full({2, 1, 3, 8, 8}, 0.5);
  images.data<float>()[3 * 64 + 5] = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(p.folder.path("batches"),
                    {{"images", images}, {"labels", Tensor::zeros({2, 1, 8, 8}, DType::u8)}});
  const Outcome o =
      run(p.train({"--set", "data.dataset=tensors", "--set", "data.root=" + p.folder.path("batches"), "--set",
                   "data.batch_size=1", "--set", "train.max_steps=2"}));
  CHECK(o.code == 7);
  CHECK_THAT(o.err, Contains("NaN"));
}

TEST_CASE("train: a signal saves and ends with 128 + n; --resume goes on") {
  const Project p;
  const auto when_it_trains = [&](int child) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (read_text(p.out + "/metrics.jsonl").empty() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ::kill(child, SIGTERM);
  };
  const Outcome o = run(p.train({"--set", "train.max_steps=1000000"}), {}, "", when_it_trains);
  INFO(o.err);
  REQUIRE(o.code == 128 + SIGTERM);
  CHECK(std::filesystem::is_regular_file(p.out + "/checkpoints/last.safetensors"));
}

TEST_CASE("train: a signal ends a dry run at once") {
  const Project p;
  // A step of minutes, so that a handler that waits for its end would be noticed.
  const auto while_it_computes = [&](int child) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    ::kill(child, SIGTERM);
  };
  const auto start = std::chrono::steady_clock::now();
  const Outcome o = run({"train", "--config", p.config, "--dry-run", "--set", "data.image_height=1024",
                         "--set", "data.image_width=1024", "--set", "model.base_width=16"},
                        {"ATROUS_IMPL=conv2d:ref"}, "", while_it_computes);
  INFO(o.err);
  CHECK(o.code == 128 + SIGTERM);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("train: a run that is refused leaves no folder behind") {
  const Project p;
  const Outcome math = run(p.train({"--set", "math=tf32"}));
  CHECK(math.code == 3);
  CHECK_THAT(math.err, Contains("the CPU has f32 and bf16") && Contains("--set math=f32 or bf16."));
  CHECK_THAT(run(p.train({"--set", "math=tf32", "--resume"})).err,
             Contains("--set math=f32 --allow-change math"));
  CHECK(run(p.train({"--device", "sim"}), {"ATROUS_SIM_MEMORY=0"}).code == 2);
  CHECK(run(p.train({"--set", "data.root=" + p.folder.path("nowhere")})).code == 4);
  CHECK_FALSE(std::filesystem::exists(p.out));
  // What was there before stays.
  const std::string inner = p.out + "/a/b";
  std::filesystem::create_directories(p.out);
  CHECK(run({"train", "--config", p.config, "--out", inner, "--set", "data.root=" + p.folder.path("nowhere")})
            .code == 4);
  CHECK(std::filesystem::is_empty(p.out));
}

TEST_CASE(
    "train on a simulated GPU in tf32: records device and math; the CPU scores it in f32, with a note") {
  const Project p;
  const Outcome o =
      run(p.train({"--device", "sim", "--set", "math=tf32", "--set", "train.max_steps=1", "--json", "-"}));
  INFO(o.err);
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  CHECK(j["device"] == "sim");
  CHECK(j["math"] == "tf32");
  CHECK_THAT(o.err, Contains("on sim with math tf32"));
  CHECK_THAT(read_text(p.out + "/metrics.jsonl"), Contains("\"device\":\"sim\""));
  CHECK_THAT(read_text(p.out + "/report.html"), Contains("<td>sim</td>") && Contains("<td>tf32</td>"));
  const std::string weights = p.out + "/checkpoints/best.safetensors";
  const Outcome scored = run({"eval", "--weights", weights, "--json", "-"});
  INFO(scored.err);
  REQUIRE(scored.code == 0);
  CHECK_THAT(scored.err, Contains("note: trained with math tf32; the CPU computes in f32"));
  CHECK(nlohmann::json::parse(scored.out)["device"] == "cpu");
  CHECK(nlohmann::json::parse(scored.out)["math"] == "f32");
  CHECK(run({"predict", "--weights", weights, "--out", p.folder.path("pictures"),
             p.shapes + "/images/val_0000.png"})
            .code == 0);
  const Outcome small = run({"eval", "--weights", weights, "--device", "sim"}, {"ATROUS_SIM_MEMORY=1000"});
  CHECK(small.code == 6);
  CHECK_THAT(small.err, Contains("device sim has no memory left") && Contains("--sliding"));
  // Going on with it on the CPU is possible as well, if it is meant.
  CHECK(run(p.train({"--resume", "--set", "math=f32", "--allow-change", "math", "--set", "train.max_steps=2",
                     "--allow-change", "train.max_steps"}))
            .code == 0);
  CHECK_THAT(read_text(p.out + "/metrics.jsonl"),
             Contains("\"device\":\"sim\"") && Contains("\"device\":\"cpu\""));
  // Who asks for it is refused.
  CHECK(run({"eval", "--weights", weights, "--set", "math=tf32"}).code == 3);
  CHECK(run({"eval", "--weights", weights, "--config", p.config, "--set", "math=tf32"}).code == 3);
}

TEST_CASE("train on the CPU in bf16, resume, and what scores the run") {
  const Project p;
  const std::vector<std::string> bf16 = {"--set", "math=bf16", "--set", "train.max_steps=2", "--json", "-"};
  const Outcome o = run(p.train(bf16));
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(nlohmann::json::parse(o.out)["math"] == "bf16");
  CHECK_THAT(o.err, Contains("on cpu with math bf16"));
  CHECK(run(p.train({"--resume", "--set", "math=bf16", "--set", "train.max_steps=3", "--allow-change",
                     "train.max_steps"}))
            .code == 0);
  const std::string weights = p.out + "/checkpoints/best.safetensors";
  const Outcome scored = run({"eval", "--weights", weights, "--json", "-"});
  REQUIRE(scored.code == 0);
  CHECK(nlohmann::json::parse(scored.out)["math"] == "bf16");
  const Outcome exact = run({"eval", "--weights", weights, "--set", "math=f32", "--json", "-"});
  REQUIRE(exact.code == 0);
  CHECK(nlohmann::json::parse(exact.out)["math"] == "f32");
}

TEST_CASE("ATROUS_IMPL and ATROUS_VALIDATE on a whole run") {
  const Project p;
  const std::vector<std::string> dry = {"train", "--config", p.config, "--dry-run"};
  Outcome o = run(dry, {"ATROUS_IMPL=conv2d:nope"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("[conv2d.forward] has no implementation \"nope\" on cpu; it has ") &&
                        Contains("ref. Force one of these") && !Contains("another one is forced"));
  CHECK(run(dry, {"ATROUS_IMPL=conv2d:ref"}).code == 0);
  o = run(dry, {"ATROUS_VALIDATE=ref"});
  CHECK(o.code == 0);
  CHECK_THAT(o.err, Contains("ATROUS_VALIDATE=ref: ") && Contains(" calls of ops") &&
                        Contains("agree with the reference"));
  // Transposed convolutions inherit the arithmetic of the convolutions that they call.
  std::vector<std::string> bf16 = dry;
  bf16.insert(bf16.end(), {"--set", "math=bf16"});
  o = run(bf16, {"ATROUS_VALIDATE=ref"});
  CHECK(o.code == 0);
  CHECK_THAT(o.err, Contains("agree with the reference"));
}

TEST_CASE("data check and data show take keys of a config without a config") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"}) {
    data::write_png(folder.path(fmt::format("{}.png", name)), striped_picture(8, 9 + (name[0] == 'b'), 3));
    const Tensor label = stripes(8, 9 + (name[0] == 'b'), 2);
    for (int64_t i = 0; i < label.numel(); ++i) label.data<uint8_t>()[i] *= 255;
    data::write_png(folder.path(fmt::format("{}_label.png", name)), label);
  }
  write_text(folder.path("mine.txt"), "a.png a_label.png\n");
  write_text(folder.path("val.txt"), "b.png b_label.png\n");
  const auto check = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"data", "check", "--root", folder.path(), "--classes", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  // The advice of each message, followed.
  Outcome o = check({});
  CHECK(o.code == 4);
  CHECK_THAT(o.out, Contains("data.train_list"));
  o = check({"--set", "data.train_list=mine.txt"});
  CHECK(o.code == 4);
  CHECK_THAT(o.out, Contains("data.label_map=0:0,255:1"));
  o = check({"--set", "data.train_list=mine.txt", "--set", "data.label_map=0:0,255:1"});
  INFO(o.out << o.err);
  CHECK(o.code == 0);
  CHECK_THAT(o.out, Contains("255:class1"));
  CHECK(check({"--label-map", "0:0,255:1", "--set", "data.train_list=mine.txt"}).code == 0);
  o = check(
      {"--set", "data.train_list=mine.txt", "--set", "data.class_names=sky,sea", "--label-map", "0:0,255:1"});
  CHECK_THAT(o.out, Contains("255:sea"));
  o = run({"data", "check", "--set", "data.root=" + folder.path(), "--set", "data.class_names=sky,sea",
           "--set", "data.label_map=0:0,255:1", "--split", "val"});
  CHECK(o.code == 0);
  CHECK_THAT(check({"--set", "data.exfi=ignore"}).err, Contains("did you mean \"exif\""));
  CHECK(check({"--set", "data.exfi=ignore"}).code == 3);
  CHECK(run({"data", "check", "--set", "data.exif=ignore"}).code == 2);
  // A whole section replaces what the options say, as it replaces a section of a file.
  o = run({"data", "check", "--set",
           R"(data={"root": ")" + folder.path() + R"(", "label_map": "0:0,255:1", "train_list": "mine.txt"})",
           "--set", R"(model={"in_channels": 3, "num_classes": 2})"});
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK_THAT(o.out, Contains("255:class1"));
  CHECK(check({"--set", R"(data={"label_map": "0:0,255:1"})"}).code == 2);  // its root is gone
  o = check({"--set", R"(model={"in_channels": 1, "num_classes": 2})", "--set", "data.train_list=mine.txt",
             "--label-map", "0:0,255:1"});
  CHECK(o.code == 4);
  CHECK_THAT(o.out, Contains("channel"));
  CHECK(run({"data", "show", "--root", folder.path(), "--classes", "2", "--set", "data.train_list=mine.txt",
             "--set", "data.label_map=0:0,255:1", "--out", folder.path("look")})
            .code == 0);
  CHECK(std::filesystem::is_regular_file(folder.path("look/000.png")));
}

TEST_CASE("data make-shapes writes a set that data check and data show read") {
  const Project p;
  for (const char* file : {"classes.json", "train.txt", "val.txt", "instances_train.json",
                           "images/train_0003.png", "labels/val_0001.png", "instances/val_0001.png"}) {
    CAPTURE(file);
    CHECK(std::filesystem::is_regular_file(p.shapes + "/" + file));
  }
  CHECK(run({"data", "make-shapes", "--out", p.folder.path("x"), "--size", "32"}).code == 2);
  CHECK(run({"data", "make-shapes", "--out", p.folder.path("x"), "--classes", "9"}).code == 2);
  CHECK_FALSE(std::filesystem::exists(p.folder.path("x")));
  const std::string before = read_text(p.shapes + "/train.txt");
  const Outcome again = run({"data", "make-shapes", "--out", p.shapes, "--train", "1", "--val", "1"});
  CHECK(again.code == 2);
  CHECK_THAT(again.err, Contains("new or empty") && Contains(p.shapes) && Contains("remove this one"));
  CHECK(read_text(p.shapes + "/train.txt") == before);
  Outcome o = run({"data", "check", "--config", p.config, "--json", "-"});
  INFO(o.err);
  CHECK(o.code == 0);
  auto j = nlohmann::json::parse(o.out);
  for (const char* key : {"dataset", "root", "label_map", "classes", "splits", "errors", "warnings"}) {
    CAPTURE(key);
    CHECK(j.contains(key));
  }
  CHECK(j["splits"][0]["images"] == 4);
  CHECK(j["errors"].empty());
  CHECK(run({"data", "check"}).code == 2);
  CHECK(run({"data", "show", "--config", p.config, "--out", p.folder.path("look"), "--count", "2"}).code ==
        0);
  CHECK(std::filesystem::is_regular_file(p.folder.path("look/001.png")));
  // Four panels under headings: dark letters on white, above pictures of 32 x 48.
  const Tensor look = data::read_image(p.folder.path("look/001.png"));
  CHECK(look.dim(0) > 32);
  int64_t ink = 0;
  for (int64_t x = 0; x < look.dim(1); ++x) {
    for (int64_t y = 4; y < 11; ++y) ink += look.data<uint8_t>()[(y * look.dim(1) + x) * 3] == 0;
  }
  CHECK(ink > 100);
  o = run({"data", "show", "--config", p.config, "--out", p.folder.path("look"), "--count", "1"});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("new or empty") && Contains(".png"));
  const std::vector<std::string> objects{"--dataset", "shapes_instances", "--root", p.shapes};
  const auto with_objects = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), objects.begin(), objects.end());
    return run(arguments);
  };
  o = with_objects({"data", "check", "--json", "-"});
  INFO(o.err);
  CHECK(o.code == 0);
  j = nlohmann::json::parse(o.out);
  CHECK(j["splits"][0]["objects"] >= 4);
  CHECK(j["classes"][1]["name"] == "circle");
  CHECK(with_objects({"data", "show", "--out", p.folder.path("objects"), "--count", "2"}).code == 0);
  CHECK(std::filesystem::is_regular_file(p.folder.path("objects/001.png")));
  CHECK_THAT(run({"data", "sets"}).out, Contains("shapes_instances") && Contains("cityscapes"));
  const Tensor wrong = Tensor::full({32, 48}, 77, DType::u8);
  data::write_png(p.shapes + "/labels/train_0001.png", wrong);
  o = run({"data", "check", "--config", p.config, "--json", "-"});
  CHECK(o.code == 4);
  j = nlohmann::json::parse(o.out);
  REQUIRE(!j["errors"].empty());
  CHECK_THAT(j["errors"].dump(), Contains("train_0001") && Contains("77"));
}
