// Every refusal of the config system, with its text.
#include "train/config.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/json_value.h"
#include "nets/factory.h"

using namespace atrous;
using namespace atrous::train;

namespace {

// The message of the Error(config) that `text` gives.
std::string message_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_config(text, "c.json", overrides);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::config);
    return e.what();
  }
  return "no error";
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("a config that holds only model is complete") {
  const Config c = parse_config(R"({"model": {"name": "unet", "num_classes": 11}})", "c.json", {});
  CHECK(c.model.name == "unet");
  CHECK(c.model.num_classes == 11);
  CHECK(c.optimizer.name == OptimizerKind::sgd);
  CHECK(c.train.epochs == 0);
}

TEST_CASE("an unknown key names file, line, path and the nearest key") {
  CHECK(message_of("{\n\"optimizer\": {\n  \"lr\": 0.1,\n  \"momentun\": 0.9}}") ==
        "[config] c.json:4: every key must be known. Got \"optimizer.momentun\" (did you mean "
        "\"momentum\"?). Correct or remove it; docs/config.md lists all keys.");
  CHECK_THAT(message_of("{\"modle\": {}}"), Contains("c.json:1") && Contains("did you mean \"model\"?"));
  CHECK_THAT(message_of("{\"schedule\": {\"zzzzzz\": 1}}"), Contains("known here: name, power, milestones"));
  CHECK_THAT(
      message_of("{\"train\": {\"losses\": [{\"kind\": \"dice\"},\n{\"wieght\": 2}]}}"),
      Contains("c.json:2") && Contains("\"train.losses[1].wieght\"") && Contains("did you mean \"weight\"?"));
  CHECK_THAT(message_of("{\"expected\": {\"miuo\": [0.5, 0.1]}}"), Contains("did you mean \"miou\"?"));
}

TEST_CASE("a value of a wrong type is refused") {
  CHECK(
      message_of("{\n\n\"data\": {\"batch_size\": \"8\"}}") ==
      "[config] c.json:3: data.batch_size must be a whole number. Got the string \"8\". Correct the value.");
  CHECK_THAT(message_of(R"({"data": {"batch_size": 2.5}})"), Contains("must be a whole number. Got 2.5"));
  CHECK_THAT(message_of(R"({"optimizer": {"lr": true}})"),
             Contains("optimizer.lr must be a number. Got true"));
  CHECK_THAT(message_of(R"({"optimizer": {"nesterov": 1}})"), Contains("must be true or false. Got 1"));
  CHECK_THAT(message_of(R"({"optimizer": 5})"), Contains("optimizer must be an object. Got 5"));
  CHECK_THAT(message_of(R"({"model": {"freeze": "backbone."}})"), Contains("must be a list of strings"));
  CHECK_THAT(message_of(R"({"expected": {"miou": [0.5]}})"), Contains("must be a pair [value, tolerance]"));
  CHECK_THAT(message_of("[1]"), Contains("the config must be an object. Got a list of 1"));
  CHECK_THAT(message_of("null"), Contains("the config must be an object. Got null"));
}

TEST_CASE("a value out of range is refused with the range") {
  CHECK(message_of("{\"data\": {\"workers\": -1}}") ==
        "[config] c.json:1: data.workers must be 0 to 256. Got -1. Correct the value.");
  CHECK_THAT(message_of(R"({"optimizer": {"lr": 0}})"), Contains("optimizer.lr must be > 0.0. Got 0"));
  CHECK_THAT(message_of(R"({"optimizer": {"name": "adamv"}})"),
             Contains("one of \"sgd\", \"adam\"") && Contains("did you mean"));
  // Upper ends that the reference does not show.
  CHECK_THAT(message_of(R"({"optimizer": {"lr": 1e300}})"),
             Contains("must be > 0.0 and <= 1e+30. Got 1e+300"));
  CHECK_THAT(message_of("{\"data\": {\"workers\": 300}}"), Contains("must be 0 to 256. Got 300"));
  CHECK_THAT(message_of(R"({"model": {"name": "unett"}})"), Contains("did you mean \"unet\"?"));
  CHECK_THAT(message_of(R"({"eval": {"scales": [1.0, 0]}})"), Contains("eval.scales must be each > 0"));
}

TEST_CASE("a key given twice is refused") {
  CHECK(message_of("{\"seed\": 1,\n\"seed\": 2}") ==
        "[config] c.json:2: each key may be given once. Got \"seed\" again (first at c.json:1). Remove one "
        "of them.");
}

