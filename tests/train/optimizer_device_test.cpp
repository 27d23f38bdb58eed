// Optimisers, weight averages and checkpoints of weights on a device, against the same on the CPU.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "layers/low_precision.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/same_bits.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/weight_average.h"

using namespace atrous;
using namespace atrous::train;

namespace {

Tensor noise(const Shape& shape, uint64_t seed, double scale = 1) {
  Rng rng(seed, 3);
  const Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(scale * rng.normal());
  return t;
}

void set_gradient(const Variable& p, const Tensor& gradient) {
  const Tensor on_device = gradient.to(p.value().device());
  backward(record("given", p.value(), {p},
                  [on_device](const BackwardContext&) { return std::vector<Tensor>{on_device}; }),
           Tensor::full(p.shape(), 1, DType::f32, p.value().device()));
}

// The largest difference, relative to the largest value.
double difference(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu).to(DType::f64), y = b.to(Device::cpu).to(DType::f64);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    worst = std::max(worst, std::abs(x.data<double>()[i] - y.data<double>()[i]));
    largest = std::max(largest, std::abs(y.data<double>()[i]));
  }
  return worst / largest;
}

// Filters, biases, a parameter that never gets a gradient, one of a slower backbone.
struct Weights {
  std::vector<layers::NamedParameter> parameters;

  explicit Weights(Device device) {
    const std::pair<const char*, Shape> shapes[] = {{"backbone.filter", {8, 3, 3, 5}},
                                                    {"backbone.bias", {8}},
                                                    {"head.filter", {3, 33, 33, 4}},
                                                    {"head.bias", {3}},
                                                    {"unused", {7}}};
    for (const auto& [name, shape] : shapes)
      parameters.push_back({name, Variable(noise(shape, parameters.size()).to(device), true)});
  }
  void step(Optimizer& optimizer, uint64_t step) const {
    for (size_t i = 0; i + 1 < parameters.size(); ++i)
      set_gradient(parameters[i].variable, noise(parameters[i].variable.shape(), 100 * step + i, 0.1));
    optimizer.step(0.01);
  }
};

OptimizerOptions named(OptimizerKind name, double momentum = 0.9) {
  OptimizerOptions o;
  o.name = name;
  o.momentum = momentum;
  o.nesterov = name == OptimizerKind::sgd && momentum > 0;
  o.weight_decay = 0.01;
  o.decay_norm_and_bias = false;
  o.backbone_lr_factor = 0.1;
  o.clip_norm = 1;
  return o;
}

struct Normalised : layers::Module {
  explicit Normalised(Device device) {
    weight = register_parameter("weight", noise({3, 2, 2, 4}, 1).to(device));
    mean = register_buffer("running_mean", noise({3}, 2).to(device));
    count = register_buffer("num_batches_tracked", Tensor::full({}, 5, DType::i64, device));
  }
  std::string kind() const override { return "Normalised"; }
  Variable weight;
  Tensor mean, count;
};

const InBackbone of_backbone = [](const std::string& name) { return name.starts_with("backbone."); };

}  // namespace

// Not bit for bit: compilers fuse multiplications and additions where the CPU, or the device, can, which
// rounds once less.
TEST_CASE("optimisers on a device follow the CPU") {
  for (const OptimizerOptions& options :
       {named(OptimizerKind::sgd), named(OptimizerKind::sgd, 0), named(OptimizerKind::adam),
        named(OptimizerKind::adamw), named(OptimizerKind::rmsprop)}) {
    INFO(atrous::name_of(options.name) << " momentum " << options.momentum);
    const Weights host(Device::cpu), device(Device::sim);
    Optimizer on_host(options, host.parameters, of_backbone);
    Optimizer on_device(options, device.parameters, of_backbone, true);
    for (uint64_t t = 0; t < 5; ++t) {
      host.step(on_host, t);
      device.step(on_device, t);
    }
    for (size_t i = 0; i < host.parameters.size(); ++i) {
      const Variable& p = device.parameters[i].variable;
      INFO(host.parameters[i].name);
      CHECK(p.value().device() == Device::sim);
      CHECK(difference(p.value(), host.parameters[i].variable.value()) < 1e-6);
    }
    CHECK(same_bits(device.parameters.back().variable.value(), noise({7}, 4)));
    const auto expected = on_host.state(), state = on_device.state();
    REQUIRE(state.size() == expected.size());
    for (size_t i = 0; i + 1 < state.size(); ++i) {
      CHECK(state[i].first == expected[i].first);
      if (!expected[i].first.ends_with("unused"))
        CHECK(difference(state[i].second, expected[i].second) < 1e-6);
    }
  }
}

