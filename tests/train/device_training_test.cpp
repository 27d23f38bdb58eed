// The same five training steps on the CPU and on devices: same losses.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/amx.h"
#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "kernels/common/implementation.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "train/math.h"
#include "train/semantic_task.h"
#include "train/step.h"

using namespace atrous;
using namespace atrous::train;

namespace {

constexpr int64_t steps = 5, images = 2, height = 32, width = 40, classes = 4;

// Noise images with random labels, some of them to be ignored.
void write_batches(const std::string& path) {
  Rng rng(3, 1);
  const Tensor x = Tensor::empty({steps, images, 3, height, width});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(rng.normal());
  const Tensor y = Tensor::empty({steps, images, height, width}, DType::u8);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t label = rng.integer(0, classes);
    y.data<uint8_t>()[i] = static_cast<uint8_t>(label == classes ? 255 : label);
  }
  write_safetensors(path, {{"images", x}, {"labels", y}});
}

Config config_of(const std::string& model, const std::string& batches, const std::string& math) {
  return parse_config(R"({"model": )" + model + R"(, "data": {"dataset": "tensors", "root": ")" + batches +
                          R"(", "batch_size": 2}, "optimizer": {"name": "sgd", "lr": 0.01},
                          "train": {"max_steps": 5}, "exact": true, "math": ")" +
                          math + R"("})",
                      "test", {});
}

std::vector<double> losses_of(const Config& config, Device device, const layers::LossOptions& options = {},
                              int64_t accumulate = 1) {
  const layers::BuildDeviceGuard build_on(device);
  const auto model = nets::make_model(config.model, config.seed);
  use_math(config, *model);
  model->train();
  Optimizer optimizer(config.optimizer, model->parameters(), nullptr, model->compute_dtype() == DType::bf16);
  BatchSource batches(config, nullptr, 0, steps);
  std::vector<double> losses;
  const layers::LossOptions loss = layers::placed_on(device, options);
  for (int64_t step = 0; step < steps / accumulate; ++step) {
    losses.push_back(train_step(
                         optimizer, [&] { return semantic_batch(*model, batches.next(), loss, config.seed); },
                         accumulate, step, 0.01)
                         .loss);
  }
  return losses;
}

void compare(const std::string& model) {
  const TemporaryFolder folder;
  const std::string batches = folder / "batches.safetensors";
  write_batches(batches);
  const std::vector<double> expected = losses_of(config_of(model, batches, "f32"), Device::cpu);
  for (const Device device : {Device::sim, Device::cuda}) {
    if (const char* reason = why_unavailable(device)) {
      WARN("skipped on " << name_of(device) << ": " << reason);
      continue;
    }
    // tf32 keeps 10 bits of mantissa, bf16 only 7.
    for (const auto& [math, tolerance] : {std::pair{"f32", 1e-4}, {"tf32", 1e-3}, {"bf16", 1e-2}}) {
      const std::vector<double> losses = losses_of(config_of(model, batches, math), device);
      for (size_t i = 0; i < losses.size(); ++i) {
        INFO(model << " on " << name_of(device) << " in " << math << ", step " << i + 1);
        CHECK(std::abs(losses[i] - expected[i]) <= tolerance * std::abs(expected[i]));
      }
    }
  }
}

}  // namespace

TEST_CASE("a network trains in bf16 on the CPU as in f32, with every implementation") {
  const TemporaryFolder folder;
  const std::string batches = folder / "batches.safetensors";
  write_batches(batches);
  const std::string model = R"({"name": "fcn8s", "backbone": "resnet18", "num_classes": 4})";
  const std::vector<double> expected = losses_of(config_of(model, batches, "f32"), Device::cpu);
  const Config config = config_of(model, batches, "bf16");
  for (const auto& [name, available] : {std::pair{"bf16_rounded", true},
                                        {"avx512_bf16", cpu_isa() >= Isa::avx512 && cpu_has_bf16()},
                                        {"amx_bf16", cpu_has_amx_bf16()}}) {
    if (!available) {
      WARN("skipped: this CPU lacks " << name);
      continue;
    }
    const kernels::ForceImplementation force("conv2d", name);
    const std::vector<double> losses = losses_of(config, Device::cpu);
    CHECK(losses != expected);
    for (size_t i = 0; i < losses.size(); ++i) {
      INFO(name << ", step " << i + 1);
      CHECK(std::abs(losses[i] - expected[i]) <= 1e-2 * std::abs(expected[i]));
    }
  }
}

