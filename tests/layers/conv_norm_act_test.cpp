#include <catch2/catch.hpp>

#include "kernels/common/implementation.h"
#include "layers/modules.h"
#include "layers/pointwise.h"
#include "tests/core/tensors.h"

using namespace atrous;
using core_test::difference;
using core_test::noise;
using layers::Activation;
using layers::NormKind;

TEST_CASE("The fused ReLU of a convolution goes back as a ReLU of its own would") {
  layers::Conv2d conv({.in = 5, .out = 7, .pad = 1});
  conv.initialise(1);
  const Variable x(noise({2, 9, 10, 5}, 1), true), z(x.value(), true);
  const Tensor dy = noise({2, 9, 10, 7}, 2);
  const Variable fused = conv.forward(x, Activation::relu);
  backward(fused, dy);
  const Tensor dw = conv.weight.grad(), db = conv.bias.grad();
  conv.weight.clear_grad();
  conv.bias.clear_grad();
  const Variable plain = layers::relu(conv.forward(z));
  backward(plain, dy);
  CHECK(difference(fused.value(), plain.value()) == 0);
  CHECK(difference(x.grad(), z.grad()) == 0);
  CHECK(difference(dw, conv.weight.grad()) == 0);
  CHECK(difference(db, conv.bias.grad()) == 0);
}

// One filter per input channel takes the depthwise kernels; as a block-diagonal dense filter it is an
// ordinary convolution, and both must agree in every combination that conv_norm_act knows.
TEST_CASE("Depthwise convolutions agree with dense ones under norm, residual and activation") {
  constexpr int64_t channels = 6;
  for (const NormKind norm_kind : {NormKind::none, NormKind::batch, NormKind::frozen}) {
    for (const bool with_residual : {false, true}) {
      for (const bool tape : {false, true}) {
        CAPTURE(atrous::name_of(norm_kind), with_residual, tape);
        const bool bias = norm_kind == NormKind::none;
        layers::Conv2d depthwise(
            {.in = channels, .out = channels, .pad = 1, .groups = channels, .bias = bias});
        layers::Conv2d dense({.in = channels, .out = channels, .pad = 1, .bias = bias});
        depthwise.initialise(1);
        dense.weight.value().fill(0);
        for (int64_t k = 0; k < channels; ++k) {
          for (int64_t tap = 0; tap < 9; ++tap)
            dense.weight.value().data<float>()[(k * 9 + tap) * channels + k] =
                depthwise.weight.value().data<float>()[k * 9 + tap];
        }
        if (bias) dense.bias.value().copy_from(depthwise.bias.value());
        Tensor y[2], dx[2];
        for (const int which : {0, 1}) {
          const auto norm = layers::make_norm(norm_kind, channels);
          if (norm) {
            norm->initialise(2);
            if (!tape) norm->eval();
          }
          const Variable x(noise({2, 8, 9, channels}, 1), true);
          layers::ConvNormActOptions options{.activation = tape ? Activation::relu : Activation::relu6};
          if (with_residual) options.residual = Variable(noise({2, 8, 9, channels}, 3));
          const auto run = [&] {
            return layers::conv_norm_act(which ? dense : depthwise, norm.get(), x, options);
          };
          if (tape) {
            const Variable out = run();
            backward(out, noise({2, 8, 9, channels}, 4));
            y[which] = out.value();
            dx[which] = x.grad();
          } else {
            const NoGradGuard no_tape;
            y[which] = run().value();
          }
        }
        CHECK(difference(y[0], y[1]) < 1e-5);
        if (tape) CHECK(difference(dx[0], dx[1]) < 1e-5);
      }
    }
  }
}

// Without a tape a norm with constant statistics costs no pass of its own, on any device.
TEST_CASE("Batch norm is folded into the convolution before it, on a device as on the CPU") {
  for (const NormKind norm_kind : {NormKind::batch, NormKind::frozen}) {
    for (const bool with_residual : {false, true}) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        CAPTURE(atrous::name_of(norm_kind), with_residual, name_of(dtype));
        const auto run = [&](Device device) {
          const layers::BuildDeviceGuard build_on(device);
          layers::Conv2d conv({.in = 6, .out = 8, .pad = 1, .bias = with_residual});
          conv.initialise(1);
          const auto norm = layers::make_norm(norm_kind, 8);
          norm->initialise(2);
          norm->eval();
          norm->visit([](const std::string& name, const Variable* parameter, const Tensor* buffer) {
            const Tensor& t = parameter ? parameter->value() : *buffer;
            if (t.dtype() != DType::f32) return;
            Tensor values = noise(t.shape(), name.size());
            if (name == "running_var") values.fill(1.5);
            t.copy_from(values);
          });
          const auto activation = [&](const Tensor& t) {
            const Tensor rounded = t.to(dtype);
            return device == Device::cpu ? rounded.to(DType::f32) : rounded.to(device);
          };
          const ConcatBuffer into({2, 7, 9}, std::vector<int64_t>{8, 3},
                                  device == Device::cpu ? DType::f32 : dtype, device);
          layers::ConvNormActOptions options{.residual = {}, .out = into.slice(0)};
          if (with_residual) options.residual = Variable(activation(noise({2, 7, 9, 8}, 3)));
          const Variable x(activation(noise({2, 7, 9, 6}, 4)));
          {
            const NoGradGuard no_tape;
            const kernels::ForceImplementation no_pass_of_its_own("batch_norm.apply", "none");
            layers::conv_norm_act(conv, norm.get(), x, options);
          }
          return into.slice(0).clone().to(DType::f32).to(Device::cpu);
        };
        const Tensor want = run(Device::cpu);
        CHECK(difference(run(Device::sim), want) < (dtype == DType::f32 ? 2e-5 : 0.1));
      }
    }
  }
}
