// What a weights file looks like, by names: those of our networks are the names of the programs that they are
// compared with.
#include "nets/file_schemes.h"

#include <catch2/catch.hpp>

#include "nets/factory.h"
#include "train/config.h"

using namespace atrous;

namespace {

std::vector<StoredTensor> tensors_of(const std::string& model, const std::string& wrapper = "") {
  const auto network =
      nets::build_network(train::parse_config("{\"model\": " + model + "}", "test", {}).model);
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
  CHECK(of(R"({"name": "mobilenet_v2", "num_classes": 9})") == "torchvision MobileNetV2, 9 classes");
  CHECK(of(R"({"name": "vgg16", "num_classes": 2})") == "torchvision VGG, 2 classes");
  CHECK(of(R"({"name": "unet", "num_classes": 2, "base_width": 4})") == "U-Net of milesial, 2 classes");
}

TEST_CASE("file schemes: groups make a ResNeXt, and unknown names nothing") {
  std::vector<StoredTensor> tensors = tensors_of(R"({"name": "resnet50", "num_classes": 7})");
  for (StoredTensor& t : tensors) {
    if (t.name == "layer1.0.conv2.weight") t.shape = {128, 4, 3, 3};
  }
  CHECK(nets::describe_scheme(tensors) ==
        "torchvision or timm classification network, resnext50_32x4d, 7 classes");
  CHECK(nets::describe_scheme({}).empty());
  StoredTensor other;
  other.name = "weight";
  CHECK(nets::describe_scheme({other}).empty());
}