TEST_CASE("the norm of gradients on a device is the CPU's") {
  const Weights host(Device::cpu), device(Device::sim);
  const Optimizer on_host(named(OptimizerKind::sgd), host.parameters, of_backbone),
      on_device(named(OptimizerKind::sgd), device.parameters, of_backbone);
  CHECK(on_device.gradient_norm() == 0);
  for (const Weights* w : {&host, &device}) {
    for (const auto& p : w->parameters) set_gradient(p.variable, noise(p.variable.shape(), 7));
  }
  CHECK(on_device.gradient_norm() == Approx(on_host.gradient_norm()).epsilon(1e-12));
}

TEST_CASE("a step leaves current copies in bf16") {
  for (Device device : {Device::cpu, Device::sim}) {
    const Weights w(device);
    Optimizer optimizer(named(OptimizerKind::adam), w.parameters, of_backbone, true);
    for (uint64_t t = 0; t < 2; ++t) {
      w.step(optimizer, t);
      for (size_t i = 0; i + 1 < w.parameters.size(); ++i) {
        const Variable& p = w.parameters[i].variable;
        REQUIRE(p.low_precision_copy().defined());
        CHECK(same_bits(p.low_precision_copy(), p.value().to(Device::cpu).to(DType::bf16)));
      }
      // It had no gradient: nothing was written for it.
      CHECK_FALSE(w.parameters.back().variable.low_precision_copy().defined());
    }
    // Loading other weights makes the copy stale.
    const Variable& p = w.parameters[0].variable;
    p.value().copy_from(noise(p.shape(), 9));
    CHECK(same_bits(layers::low_precision(p), noise(p.shape(), 9).to(DType::bf16)));
  }
}

TEST_CASE("weight averages live on the device of the weights") {
  const Normalised host(Device::cpu), device(Device::sim);
  WeightAverage on_host(host, {.decay = 0.9}), on_device(device, {.decay = 0.9});
  for (const auto& [module, average] : {std::pair{&host, &on_host}, std::pair{&device, &on_device}}) {
    for (int64_t step = 1; step <= 4; ++step) {
      module->weight.value().copy_from(noise({3, 2, 2, 4}, static_cast<uint64_t>(10 + step)));
      module->mean.copy_from(noise({3}, static_cast<uint64_t>(20 + step)));
      module->count.fill(static_cast<double>(step));
      average->update(step);
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    CHECK(on_device.averages()[i].second.device() == Device::sim);
    CHECK(difference(on_device.averages()[i].second, on_host.averages()[i].second) < 1e-6);
  }
  const Tensor weight = device.weight.value().clone(), average = on_device.averages()[0].second.clone();
  on_device.swap();
  CHECK(same_bits(device.weight.value(), average));
  CHECK(same_bits(on_device.averages()[0].second, weight));
}

TEST_CASE("weights on a device are stored as weights on the CPU are") {
  const Normalised host(Device::cpu), device(Device::sim);
  const NamedTensors expected = layers::state_dict(host), stored = layers::state_dict(device);
  REQUIRE(stored.size() == 3);
  for (size_t i = 0; i < stored.size(); ++i) {
    CHECK(stored[i].second.device() == Device::cpu);
    CHECK(same_bits(stored[i].second, expected[i].second));
    CHECK_FALSE(expected[i].second.shares_memory_with(host.mean));
  }
  device.weight.value().fill(0);
  device.count.fill(0);
  TensorFile file;
  file.tensors = stored;
  CHECK(layers::load_state_dict(device, file).complete());
  CHECK(same_bits(device.weight.value(), host.weight.value()));
  CHECK(same_bits(device.count, host.count));
}

TEST_CASE("a checkpoint of a run on the CPU continues on a device, and is written there byte for byte") {
  const TemporaryFolder folder;
  const Config config = tiny_config(folder.path());
  const std::vector<data::ClassInfo> classes(3);
  RunState state;
  state.step = 1;
  const std::string first = folder / "cpu.safetensors", second = folder / "device.safetensors";
  {
    const auto model = nets::make_model(config.model, 1);
    Optimizer optimizer(config.optimizer, model->parameters());
    WeightAverage average(*model, {.decay = 0.9});
    for (const auto& p : model->parameters()) set_gradient(p.variable, noise(p.variable.shape(), 1));
    optimizer.step(0.01);
    average.update(1);
    save_checkpoint(first, {&config, &classes, &state, model.get(), &optimizer, &average});
  }
  const auto model = nets::make_model(config.model, 2);
  for (const auto& p : model->parameters()) p.variable.set_value(p.variable.value().to(Device::sim));
  Optimizer optimizer(config.optimizer, model->parameters());
  WeightAverage average(*model, {.decay = 0.9});
  const StoredCheckpoint stored = read_checkpoint(first);
  restore(stored, *model, optimizer, &average);
  CHECK(optimizer.steps() == 1);
  CHECK(model->parameters()[0].variable.value().device() == Device::sim);
  save_checkpoint(second, {&config, &classes, &state, model.get(), &optimizer, &average});
  CHECK(content_of(first) == content_of(second));
}
