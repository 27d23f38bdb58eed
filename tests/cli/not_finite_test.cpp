// Weights and values that are NaN, Inf or overflow: every command ends with exit code 7 and says where it
// begins.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <limits>

#include "core/safetensors.h"
#include "data/shapes.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/cli/program.h"
#include "train/checkpoint.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float inf_value = std::numeric_limits<float>::infinity();

const char* const mask_rcnn = R"({"model": {"name": "maskrcnn_resnet50_fpn", "num_classes": 3,
  "backbone": "resnet18", "width_multiplier": 0.0625, "detection": {"min_size": [48], "max_size": 96,
  "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_test": 20, "max_detections": 4, "box_score": 0.0}},
  "data": {"dataset": "shapes_instances", "batch_size": 2},
  "train": {"max_steps": 1, "validate_every": 1}, "optimizer": {"lr": 1e-6}})";
const char* const unet = R"({"model": {"name": "unet", "num_classes": 3, "base_width": 4, "depth": 2},
  "data": {"dataset": "shapes"}})";

// Shapes, and a network on them in which tensors can be spoilt.
struct Project {
  TemporaryFolder folder;
  std::string set = folder.path("set"), config = folder.path("config.json"),
              weights = folder.path("net.safetensors");

  explicit Project(const char* text) : text_(text) {
    data::write_shapes(set, {.train = 2, .val = 2, .height = 48, .width = 64, .classes = 3, .seed = 3});
    write_text(config, text);
  }
  // All values of the tensor, or those of one output channel.
  void spoil(const std::string& name, float value, bool first_only = true) const {
    const train::Config c = train::parse_config(text_, "test", {"data.root=" + set});
    const auto network = nets::make_network(c.model, 1);
    bool found = false;
    network->visit([&](const std::string& here, const Variable* parameter, const Tensor* buffer) {
      if (here != name) return;
      const Tensor t = parameter ? parameter->value() : *buffer;
      std::fill_n(t.data<float>(), first_only ? 1 : t.numel(), value);
      found = true;
    });
    REQUIRE(found);
    const std::vector<data::ClassInfo> classes = {{"background", {}}, {"circle", {}}, {"square", {}}};
    train::save_checkpoint(weights, {.config = &c, .classes = &classes, .model = network.get()});
    NamedTensors bare = layers::state_dict(*network);
    write_safetensors(folder.path("bare.safetensors"), bare);
    const Tensor image = Tensor::full({1, 3, 48, 64}, 0.5);
    for (int64_t i = 0; i < image.numel(); ++i) image.data<float>()[i] = static_cast<float>(i % 13) / 13;
    write_safetensors(folder.path("in.safetensors"), {{"input", image}});
  }
  std::vector<std::string> forward() const {
    return {"forward",
            "--config",
            config,
            "--weights",
            weights,
            "--input",
            folder.path("in.safetensors"),
            "--output",
            folder.path("out.safetensors")};
  }
  void fails(const std::vector<std::string>& arguments, const std::string& begins) const {
    const Outcome o = run(arguments);
    CAPTURE(arguments[0], o.out, o.err);
    CHECK(o.code == 7);
    CHECK_THAT(o.err, Contains("must be finite. Got NaN or Inf") && Contains(begins));
  }
  void all_fail(const std::string& begins) const {
    fails({"eval", "--weights", weights}, begins);
    fails({"predict", "--weights", weights, "--out", folder.path("out"), set + "/images/val_0000.png"},
          begins);
    fails(forward(), begins);
    CHECK_FALSE(std::filesystem::exists(folder.path("out.safetensors")));
    CHECK_FALSE(std::filesystem::exists(folder.path("out/predictions.json")));
  }

 private:
  const char* text_;
};

}  // namespace

TEST_CASE("weights of a detector that are NaN end eval, predict and forward with the tensor's name") {
  const Project p(mask_rcnn);
  for (const char* name : {"backbone.body.layer2.0.conv1.weight", "rpn.head.cls_logits.bias",
                           "roi_heads.box_predictor.bbox_pred.weight", "roi_heads.mask_head.2.0.weight",
                           "backbone.body.bn1.running_var"}) {
    p.spoil(name, nan_value);
    p.all_fail(fmt::format("\"{}\"", name));
  }
}

TEST_CASE("finite weights of a detector that overflow: the module where it begins is named") {
  const Project p(mask_rcnn);
  // Boxes are finite, masks are not.
  p.spoil("roi_heads.mask_head.1.0.weight", 3e38f, false);
  p.all_fail("in roi_heads.mask_head.1");
  p.spoil("rpn.head.conv.0.0.weight", 3e38f, false);
  p.all_fail("in rpn.head.conv.0");
  p.spoil("roi_heads.box_head.fc7.weight", 3e38f, false);
  p.all_fail("in roi_heads.box_head.fc7");
}

TEST_CASE("weights of a semantic network that are NaN or overflow end every command the same way") {
  const Project p(unet);
  p.spoil("inc.double_conv.0.weight", inf_value);
  p.all_fail("\"inc.double_conv.0.weight\"");
  p.spoil("outc.conv.weight", 3e38f, false);
  p.all_fail("in outc");
}

TEST_CASE("forward says that an input is not finite") {
  for (const char* text : {mask_rcnn, unet}) {
    const Project p(text);
    p.spoil(text == unet ? "outc.conv.bias" : "rpn.head.conv.0.0.bias", 0.0f);
    REQUIRE(run(p.forward()).code == 0);
    const Tensor image = Tensor::full({1, 3, 48, 64}, 0.5);
    image.data<float>()[777] = nan_value;
    write_safetensors(p.folder.path("in.safetensors"), {{"input", image}});
    p.fails(p.forward(), "input 0 holds NaN or Inf");
  }
}

TEST_CASE("import-weights refuses NaN and Inf by name, and training does not start from them") {
  const Project p(mask_rcnn);
  const std::string name = "roi_heads.mask_predictor.mask_fcn_logits.weight",
                    imported = p.folder.path("imported");
  for (const float value : {nan_value, inf_value, -inf_value}) {
    p.spoil(name, value);
    p.fails({"import-weights", "--config", p.config, "--input", p.folder.path("bare.safetensors"), "--output",
             imported},
            name);
    CHECK_FALSE(std::filesystem::exists(imported));
  }
  p.fails({"train", "--config", p.config, "--set", "data.root=" + p.set, "--set",
           "model.weights=" + p.folder.path("bare.safetensors"), "--out", p.folder.path("run")},
          name);
}

TEST_CASE("a validation whose detector overflows ends training") {
  const Project p(mask_rcnn);
  // The step uses the statistics of its batch; the validation meets the running ones.
  p.spoil("backbone.body.bn1.running_mean", -3e38f, false);
  p.fails({"train", "--config", p.config, "--set", "data.root=" + p.set, "--set",
           "model.weights=" + p.weights, "--out", p.folder.path("run")},
          "in backbone.");
  CHECK_FALSE(std::filesystem::exists(p.folder.path("run/checkpoints/best.safetensors")));
}