TEST_CASE("hostile JSON is refused") {
  CHECK_THAT(message_of("{\"optimizer\": {\"lr\": NaN}}"),
             Contains("c.json:1") && Contains("must be valid JSON"));
  CHECK_THAT(message_of("{\"optimizer\":\n {\"lr\": 1e999}}"),
             Contains("c.json:2") && Contains("must be finite. Got 1e999"));
  CHECK_THAT(message_of("{\"seed\": 18446744073709551615}"), Contains("must fit in 64 bits"));
  CHECK_THAT(message_of(std::string(100000, '[')), Contains("nested 32 deep"));
  CHECK_THAT(message_of(std::string(5 << 20, ' ')), Contains("may have 4194304 bytes. Got 5242880"));
  CHECK_THAT(message_of(""), Contains("must be valid JSON"));
  CHECK_THAT(message_of("{\"seed\": 1} x"), Contains("must be valid JSON"));
  CHECK_THAT(message_of("{\"seed\": \"\xff\"}"), Contains("must be valid JSON"));
}

TEST_CASE("rules between fields") {
  CHECK_THAT(message_of(R"({"train": {"epochs": 1, "max_steps": 2}})"),
             Contains("exactly one of train.epochs and train.max_steps"));
  CHECK_THAT(message_of(R"({"augment": {"crop_height": 64}})"), Contains("go together"));
  CHECK_THAT(message_of(R"({"augment": {"scale_min": 2}})"), Contains("must not exceed"));
  CHECK_THAT(message_of(R"({"data": {"mean": [0.5]}})"), Contains("Got 1 for 3 channels"));
  CHECK_THAT(message_of(R"({"model": {"num_classes": 3}, "data": {"class_names": ["a"]}})"),
             Contains("1 names for 3 classes"));
}

TEST_CASE("overrides are read by the type of the field") {
  const std::string text = R"({"train": {"epochs": 3}, "optimizer": {"lr": 1}})";
  const Config c =
      parse_config(text, "c.json",
                   {"optimizer.lr=0.5", "data.root=123", "data.class_names=road,sky", "model.num_classes=2",
                    "eval.scales=0.5,1,2", "schedule.name=step", "schedule.milestones=[3, 4]",
                    "optimizer.nesterov=true", "train.max_steps=7", R"(train.losses=[{"kind": "dice"}])",
                    R"(expected={"miou": [0.5, 0.1]})", "seed=9"});
  CHECK(c.optimizer.lr == 0.5);
  CHECK(c.data.root == "123");
  CHECK(c.data.class_names == std::vector<std::string>{"road", "sky"});
  CHECK(c.eval.scales == std::vector<double>{0.5, 1, 2});
  CHECK(c.schedule.milestones == std::vector<int64_t>{3, 4});
  CHECK(c.optimizer.nesterov);
  CHECK(c.train.max_steps == 7);
  CHECK(c.train.epochs == 0);
  CHECK(c.train.losses.at(0).kind == layers::LossKind::dice);
  CHECK(c.expected.at("miou") == std::vector<double>{0.5, 0.1});
  CHECK(c.seed == 9);

  CHECK_THAT(message_of(text, {"optimizer.lrr=1"}),
             Contains("--set optimizer.lrr=1") && Contains("did you mean \"lr\"?"));
  CHECK_THAT(message_of(text, {"optimizer.lr=fast"}),
             Contains("--set optimizer.lr=fast") && Contains("a JSON number"));
  CHECK_THAT(message_of(text, {"optimizer.lr=1e400"}), Contains("a JSON number of at most 1.8e308"));
  CHECK_THAT(message_of(text, {"train.epochs=1e400"}), Contains("a JSON integer of at most 64 bits"));
  CHECK_THAT(message_of(text, {"data.workers=-3"}),
             Contains("--set data.workers=-3: data.workers must be 0 to 256"));
  CHECK_THROWS_WITH(parse_config(text, "c.json", {"nonsense"}), Contains("--set takes key=value"));
}