TEST_CASE("a U-Net trains on a device as on the CPU") {
  compare(R"({"name": "unet", "num_classes": 4, "base_width": 8, "depth": 3})");
}

TEST_CASE("an FCN trains on a device as on the CPU") {
  compare(R"({"name": "fcn8s", "backbone": "resnet18", "num_classes": 4})");
}

TEST_CASE("weighted terms, class weights, clipping and accumulation on a device give the CPU's losses") {
  const TemporaryFolder folder;
  const std::string batches = folder / "batches.safetensors";
  write_batches(batches);
  Config config =
      config_of(R"({"name": "unet", "num_classes": 4, "base_width": 8, "depth": 2})", batches, "f32");
  config.optimizer.clip_norm = 0.1;
  const layers::LossOptions options{.terms = {{.kind = layers::LossKind::cross_entropy, .weight = 0.7},
                                              {.kind = layers::LossKind::dice, .weight = 0.5},
                                              {.kind = layers::LossKind::bootstrapped, .weight = 0.2}},
                                    .class_weights = {1, 2, 0.5, 3}};
  const std::vector<double> expected = losses_of(config, Device::cpu, options, 2);
  for (const Device device : {Device::sim, Device::cuda}) {
    if (why_unavailable(device)) continue;
    const std::vector<double> losses = losses_of(config, device, options, 2);
    REQUIRE(losses.size() == 2);
    for (size_t i = 0; i < losses.size(); ++i) CHECK(losses[i] == Approx(expected[i]).epsilon(1e-4));
  }
}

TEST_CASE("a NaN on a device ends the step before it reaches the weights, and is explained") {
  const TemporaryFolder folder;
  const std::string batches = folder / "batches.safetensors";
  write_batches(batches);
  const Config config =
      config_of(R"({"name": "unet", "num_classes": 4, "base_width": 4, "depth": 2})", batches, "f32");
  for (const Device device : {Device::sim, Device::cuda}) {
    if (why_unavailable(device)) continue;
    const layers::BuildDeviceGuard build_on(device);
    const auto model = nets::make_model(config.model, config.seed);
    model->train();
    Optimizer optimizer(config.optimizer, model->parameters());
    BatchSource source(config, nullptr, 0, steps);
    const layers::LossOptions loss;
    const Variable first = model->parameters().front().variable;
    first.value().fill(std::numeric_limits<double>::infinity());
    try {
      train_step(
          optimizer, [&] { return semantic_batch(*model, source.next(), loss, config.seed); }, 1, 0, 0.01);
      FAIL("no error");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::diverged);
      CHECK_THAT(e.what(), Catch::Contains("at step 1") && Catch::Contains("batch 0 image 0"));
    }
    // The other parameters are as they were: nothing was stepped.
    CHECK(optimizer.steps() == 0);
    for (const layers::NamedParameter& p : model->parameters()) {
      if (!p.variable.same_as(first)) CHECK(all_finite(p.variable.value()));
    }
  }
}

TEST_CASE("the CPU refuses tf32; in bf16 its activations stay f32") {
  Config config;
  config.model.name = "unet";
  config.model.num_classes = 2;
  config.model.base_width = 4;
  config.model.depth = 2;
  config.math = MathMode::tf32;
  const auto model = nets::make_model(config.model, 1);
  CHECK_THROWS_WITH(use_math(config, *model), Catch::Contains("the CPU has f32 and bf16"));
  config.math = MathMode::bf16;
  use_math(config, *model);
  CHECK(model->compute_dtype() == DType::f32);
  CHECK(model->math() == kernels::Math{.bf16 = true});
  config.math = MathMode::f32;
  use_math(config, *model);
  CHECK(model->math() == kernels::Math{});
}
