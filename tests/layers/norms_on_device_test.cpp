// The differentiable norms on a device: what they allocate themselves lies there, and forward, running
// statistics and gradients are those of the CPU.
#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include "core/random.h"
#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/layer_norm.h"
#include "layers/local_response_norm.h"

using namespace atrous;
using kernels::Activation;

namespace {

const Shape shape{2, 9, 7, 24};

Tensor noise(const Shape& of, double offset, uint64_t seed) {
  const Tensor t = Tensor::empty(of);
  const CounterRng rng(seed, 5);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = static_cast<float>(offset + rng.normal(static_cast<uint64_t>(i)));
  return t;
}

// What a call leaves: y, gradients of all inputs, then `state`.
struct Inputs {
  Variable x, residual, gamma, beta;
  std::vector<Tensor> state;  // may be changed: running mean and variance
};
using Layer = std::function<Variable(const Inputs&)>;

std::vector<Tensor> results(const Layer& layer, Device device, DType dtype) {
  // Rounded to the dtype on every device, so that only the arithmetic differs.
  const auto activation = [&](const Tensor& t) {
    const Tensor rounded = t.to(dtype);
    return device == Device::cpu ? rounded.to(DType::f32) : rounded.to(device);
  };
  const auto leaf = [](const Tensor& t) { return Variable(t, true); };
  const Inputs in{leaf(activation(noise(shape, 0.5, 1))),
                  leaf(activation(noise(shape, 0, 2))),
                  leaf(noise({24}, 1, 3).to(device)),
                  leaf(noise({24}, 0, 4).to(device)),
                  {noise({24}, 0, 5).to(device), Tensor::full({24}, 2.0).to(device)}};
  const Variable y = layer(in);
  backward(y, activation(noise(shape, 0, 6)));
  std::vector<Tensor> all{y.value()};
  for (const Variable& v : {in.x, in.residual, in.gamma, in.beta}) {
    if (v.grad().defined()) all.push_back(v.grad());
  }
  all.insert(all.end(), in.state.begin(), in.state.end());
  return all;
}

void check_as_on_cpu(const Layer& layer) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::vector<Tensor> want = results(layer, Device::cpu, dtype),
                              got = results(layer, Device::sim, dtype);
    REQUIRE(got.size() == want.size());
    // One rounding of y and of gradients of activations to bf16, and what it does to the masks of others.
    const double tolerance = dtype == DType::f32 ? 1e-5 : 0.01;
    for (size_t t = 0; t < want.size(); ++t) {
      INFO("tensor " << t << " " << got[t].describe());
      CHECK(got[t].device() == Device::sim);
      CHECK(got[t].dtype() == (got[t].shape() == shape ? dtype : DType::f32));
      const Tensor a = got[t].to(Device::cpu).to(DType::f32), b = want[t].contiguous_copy_if_needed();
      double worst = 0, largest = 0;
      for (int64_t i = 0; i < b.numel(); ++i) {
        const double expected = static_cast<double>(b.data<float>()[i]);
        worst = std::max(worst, std::abs(static_cast<double>(a.data<float>()[i]) - expected));
        largest = std::max(largest, std::abs(expected));
      }
      CHECK(worst <= tolerance * largest);
    }
  }
}

}  // namespace

TEST_CASE("batch norm trains on a device as on the CPU") {
  for (const bool residual : {false, true}) {
    check_as_on_cpu([&](const Inputs& in) {
      return layers::batch_norm(in.x, in.gamma, in.beta, in.state[0], in.state[1],
                                {.training = true, .activation = Activation::relu},
                                residual ? in.residual : Variable());
    });
  }
}

TEST_CASE("batch norm with constant statistics on a device as on the CPU") {
  check_as_on_cpu([](const Inputs& in) {
    return layers::batch_norm(in.x, in.gamma, in.beta, in.state[0], in.state[1],
                              {.training = false, .activation = Activation::relu6}, in.residual);
  });
}

TEST_CASE("group, layer and local response norm on a device as on the CPU") {
  check_as_on_cpu([](const Inputs& in) {
    return layers::group_norm(in.x, 4, in.gamma, in.beta, 1e-5, Activation::relu);
  });
  check_as_on_cpu([](const Inputs& in) { return layers::layer_norm(in.x, in.gamma, in.beta); });
  check_as_on_cpu([](const Inputs& in) { return layers::local_response_norm(in.x); });
}