TEST_CASE("parts of model.weights are set on the command line, beside what the config has") {
  const auto weights = [](const char* model, const std::string& set) {
    const nets::ModelOptions o =
        parse_config(fmt::format(R"({{"model": {{{}}}}})", model), "c.json", {set}).model;
    return o.weights + " and " + o.backbone_weights;
  };
  const char* net = R"("name": "unet", "num_classes": 3, "backbone": "resnet18")";
  const std::string with_file = std::string(net) + R"(, "weights": "a.pth")";
  const std::string with_parts = std::string(net) + R"(, "weights": {"backbone": "b.pth"})";
  CHECK(weights(net, "model.weights.backbone=c.pth") == " and c.pth");
  CHECK(weights(with_file.c_str(), "model.weights.backbone=c.pth") == "a.pth and c.pth");
  CHECK(weights(with_parts.c_str(), "model.weights.model=c.pth") == "c.pth and b.pth");
  CHECK(weights(with_parts.c_str(), "model.weights.backbone=c.pth") == " and c.pth");
  CHECK(weights(with_parts.c_str(), "model.weights=c.pth") == "c.pth and ");
}

TEST_CASE("to_json writes everything and reads back as the same config") {
  const Config c =
      parse_config(R"({"model": {"name": "unet", "num_classes": 2, "freeze": ["a.", "b\"\\"]}, "seed": 77,
      "data": {"class_names": ["k\u00f6nig", "b"], "mean": [0.1, 0.2, 0.30000000000000004]},
      "train": {"epochs": 5, "losses": [{"kind": "focal", "gamma": 1.5}, {"kind": "dice", "weight": 0.1}]},
      "expected": {"miou": [0.6, 0.02]}})",
                   "c.json", {});
  const std::string text = to_json(c);
  const Config again = parse_config(text, "again", {});
  CHECK(to_json(again) == text);
  CHECK(changed_keys(c, again).empty());
  CHECK(again.data.mean.at(2) == 0.30000000000000004);
  CHECK(text.find("\"window_overlap\": 0.5") != std::string::npos);
}

TEST_CASE("changed_keys lists dotted paths") {
  Config a;
  Config b;
  b.optimizer.lr = 0.5;
  b.train.losses.emplace_back();
  CHECK(changed_keys(a, b) == std::vector<std::string>{"optimizer.lr", "train.losses"});
}

TEST_CASE("a CRF behind the network is an optional section") {
  const std::string unet = R"({"model": {"name": "unet", "num_classes": 3)";
  const Config none = parse_config(unet + "}}", "c.json", {});
  CHECK_FALSE(none.model.crf_as_rnn.has_value());
  CHECK_FALSE(parse_config(unet + R"(, "crf_as_rnn": null}})", "c.json", {}).model.crf_as_rnn.has_value());
  const Config some = parse_config(unet + R"(, "crf_as_rnn": {"weights": "diagonal"}},
      "data": {"mean": [0.5, 0.25, 0.75], "std": [0.1, 0.2, 0.4]}})",
                                   "c.json", {"model.crf_as_rnn.iterations=7"});
  REQUIRE(some.model.crf_as_rnn.has_value());
  CHECK(some.model.crf_as_rnn->weights == layers::CrfWeightShape::diagonal);
  CHECK(some.model.crf_as_rnn->iterations == 7);
  CHECK(some.model.crf_as_rnn->bilateral_xy == 160);
  // How images were normalised is known from the data section.
  CHECK(some.model.crf_as_rnn->mean == std::vector<double>{0.5, 0.25, 0.75});
  CHECK(some.model.crf_as_rnn->std[2] == Approx(0.4));
  CHECK(to_json(parse_config(to_json(some), "again", {})) == to_json(some));
  CHECK(to_json(parse_config(to_json(none), "again", {})) == to_json(none));
  CHECK(parse_config(to_json(none), "again", {"model.crf_as_rnn={}"}).model.crf_as_rnn.has_value());
  CHECK_THAT(changed_keys(none, some),
             Catch::Matchers::VectorContains(std::string("model.crf_as_rnn.weights")));
  CHECK(changed_keys(some, some).empty());
  CHECK_THAT(message_of(unet + R"(, "crf_as_rnn": {"iterationz": 3}}})"),
             Contains("model.crf_as_rnn.iterationz") && Contains("did you mean \"iterations\""));
  CHECK_THAT(message_of(unet + R"(, "crf_as_rnn": true}})"), Contains("an object"));
  CHECK_THAT(message_of(unet + R"(, "crf_as_rnn": {"bilateral_rgb": 0}}})"), Contains("must be > 0"));
}

TEST_CASE("a missing config file is named") {
  CHECK_THROWS_WITH(load_config("/nonexistent/c.json", {}), Contains("/nonexistent/c.json"));
  CHECK_THROWS_WITH(load_config("/", {}), Contains("must be a readable file"));
}

