// What transfer needs: rates that fall through the backbone, a backbone that waits, the mean of the last
// weights.
#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <map>

#include "core/safetensors.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/optimizer.h"
#include "train/parameter_rates.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

const std::string resnet = R"(model={"name": "pspnet", "num_classes": 3, "backbone": "resnet18",
                                     "width_multiplier": 0.0625})";

std::map<std::string, Tensor> tensors_of(const std::string& file) {
  std::map<std::string, Tensor> all;
  for (const auto& [name, tensor] : read_safetensors(file).tensors) all[name] = tensor;
  return all;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.raw(), a.raw() + a.bytes(), b.raw());
}

// The layer of each parameter of a network, by its name.
std::map<std::string, int64_t> layers_of(const std::string& model) {
  const Config config = parse_config("{\"model\": " + model + "}", "test", {});
  const auto network = nets::build_network(config.model);
  const auto parameters = network->parameters();
  const auto layers =
      backbone_layers(parameters, [&](const std::string& name) { return network->in_backbone(name); });
  std::map<std::string, int64_t> by_name;
  for (size_t i = 0; i < parameters.size(); ++i) by_name[parameters[i].name] = layers[i];
  return by_name;
}

}  // namespace

TEST_CASE("layers of a backbone: blocks, and convolutions outside with their norms") {
  auto resnet18 = layers_of(R"({"name": "fcn8s", "num_classes": 2, "backbone": "resnet18"})");
  CHECK(resnet18.at("backbone.conv1.weight") == 0);
  CHECK(resnet18.at("backbone.bn1.weight") == 0);
  CHECK(resnet18.at("backbone.layer1.0.conv1.weight") == 1);
  CHECK(resnet18.at("backbone.layer1.0.bn2.bias") == 1);
  CHECK(resnet18.at("backbone.layer1.1.conv2.weight") == 2);
  CHECK(resnet18.at("backbone.layer2.0.downsample.0.weight") == 3);
  CHECK(resnet18.at("backbone.layer4.1.bn2.weight") == 8);
  int64_t heads = 0;
  for (const auto& [name, layer] : resnet18) heads += layer < 0 && !name.starts_with("backbone.");
  CHECK(heads > 0);

  auto mobilenet = layers_of(R"({"name": "lraspp_mobilenet_v3_large", "num_classes": 2})");
  CHECK(mobilenet.at("backbone.0.0.weight") == 0);
  CHECK(mobilenet.at("backbone.0.1.weight") == 0);
  CHECK(mobilenet.at("backbone.1.block.0.0.weight") == 1);
  CHECK(mobilenet.at("backbone.15.block.3.1.bias") == 15);
  CHECK(mobilenet.at("backbone.16.0.weight") == 16);

  auto vgg = layers_of(R"({"name": "unet", "num_classes": 2, "backbone": "vgg16_bn"})");
  CHECK(vgg.at("encoder.features.0.weight") == 0);
  CHECK(vgg.at("encoder.features.1.weight") == 0);
  CHECK(vgg.at("encoder.features.3.weight") == 1);
  CHECK(vgg.at("encoder.features.40.weight") == 12);
}

TEST_CASE("rates of a backbone fall from its last layer to its first, and groups multiply on top") {
  std::vector<layers::NamedParameter> parameters;
  for (const char* name : {"net.0.weight", "net.0.bias", "net.1.weight", "head.weight"}) {
    const bool vector = std::string(name).ends_with("bias");
    parameters.push_back({name, Variable(Tensor::zeros(vector ? Shape{2} : Shape{1, 2}), true)});
  }
  OptimizerOptions o;
  o.weight_decay = 0.5;
  o.decay_norm_and_bias = false;
  o.backbone_lr_factor = 0.1;
  o.layer_decay = 0.5;
  o.freeze_backbone_steps = 7;
  o.groups = {{"net.1.", "", 3, 2}};
  const auto rates =
      parameter_rates(o, parameters, [](const std::string& name) { return name.starts_with("net."); });
  CHECK(rates[0].lr_factor == Approx(0.1 * 0.25));
  CHECK(rates[0].weight_decay == 0.5);
  CHECK(rates[0].first_step == 7);
  CHECK(rates[1].lr_factor == Approx(0.1 * 0.25));
  CHECK(rates[1].weight_decay == 0);
  CHECK(rates[2].lr_factor == Approx(0.1 * 0.5 * 3));
  CHECK(rates[2].weight_decay == 1);
  CHECK(rates[3].lr_factor == 1);
  CHECK(rates[3].first_step == 0);

  const auto refusal = [&](OptimizerOptions bad) {
    const Error e = error_of([&] { parameter_rates(bad, parameters, nullptr); });
    CHECK(e.kind() == ErrorKind::config);
    return std::string(e.what());
  };
  OptimizerOptions decay, freeze;
  decay.layer_decay = 0.9;
  freeze.freeze_backbone_steps = 3;
  CHECK_THAT(refusal(decay),
             Contains("[optimizer.layer_decay] needs a network with a separate backbone. Got 0.9"));
  CHECK_THAT(refusal(freeze), Contains("[optimizer.freeze_backbone_steps] needs a network with"));
}

