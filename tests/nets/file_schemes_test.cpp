// What a weights file looks like, by names: those of our networks are the names of the programs that they are
// compared with.
#include "nets/file_schemes.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "nets/factory.h"
#include "train/config.h"

using namespace atrous;

namespace {

std::vector<StoredTensor> tensors_of(const nets::ModelOptions& model, const std::string& wrapper = "") {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto network = nets::build_network(model);
  std::vector<StoredTensor> all;
  network->visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Shape& s = parameter ? parameter->value().shape() : buffer->shape();
    StoredTensor& t = all.emplace_back();
    t.name = wrapper + name;
    t.shape.assign(s.begin(), s.end());
    if (s.rank() == 4)
      t.shape = {static_cast<uint64_t>(s[0]), static_cast<uint64_t>(s[3]), static_cast<uint64_t>(s[1]),
                 static_cast<uint64_t>(s[2])};
  });
  return all;
}

std::vector<StoredTensor> tensors_of(const std::string& model, const std::string& wrapper = "") {
  return tensors_of(train::parse_config("{\"model\": " + model + "}", "test", {}).model, wrapper);
}

std::string of(const std::string& model, const std::string& wrapper = "") {
  return nets::describe_scheme(tensors_of(model, wrapper));
}

}  // namespace

TEST_CASE("file schemes: networks are recognised by the names of their tensors") {
  CHECK(of(R"({"name": "resnet18", "num_classes": 10})") ==
        "torchvision or timm classification network, resnet18, 10 classes");
  CHECK(of(R"({"name": "resnet50", "num_classes": 7})") ==
        "torchvision or timm classification network, resnet50, 7 classes");
  CHECK(of(R"({"name": "deeplabv3_resnet101", "num_classes": 21})", "module.") ==
        "torchvision DeepLab v3, resnet101, 21 classes");
  CHECK(of(R"({"name": "maskrcnn_resnet50_fpn", "backbone": "resnet18", "num_classes": 4})") ==
        "torchvision Mask R-CNN, resnet18, 4 classes");
  CHECK(of(R"({"name": "unet", "backbone": "resnet34", "num_classes": 3})") ==
        "segmentation_models_pytorch U-Net, resnet34, 3 classes");
  CHECK(of(R"({"name": "deeplabv3plus", "form": "smp", "backbone": "resnet18", "num_classes": 3})") ==
        "segmentation_models_pytorch DeepLab v3+, resnet18, 3 classes");
  CHECK(of(R"({"name": "deeplabv3", "form": "smp", "backbone": "resnet18", "num_classes": 3})") ==
        "segmentation_models_pytorch DeepLab v3, resnet18, 3 classes");
  CHECK(of(R"({"name": "mobilenet_v2", "num_classes": 9})") ==
        "torchvision MobileNetV2, mobilenet_v2, 9 classes");
  CHECK(of(R"({"name": "vgg16", "num_classes": 2})") == "torchvision VGG, vgg16, 2 classes");
  CHECK(of(R"({"name": "unet", "num_classes": 2, "base_width": 4})") == "U-Net of milesial, 2 classes");
}

TEST_CASE("file schemes: groups make a ResNeXt, and unknown names nothing") {
  CHECK(of(R"({"name": "resnext50_32x4d", "num_classes": 7})") ==
        "torchvision or timm classification network, resnext50_32x4d, 7 classes");
  CHECK(nets::describe_scheme({}).empty());
  StoredTensor other;
  other.name = "weight";
  CHECK(nets::describe_scheme({other}).empty());
}

TEST_CASE("file schemes: the network that a file is for, as options") {
  // Every network that is recognised is built again from what is recognised: with the same tensors.
  for (
      const char* model : {
          R"({"name": "resnet34", "num_classes": 10})",
          R"({"name": "resnext101_32x8d", "num_classes": 3, "in_channels": 4})",
          R"({"name": "vgg19_bn", "num_classes": 3})",
          R"({"name": "resnet50", "num_classes": 7, "width_multiplier": 0.5})",
          R"({"name": "mobilenet_v2", "num_classes": 3})",
          R"({"name": "mobilenet_v3_large", "num_classes": 3})",
          R"({"name": "mobilenet_v3_small", "num_classes": 3})",
          R"({"name": "efficientnet_lite3", "num_classes": 3, "in_channels": 4})",
          R"({"name": "efficientnet_b2", "num_classes": 3})",
          R"({"name": "unet", "backbone": "efficientnet_b1", "num_classes": 3, "in_channels": 1})",
          R"({"name": "deeplabv3plus", "form": "smp", "backbone": "efficientnet_lite1", "num_classes": 3})",
          R"({"name": "deeplabv3_resnet50", "num_classes": 21, "aux_loss": true})",
          R"({"name": "deeplabv3_mobilenet_v3_large", "num_classes": 21})",
          R"({"name": "lraspp_mobilenet_v3_large", "num_classes": 21})",
          R"({"name": "fcn_resnet101", "num_classes": 21, "in_channels": 1})",
          R"({"name": "unet", "backbone": "resnet50", "num_classes": 3})",
          R"({"name": "unet", "backbone": "vgg16_bn", "num_classes": 3, "attention": "scse"})",
          R"({"name": "unet", "backbone": "mobilenet_v2", "num_classes": 3})",
          R"({"name": "deeplabv3plus", "form": "smp", "backbone": "resnet34", "num_classes": 3})",
          R"({"name": "deeplabv3", "form": "smp", "backbone": "resnet18", "num_classes": 3})",
          R"({"name": "pspnet", "form": "smp", "backbone": "resnet18", "num_classes": 3})",
          R"({"name": "pspnet", "backbone": "resnet101", "num_classes": 3, "aux_loss": true})",
          R"({"name": "unet", "num_classes": 2, "base_width": 4})",
          R"({"name": "unet", "num_classes": 2, "base_width": 8, "upsampling": "bilinear"})",
          R"({"name": "maskrcnn_resnet50_fpn", "num_classes": 4})",
          R"({"name": "maskrcnn_resnet50_fpn_v2", "num_classes": 4})",
          R"({"name": "fasterrcnn_resnet50_fpn", "num_classes": 91, "norm": "frozen", "detection": {"backbone_norm_eps": 0}})",
      }) {
    INFO(model);
    const std::vector<StoredTensor> tensors = tensors_of(model, "module.");
    const auto network = nets::recognise(tensors);
    REQUIRE(network);
    REQUIRE(network->model);
    const auto same = [](const StoredTensor& a, const StoredTensor& b) {
      return "module." + a.name == b.name && a.shape == b.shape;
    };
    const std::vector<StoredTensor> again = tensors_of(*network->model);
    CHECK(std::ranges::equal(again, tensors, same));
  }
}

TEST_CASE("file schemes: a backbone with one tensor of another shape is none of ours") {
  std::vector<StoredTensor> tensors = tensors_of(R"({"name": "resnet50", "num_classes": 7})");
  for (StoredTensor& t : tensors) {
    if (t.name == "layer3.4.conv2.weight") t.shape[1] /= 2;
  }
  const auto network = nets::recognise(tensors);
  REQUIRE(network);
  CHECK(network->backbone.empty());
  CHECK_FALSE(network->model);
}