TEST_CASE("docs/config.md is what the program says") {
  std::ifstream in(std::string(ATROUS_SOURCE_DIR) + "/docs/config.md");
  std::stringstream text;
  text << in.rdbuf();
  INFO("run: atrous train --config-reference > docs/config.md");
  CHECK(text.str() == config_reference());
}

TEST_CASE("A zero on the command line does not switch off the other length of a run") {
  const char* text = R"({"model": {"name": "unet", "num_classes": 2}, "train": {"epochs": 3}})";
  const Config c = parse_config(text, "test", {"train.max_steps=40", "train.epochs=0"});
  CHECK(c.train.max_steps == 40);
  CHECK(c.train.epochs == 0);
}

TEST_CASE("stored configs of semantic models from before model.detection.exact_scale was on by default") {
  const auto stored = [](const char* name, const char* detection) {
    return fmt::format(R"({{"model": {{"name": "{}", "num_classes": 2, "detection": {{{}}}}}}})", name,
                       detection);
  };
  const char* old = R"("exact_scale": false)";
  const Config semantic = parse_config(stored("unet", old), "test", {});
  CHECK_NOTHROW(nets::build_network(semantic.model));
  CHECK(changed_keys(semantic, parse_config(stored("unet", ""), "test", {})).empty());
  // Other options of detectors stay errors of a user's, and detectors keep the value.
  const std::string strange = stored("unet", R"("max_size": 99)");
  CHECK_THROWS_WITH(parse_config(strange, "test", {}), Contains("model.detection.max_size is an option of"));
  CHECK(nets::build_network(parse_config(strange, "test", {}, ConfigFrom::run).model));
  CHECK_FALSE(parse_config(stored("maskrcnn_resnet50_fpn", old), "test", {}).model.detection.exact_scale);
}

