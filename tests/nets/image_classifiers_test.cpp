// LeNet-5, AlexNet, GoogLeNet and Inception v3: what their options change, and what they refuse.
#include <catch2/catch.hpp>

#include "nets/factory.h"
#include "tests/core/tensors.h"
#include "train/config.h"

using namespace atrous;
using Catch::Matchers::Contains;
using core_test::difference;
using core_test::noise;

namespace {

nets::ModelOptions options_of(const std::string& model) {
  return train::parse_config("{\"model\": " + model + "}", "test", {}).model;
}

std::vector<std::string> names_of(const layers::Module& model) {
  std::vector<std::string> names;
  for (const layers::NamedParameter& p : model.parameters()) names.push_back(p.name);
  return names;
}

}  // namespace

TEST_CASE("Auxiliary heads of GoogLeNet and Inception v3 run in training only") {
  auto o =
      options_of(R"({"name": "googlenet", "num_classes": 7, "width_multiplier": 0.0625, "aux_loss": true})");
  const auto net = nets::make_model(o, 1);
  const Variable image(noise({2, 33, 40, 3}, 1));
  net->set_random_key({1, 2});
  const layers::SegmentationOutput training = net->forward(image);
  CHECK(training.logits.shape() == Shape{2, 1, 1, 7});
  REQUIRE(training.aux.defined());
  CHECK(training.aux.shape() == Shape{2, 1, 1, 7});
  REQUIRE(training.more_aux.size() == 1);
  CHECK(training.more_aux[0].shape() == Shape{2, 1, 1, 7});
  net->eval();
  CHECK_FALSE(net->forward(image).aux.defined());
  CHECK(net->forward(image).more_aux.empty());

  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto inception = nets::build_model(options_of(
      R"({"name": "inception_v3", "num_classes": 7, "width_multiplier": 0.0625, "aux_loss": true})"));
  const auto pass = [&](int64_t side) {
    return inception->forward(Variable(Tensor::empty({2, side, side, 3}, DType::f32, Device::meta)));
  };
  CHECK(pass(299).aux.shape() == Shape{2, 1, 1, 7});
  CHECK_THROWS_WITH(pass(298), Contains("at least 299x299 pixels. Got 298x298"));
  inception->eval();
  CHECK_FALSE(pass(75).aux.defined());
}

TEST_CASE("transform_input turns ImageNet's normalisation into that by 0.5") {
  auto o = options_of(R"({"name": "googlenet", "num_classes": 5, "width_multiplier": 0.0625})");
  const auto plain = nets::make_model(o, 3);
  o.transform_input = true;
  const auto with = nets::make_model(o, 3);
  plain->eval();
  with->eval();
  const Tensor unit = noise({1, 40, 40, 3}, 5);  // any pixel values
  const Tensor imagenet = unit.clone(), half = unit.clone();
  const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
  for (int64_t i = 0; i < unit.numel(); ++i) {
    const double v = unit.data<float>()[i];
    imagenet.data<float>()[i] = static_cast<float>((v - mean[i % 3]) / std[i % 3]);
    half.data<float>()[i] = static_cast<float>((v - 0.5) / 0.5);
  }
  const Tensor a = with->forward(Variable(imagenet)).logits.value();
  const Tensor b = plain->forward(Variable(half)).logits.value();
  CHECK(difference(a, b) < 1e-5);
  CHECK(difference(plain->forward(Variable(imagenet)).logits.value(), b) > 1e-3);
  o.in_channels = 1;
  CHECK_THROWS_WITH(nets::build_model(o), Contains("[model.transform_input] is for RGB images"));
}

TEST_CASE("Names of AlexNet's two forms") {
  const auto torchvision =
      nets::build_model(options_of(R"({"name": "alexnet", "num_classes": 5, "width_multiplier": 0.03125})"));
  CHECK(names_of(*torchvision) ==
        std::vector<std::string>{
            "features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias",
            "features.6.weight", "features.6.bias", "features.8.weight", "features.8.bias",
            "features.10.weight", "features.10.bias", "classifier.1.weight", "classifier.1.bias",
            "classifier.4.weight", "classifier.4.bias", "classifier.6.weight", "classifier.6.bias"});
  const auto caffe = nets::build_model(
      options_of(R"({"name": "alexnet", "form": "caffe", "num_classes": 5, "width_multiplier": 0.03125})"));
  CHECK(names_of(*caffe).front() == "conv1.weight");
  CHECK(names_of(*caffe).back() == "fc8.bias");
  CHECK_THROWS_WITH(nets::build_model(options_of(R"({"name": "alexnet", "num_classes": 5, "form": "smp"})")),
                    Contains("of alexnet is \"caffe\" or empty. Got \"smp\""));
  CHECK_THROWS_WITH(nets::build_model(options_of(R"({"name": "segnet", "num_classes": 5, "form": "caffe"})")),
                    Contains("Got \"caffe\""));
}

TEST_CASE("Networks that classify images are known by name") {
  for (const char* name : {"resnet18", "vgg16", "lenet5", "alexnet", "googlenet", "inception_v3"}) {
    CHECK(nets::is_classifier(name));
    CHECK_FALSE(nets::is_detector(name));
  }
  for (const char* name : {"unet", "fasterrcnn_vgg16", ""}) CHECK_FALSE(nets::is_classifier(name));
}
