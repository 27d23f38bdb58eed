// Losses on a device against the CPU: value and gradient through everything that a loss is made of.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/device_runtime.h"
#include "core/random.h"
#include "layers/cross_entropy.h"
#include "layers/dropout.h"
#include "layers/losses.h"
#include "layers/overlap_loss.h"
#include "layers/pointwise.h"
#include "layers/reduce.h"
#include "layers/resize_cross_entropy.h"
#include "layers/scaled_gradient.h"
#include "layers/softmax.h"

using namespace atrous;

namespace {

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t;
}

struct Outcome {
  double loss;
  Tensor logits_gradient, gate_gradient;
};

Outcome run(Device device) {
  const Variable logits(random_tensor({2, 4, 3, 5}, 1).to(device), true);
  const Variable gate(random_tensor({2, 1, 1, 5}, 2).to(device), true);
  Tensor labels = Tensor::zeros({2, 4, 3}, DType::u8), wide = Tensor::zeros({2, 9, 7}, DType::u8);
  for (int64_t i = 0; i < labels.numel(); ++i)
    labels.data<uint8_t>()[i] = static_cast<uint8_t>(i % 6 == 5 ? 255 : i % 5);
  for (int64_t i = 0; i < wide.numel(); ++i) wide.data<uint8_t>()[i] = static_cast<uint8_t>(i % 5);
  labels = labels.to(device);
  wide = wide.to(device);
  const Variable z = layers::dropout(layers::mul(logits, layers::sigmoid(gate)), 0.25, {7, 9});
  const Variable loss = layers::weighted_sum(
      {layers::cross_entropy(z, labels, {.class_weights = Tensor::from<double>({5}, {1, 2, 0.5, 1, 3})}),
       layers::resize_cross_entropy(z, wide, false), layers::overlap_loss(layers::softmax(z), labels, {}),
       layers::mean(layers::square(z))},
      {1.0, 0.5, 2.0, 0.1});
  backward(loss, Tensor::full(loss.shape(), 0.5, loss.dtype(), device));
  return {loss.value().item(), logits.grad().to(Device::cpu), gate.grad().to(Device::cpu)};
}

void check_close(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  for (int64_t i = 0; i < a.numel(); ++i) {
    const float x = a.data<float>()[i], y = b.data<float>()[i];
    INFO(i << ": " << x << " " << y);
    CHECK(std::abs(x - y) <= 1e-6f);
  }
}

}  // namespace

TEST_CASE("losses on a device are those of the CPU") {
  const Outcome cpu = run(Device::cpu), sim = run(Device::sim);
  CHECK(std::abs(cpu.loss - sim.loss) <= 1e-6 * std::abs(cpu.loss));
  check_close(sim.logits_gradient, cpu.logits_gradient);
  check_close(sim.gate_gradient, cpu.gate_gradient);
}

// A graph may neither wait for the device nor copy from pageable memory: what it accepts, a step can queue.
TEST_CASE("a loss and its gradients wait for nothing on a device when the seed is known to the host") {
  const layers::LossOptions options =
      layers::placed_on(Device::sim, {.terms = {{.kind = layers::LossKind::cross_entropy, .weight = 0.7},
                                                {.kind = layers::LossKind::focal, .weight = 0.5}},
                                      .class_weights = {1, 2, 0.5, 1, 3},
                                      .aux_weight = 0.4});
  const Variable logits(random_tensor({2, 9, 7, 5}, 1).to(Device::sim), true);
  const Variable aux(random_tensor({2, 3, 3, 5}, 2).to(Device::sim), true);
  const Tensor labels = Tensor::full({2, 9, 7}, 3, DType::u8, Device::sim);
  const layers::SegmentationOutput output{logits, aux, {0, 0, 9, 7}, false};
  const Stream stream = Stream::create(Device::sim);
  const StreamGuard on(stream);
  Tensor loss;
  const auto work = [&] {
    const Variable value = layers::segmentation_loss(output, labels, options);
    loss = value.value();
    logits.clear_grad();
    aux.clear_grad();
    backward(value, Tensor::scalar(0.5));
  };
  for (int warm = 0; warm < 2; ++warm) work();
  const double expected = loss.item();
  const Tensor gradient = logits.grad().to(Device::cpu), of_aux = aux.grad().to(Device::cpu);
  const Graph graph = Graph::capture(stream, work);
  graph.launch(stream);
  CHECK(loss.item() == expected);
  check_close(logits.grad().to(Device::cpu), gradient);
  check_close(aux.grad().to(Device::cpu), of_aux);
}