TEST_CASE("an option that a choice does not use is refused by the name of what uses it") {
  CHECK(message_of(R"({"train": {"losses": [{}, {"kind": "dice", "gamma": 3}]}})") ==
        "[config] c.json: train.losses[1].gamma is an option of kind \"focal\". Got 3.0 with kind \"dice\". "
        "Leave it out (the default is 2.0).");
  struct Case {
    const char *section, *text, *path, *wanted;
  };
  const Case cases[] = {
      {"train", R"("losses": [{"kind": "focal", "keep_fraction": 0.5}])", "train.losses[0].keep_fraction",
       R"(kind "bootstrapped")"},
      {"train", R"("losses": [{"min_kept": 9}])", "train.losses[0].min_kept", R"(kind "bootstrapped")"},
      {"train", R"("losses": [{"smooth": 0}])", "train.losses[0].smooth", R"(kind "dice" or "soft_iou")"},
      {"train", R"("losses": [{"squared": true}])", "train.losses[0].squared", R"("dice" or "soft_iou")"},
      {"train", R"("losses": [{"kind": "dice"}], "class_weights": "1,2")", "train.class_weights",
       R"(kind "cross_entropy" or "bootstrapped" or "focal")"},
      {"train", R"("aux_weight": 1)", "train.aux_weight", "an auxiliary head"},
      {"optimizer", R"("name": "adam", "momentum": 0.5)", "optimizer.momentum", R"(name "sgd" or "rmsprop")"},
      {"optimizer", R"("name": "rmsprop", "nesterov": true)", "optimizer.nesterov", R"(name "sgd")"},
      {"optimizer", R"("beta1": 0.5)", "optimizer.beta1", R"(name "adam" or "adamw")"},
      {"optimizer", R"("beta2": 0.5)", "optimizer.beta2", R"(name "adam" or "adamw")"},
      {"optimizer", R"("eps": 0.5)", "optimizer.eps", R"(name "adam" or "adamw" or "rmsprop")"},
      {"optimizer", R"("name": "adamw", "alpha": 0.5)", "optimizer.alpha", R"(name "rmsprop")"},
      {"schedule", R"("power": 2)", "schedule.power", R"(name "poly")"},
      {"schedule", R"("name": "poly", "milestones": [3])", "schedule.milestones", R"(name "step")"},
      {"schedule", R"("name": "cosine", "gamma": 0.5)", "schedule.gamma", R"(name "step")"},
      {"schedule", R"("name": "step", "min_lr": 0.5)", "schedule.min_lr",
       R"(name "poly" or "cosine" or "exponential")"},
      {"schedule", R"("warmup_factor": 0.5)", "schedule.warmup_factor", "warm-up"},
      {"augment", R"("scale_to_crop": true)", "augment.scale_to_crop", "a random crop"},
      {"augment", R"("elastic_grid": 5)", "augment.elastic_grid", "elastic deformation"},
      {"data", R"("dataset": "camvid", "train_list": "a")", "data.train_list", "with lists"},
      {"data", R"("dataset": "coco", "label_map": "1:0")", "data.label_map", "label maps"},
      {"data", R"("dataset": "coco", "map_unknown_to_ignore": true)", "data.map_unknown_to_ignore", "label"},
      {"data", R"("category_ids": "raw")", "data.category_ids", "COCO annotations"},
      {"data", R"("dataset": "nuclei", "crowds": "objects")", "data.crowds", "COCO annotations"},
      {"data", R"("keep_empty_images": true)", "data.keep_empty_images", "instance sets"},
      {"data", R"("aspect_ratio_bins": 3)", "data.aspect_ratio_bins", "instance sets"},
      {"data", R"("dataset": "tensors", "exif": "ignore")", "data.exif", "image files"},
      {"data", R"("dataset": "tensors", "class_map": ["a:b"])", "data.class_map", "image files"},
      {"eval", R"("min_score": 0.7)", "eval.min_score", "detection (instance) models"},
      {"model", R"("detection": {"roi_op": "pool", "aligned": true})", "model.detection.aligned",
       R"(roi_op "align")"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const std::string text = fmt::format(R"({{"{}": {{{}}}}})", c.section, c.text);
    CHECK_THAT(message_of(text),
               Contains(fmt::format("c.json: {} is an option of", c.path)) && Contains(c.wanted));
    // A program that ignored it may have stored it with a run.
    Config stored;
    REQUIRE_NOTHROW(stored = parse_config(text, "c.json", {}, ConfigFrom::run));
    CHECK_NOTHROW(parse_config(to_json(stored), "again", {}));
  }
}

TEST_CASE("an option that the network or the data set does not use is refused by every reader of a config") {
  const std::string detector = R"("model": {"name": "maskrcnn_resnet50_fpn", "num_classes": 2})";
  const std::string tensors = R"("data": {"dataset": "tensors"})";
  const std::string semantic = "semantic models. Got", image_files = "data sets of image files. Got",
                    validation = "runs with validation. Got";
  const std::string layers =
      R"("model": {"name": "layers", "num_classes": 2, "layer_list": [{"kind": "conv"}]})";
  struct Case {
    std::string config, set, path, wanted, got;
  };
  const std::string on_mask = "with model.name \"maskrcnn_resnet50_fpn\"",
                    on_tensors = "with data.dataset \"tensors\"";
  const std::vector<Case> cases = {
      {detector, "data.mean=0.5,0.5,0.5", "data.mean", semantic, on_mask},
      {detector, "data.std=0.5,0.5,0.5", "data.std", semantic, on_mask},
      {detector, "data.label_map=identity", "data.label_map", semantic, on_mask},
      {detector, R"(train.losses=[{"kind": "dice"}])", "train.losses", semantic, on_mask},
      {detector, "train.class_weights=median_frequency", "train.class_weights", semantic, on_mask},
      {detector, "eval.scales=1,2", "eval.scales", semantic, on_mask},
      {detector, "eval.flip=true", "eval.flip", semantic, "Got true " + on_mask},
      {detector, R"(eval={"window_height": 64, "window_width": 64})", "eval.window_height", semantic,
       on_mask},
      {detector, "eval.window_overlap=0.25", "eval.window_overlap", semantic, on_mask},
      {detector, "eval.window_blend=mean", "eval.window_blend", semantic, on_mask},
      {detector, "eval.crf.enabled=true", "eval.crf.enabled", semantic, on_mask},
      {detector, "eval.crf.iterations=3", "eval.crf.iterations", semantic, on_mask},
      {tensors, "augment.rotate_degrees=30", "augment.rotate_degrees", image_files, "30.0 " + on_tensors},
      {tensors, "augment.flip_horizontal=0.5", "augment.flip_horizontal", image_files, on_tensors},
      {tensors, R"(augment={"crop_height": 16, "crop_width": 16, "scale_to_crop": true})",
       "augment.crop_height", image_files, on_tensors},
      {tensors, "data.workers=3", "data.workers", image_files, on_tensors},
      {tensors, "data.cache_mb=3", "data.cache_mb", image_files, on_tensors},
      {tensors, "train.sample_images=2", "train.sample_images", validation, on_tensors},
      {tensors, "train.validate_every=2", "train.validate_every", validation, on_tensors},
      {tensors, "train.patience=2", "train.patience", validation, on_tensors},
      {layers, "model.norm=group", "model.norm", "networks with norm layers",
       "with no layer of kind \"norm\""},
      {layers, "model.depth=3", "model.depth", "network \"unet\". Got", "3 with network \"layers\""},
      {layers, "model.rates=2", "model.rates", "or \"deeplabv1\" or", "[2] with network \"layers\""},
      {layers, "model.attention=se", "model.attention", "network \"unet with a backbone\".", "\"se\" with"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.config, c.set);
    const std::string text = "{" + c.config + "}";
    CHECK_NOTHROW(parse_config(text, "c.json", {}));
    const std::string message = message_of(text, {c.set});
    CHECK_THAT(message, Contains("[config] c.json: " + c.path + " is an option of") && Contains(c.wanted) &&
                            Contains(c.got) && Contains(". Leave it out (the default is "));
    CHECK(message_of(text, {}) == "no error");
    // An override is refused even in a stored config, whose own unused options are reset.
    CHECK_THROWS_WITH(parse_config(text, "c.json", {c.set}, ConfigFrom::run), Contains(c.path));
    const std::string stored = to_text(config_json(text, "c.json", {c.set}));
    Config run;
    REQUIRE_NOTHROW(run = parse_config(stored, "c.json", {}, ConfigFrom::run));
    CHECK(to_json(run) == to_json(parse_config(text, "c.json", {})));
  }
  CHECK_THAT(message_of("{" + detector + "}", {"data.mean=0.5,0.5,0.5"}),
             Contains("(the default is []) and set model.detection.mean."));
}

TEST_CASE("options that are used in part of a config's commands are taken") {
  // `predict` with a checkpoint of given batches normalises images and may average passes over them.
  CHECK_NOTHROW(parse_config(
      R"({"data": {"dataset": "tensors", "mean": [0, 0, 0], "std": [1, 1, 1], "batch_size": 2},
          "eval": {"flip": true}})",
      "c.json", {}));
  for (const char* layer : {R"({"kind": "norm"}, )", ""}) {
    CHECK_NOTHROW(parse_config(fmt::format(R"({{"model": {{"name": "layers", "num_classes": 2, "norm": "{}",
                    "layer_list": [{}{{"kind": "conv"}}]}}}})",
                                           *layer ? "group" : "none", layer),
                               "c.json", {}));
  }
}

