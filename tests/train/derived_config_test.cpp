// Configs of weights without one: what names, shapes and a hub's config.json say, and what contradicts them.
#include "train/derived_config.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/hub_config.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

// The names and shapes of a network, in a folder with or without a hub's config.
struct Weights {
  TemporaryFolder folder;
  TensorFile file;
  explicit Weights(const std::string& model) {
    const layers::BuildDeviceGuard on_meta(Device::meta);
    const auto network = nets::build_network(parse_config("{\"model\": " + model + "}", "test", {}).model);
    network->visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
      const Shape& s = parameter ? parameter->value().shape() : buffer->shape();
      file.tensors.emplace_back(
          name, Tensor::empty(s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s, DType::f32, Device::meta));
    });
    std::filesystem::create_directories(folder / "hub");
  }
  std::string path() const { return folder / "hub/model.safetensors"; }
  DerivedConfig derive(const std::string& hub = "", const std::vector<std::string>& set = {}) const {
    std::filesystem::remove(folder / "hub/config.json");
    if (!hub.empty()) std::ofstream(folder / "hub/config.json") << hub;
    return derive_config(file, path(), set);
  }
  std::string refusal(const std::string& hub) const {
    const Error e = error_of([&] { derive(hub); });
    CHECK(e.kind() == ErrorKind::checkpoint);
    return e.what();
  }
};

bool notes_have(const DerivedConfig& derived, const std::string& text) {
  return std::ranges::any_of(derived.notes,
                             [&](const std::string& note) { return note.find(text) != std::string::npos; });
}

const char* const smp_v3 =
    R"({"name": "deeplabv3", "form": "smp", "backbone": "resnet18", "num_classes": 4})";

}  // namespace

TEST_CASE("a config is derived from names and shapes, and what they do not tell is said") {
  const DerivedConfig voc =
      Weights(R"({"name": "deeplabv3_resnet50", "num_classes": 21, "aux_loss": true})").derive();
  CHECK(voc.config.model.name == "deeplabv3_resnet50");
  CHECK(voc.config.model.aux_loss);
  REQUIRE(voc.classes.size() == 21);
  CHECK(voc.classes[15].name == "person");
  CHECK(voc.classes[15].color == std::array<uint8_t, 3>{192, 128, 128});
  CHECK(notes_have(voc, "assumed to be those of voc2012"));
  CHECK(notes_have(voc, "ImageNet's"));

  const DerivedConfig coco = Weights(R"({"name": "fasterrcnn_resnet50_fpn", "num_classes": 91})").derive();
  REQUIRE(coco.classes.size() == 91);
  CHECK(coco.classes[0].name == "background");
  CHECK(coco.classes[1].name == "person");
  CHECK(coco.classes[47].name == "cup");  // as COCO's files number them
  CHECK(coco.classes[90].name == "toothbrush");
}

TEST_CASE("names of data sets are not given to classifiers, nor a softmax to a single output") {
  CHECK(Weights(R"({"name": "resnet18", "num_classes": 150})").derive().classes.empty());
  CHECK_THAT(Weights(R"({"name": "unet", "backbone": "resnet18", "num_classes": 1})").refusal(""),
             Contains("must be for two classes or more"));
}

TEST_CASE("EfficientNet-Lite is normalised as TensorFlow's; a timm config says its form, view and names") {
  const Weights lite(R"({"name": "efficientnet_lite0", "num_classes": 3})");
  CHECK(lite.derive().config.data.mean == std::vector<double>{0.5, 0.5, 0.5});
  const DerivedConfig timm =
      lite.derive(R"({"architecture": "efficientnet_lite0", "num_classes": 3, "pretrained_cfg":
      {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "input_size": [3, 260, 260], "crop_pct": 0.9,
       "label_names": ["cat", "dog", "fox"]}})");
  CHECK(timm.config.model.conv_padding == nets::ConvPadding::symmetric);
  CHECK(timm.config.model.norm_eps == 1e-5);
  CHECK(timm.config.data.mean == std::vector<double>{0.4, 0.5, 0.6});
  CHECK(timm.config.data.std == std::vector<double>{0.2, 0.3, 0.25});
  CHECK(timm.config.eval.crop == 260);
  CHECK(timm.config.eval.short_side == 288);
  REQUIRE(timm.classes.size() == 3);
  CHECK(timm.classes[2].name == "fox");
  CHECK(notes_have(timm, "from the config.json beside it: mean 0.4, 0.5, 0.6"));
  const DerivedConfig tf = lite.derive(R"({"architecture": "tf_efficientnet_lite0"})");
  CHECK(tf.config.model.conv_padding == nets::ConvPadding::tensorflow);
  CHECK(tf.config.model.norm_eps == 1e-3);
  CHECK_FALSE(notes_have(tf, "assumed: model.conv_padding"));
}

TEST_CASE("segmentation_models_pytorch's config gives stride and rates") {
  const DerivedConfig derived =
      Weights(smp_v3).derive(R"({"_model_class": "DeepLabV3", "encoder_name": "resnet18",
      "classes": 4, "in_channels": 3, "decoder_atrous_rates": [2, 4, 6], "encoder_output_stride": 16})");
  CHECK(derived.config.model.rates == std::vector<int64_t>{2, 4, 6});
  CHECK(derived.config.model.output_stride == 16);
  CHECK_FALSE(notes_have(derived, "output stride"));
  CHECK(notes_have(Weights(smp_v3).derive(), "assumed: the output stride"));
}

TEST_CASE("a hub's config that contradicts the weights is an error with its line") {
  const Weights net(smp_v3);
  const auto in_config = [](const std::string& refusal, const char* text) {
    CHECK_THAT(refusal, Contains("hub/config.json:1"));
    CHECK_THAT(refusal, Contains(text));
  };
  in_config(net.refusal(R"({"encoder_name": "resnet34"})"), "\"encoder_name\" must fit the weights");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "classes": 5})"), "have 4. Got");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "_model_class": "FPN"})"), "_model_class");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "decoder_interpolation": "bilinear"})"),
            "must be \"nearest\"");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "mean": [0.5, "a", 0.5]})"), "3 numbers");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "std": [0, 1, 1]})"), "3 positive numbers");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "id2label": {"0": "a", "1": "b"}})"), "id2label");
  in_config(net.refusal(R"({"encoder_name": "resnet18", "class_names": ["a", 1, "c", "d"]})"),
            "printable text");
  in_config(Weights(R"({"name": "resnet18", "num_classes": 3})")
                .refusal(R"({"architecture": "vit_base_patch16_224"})"),
            "\"architecture\" must fit");
  CHECK_THAT(net.refusal(R"({"model": {"name": "unet"}})"), Contains("Give one with --config, such as"));
}

TEST_CASE("a config.json one folder above is a run's or none") {
  const Weights net(smp_v3);
  std::ofstream(net.folder / "config.json") << R"({"architecture": "resnet18", "mean": [0.1, 0.2, 0.3]})";
  CHECK(net.derive().config.data.mean.empty());
  std::ofstream(net.folder / "config.json") << R"({"model": {"name": "unet"}})";
  CHECK_THAT(net.refusal(""), Contains("Give one with --config, such as"));
}