TEST_CASE("a backbone does not change, statistics included, before its first step; then all of it does") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::vector<std::string> options = {resnet, "optimizer.freeze_backbone_steps=3", "train.ema_decay=0",
                                            "train.max_steps=5", "train.validate_every=2"};
  const Config config = tiny_config(folder.path(), options);
  const auto start = nets::make_model(config.model, config.seed);
  std::map<int64_t, std::map<std::string, Tensor>> after;
  for (const int64_t steps : {3, 4}) {
    // The schedule is that of five steps: a run that a signal stops.
    RunOptions stopping = out_folder(folder / std::to_string(steps));
    stopping.on_step = [&](int64_t step) {
      if (step == steps) raise(SIGTERM);
    };
    run_training(config, stopping);
    after[steps] = tensors_of(folder / std::to_string(steps) + "/checkpoints/last.safetensors");
  }
  int64_t still = 0, moved = 0, heads = 0;
  for (const auto& [name, value] : layers::state_dict(*start)) {
    INFO(name);
    if (!start->in_backbone(name)) {
      if (name.ends_with("weight")) heads += !same(value, after[3].at(name));
      continue;
    }
    CHECK(same(value, after[3].at(name)));
    ++still;
    if (!same(value, after[4].at(name))) ++moved;
  }
  CHECK(heads > 3);
  CHECK(moved == still);

  // A run that was stopped while its backbone waited ends like one that was not.
  run_training(config, out_folder(folder / "3", /*resume=*/true));
  run_training(config, out_folder(folder / "whole"));
  CHECK(last_of(folder / "3") == last_of(folder / "whole"));
}

TEST_CASE("moments of a parameter that waited are corrected by its own steps") {
  OptimizerOptions o;
  o.name = OptimizerKind::adam;
  o.freeze_backbone_steps = 50;
  const Variable p(Tensor::full({1, 1}, 1), true), head(Tensor::full({1, 1}, 1), true);
  Optimizer optimizer(o, {{"net.weight", p}, {"head.weight", head}},
                      [](const std::string& name) { return name == "net.weight"; });
  const auto step = [&] {
    for (const Variable& v : {p, head}) {
      backward(record("given", v.value(), {v},
                      [](const BackwardContext&) {
                        return std::vector<Tensor>{Tensor::full({1, 1}, 0.3)};
                      }),
               Tensor::full({1, 1}, 1));
    }
    optimizer.step(0.01);
  };
  for (int i = 0; i < 50; ++i) step();
  CHECK(p.value().item() == 1);
  step();
  CHECK(p.value().item() == Approx(0.99));  // Adam's first step is the rate
}

TEST_CASE("the average of the last steps is their mean, and is what is validated and kept") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const std::vector<std::string> options = {"train.ema_decay=0", "train.average_last_steps=3",
                                            "train.max_steps=6", "train.validate_every=6"};
  const Config config = tiny_config(folder.path(), options);
  std::map<std::string, std::vector<double>> sums;
  for (const int64_t steps : {4, 5, 6}) {
    const std::string out = folder / std::to_string(steps);
    RunOptions stopping = out_folder(out);
    stopping.on_step = [&](int64_t step) {
      if (step == steps) raise(SIGTERM);
    };
    run_training(config, stopping);
    for (const auto& [name, value] : tensors_of(out + "/checkpoints/last.safetensors")) {
      if (value.dtype() != DType::f32) continue;
      auto& sum = sums[name];
      sum.resize(static_cast<size_t>(value.numel()));
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(value.data<float>()[i]) / 3;
    }
  }
  run_training(config, out_folder(folder / "whole"));
  const auto best = tensors_of(folder / "whole/checkpoints/best.safetensors");
  const auto last = tensors_of(folder / "whole/checkpoints/last.safetensors");
  double largest = 0, moved = 0;
  for (const auto& [name, value] : best) {
    if (value.dtype() != DType::f32) continue;
    for (size_t i = 0; i < sums.at(name).size(); ++i) {
      const auto mean = static_cast<double>(value.data<float>()[i]);
      largest = std::max(largest, std::abs(mean - sums.at(name)[i]));
      moved = std::max(moved, std::abs(mean - static_cast<double>(last.at(name).data<float>()[i])));
    }
  }
  CHECK(largest < 1e-6);
  CHECK(moved > 1e-3);

  // A window that moves would average steps that the checkpoint does not have.
  RunOptions resumed = out_folder(folder / "5", /*resume=*/true);
  resumed.allow_change = {"train.max_steps", "train.average_last_steps"};
  for (const char* set : {"train.max_steps=7", "train.average_last_steps=2"}) {
    std::vector<std::string> other = options;
    other.emplace_back(set);
    const Error e = error_of([&] { run_training(tiny_config(folder.path(), other), resumed); });
    CHECK(e.kind() == ErrorKind::config);
    CHECK_THAT(e.what(), Contains("must average the same steps") && Contains("the mean of 2 steps"));
  }
  // Stopped among the last steps and resumed: the same bytes.
  run_training(config, out_folder(folder / "5", /*resume=*/true));
  CHECK(last_of(folder / "5") == last_of(folder / "whole"));

  const auto refusal = [&](const std::vector<std::string>& set) {
    const Error e =
        error_of([&] { run_training(tiny_config(folder.path(), set), out_folder(folder / "no")); });
    CHECK(e.kind() == ErrorKind::config);
    return std::string(e.what());
  };
  CHECK_THAT(refusal({"train.average_last_steps=3"}), Contains("one of ema_decay and average_last_steps"));
  CHECK_THAT(refusal({"train.ema_decay=0", "train.average_last_steps=10"}),
             Contains("at most the steps of the run, 9. Got 10"));
}