TEST_CASE("an option that a stored config holds in vain is dropped, unless an override gives it") {
  const char* text = R"({"optimizer": {"name": "adam", "momentum": 0.5, "beta1": 0.8}})";
  const Config run = parse_config(text, "run", {}, ConfigFrom::run);
  CHECK(run.optimizer.momentum == OptimizerOptions{}.momentum);
  CHECK(run.optimizer.beta1 == 0.8);
  CHECK(parse_config(text, "run", {"optimizer.name=rmsprop"}, ConfigFrom::run).optimizer.momentum == 0.5);
  CHECK_THROWS_WITH(parse_config(text, "run", {"optimizer.momentum=0.6"}, ConfigFrom::run),
                    Contains("optimizer.momentum is an option of name \"sgd\" or \"rmsprop\". Got 0.6"));
  CHECK_THROWS_WITH(
      parse_config(text, "run", {R"(optimizer={"name": "adam", "momentum": 0.6})"}, ConfigFrom::run),
      Contains("optimizer.momentum"));
}

TEST_CASE("options that a choice uses are taken, and defaults of others are no options set") {
  const Config c = parse_config(
      R"({"optimizer": {"name": "rmsprop", "momentum": 0.5, "alpha": 0.9, "beta1": 0.9},
          "schedule": {"name": "poly", "power": 2, "min_lr": 0.1, "gamma": 0.1},
          "train": {"losses": [{"kind": "focal", "gamma": 3}, {"kind": "soft_iou", "smooth": 0}]},
          "model": {"name": "unet", "backbone": "resnet18", "stem": "", "backbone_norm": "group"}})",
      "c.json", {});
  CHECK(c.optimizer.name == OptimizerKind::rmsprop);
  CHECK(c.schedule.name == ScheduleKind::poly);
  CHECK(c.train.losses.at(0).gamma == 3);
  CHECK_FALSE(c.model.stem.has_value());
  CHECK(c.model.backbone_norm == layers::NormKind::group);
  CHECK(to_json(parse_config(to_json(c), "again", {})) == to_json(c));
}
