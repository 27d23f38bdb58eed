#include "layers/modules.h"

#include <cmath>

#include "core/parallel.h"
#include "layers/conv_transpose2d.h"
#include "layers/dropout.h"
#include "layers/gemm.h"

namespace atrous::layers {
namespace {

constexpr int64_t values_per_task = 1 << 14;

// Element i becomes value(i). Drawn on the host, so that start values are bit-identical on every device.
template <class F>
void fill_each(const Tensor& t, F&& value) {
  const Tensor host = t.device() == Device::cpu ? t : Tensor::empty(t.shape());
  parallel_for(t.numel(), values_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      host.data<float>()[i] = static_cast<float>(value(static_cast<uint64_t>(i)));
  });
  if (t.device() == Device::cpu) {
    t.bump_version();
  } else {
    t.copy_from(host);
  }
}

void fill_uniform(const Tensor& t, double bound, RandomKey key) {
  fill_each(t, [&, rng = CounterRng(key)](uint64_t i) { return (2.0 * rng.uniform(i) - 1.0) * bound; });
}

void fill_normal(const Tensor& t, double deviation, RandomKey key) {
  fill_each(t, [&, rng = CounterRng(key)](uint64_t i) { return rng.normal(i) * deviation; });
}

void fill_start_values(Init init, const Variable& weight, const Variable& bias, int64_t fan_in,
                       int64_t fan_out, const std::function<RandomKey(const std::string&)>& key_of) {
  const auto in = static_cast<double>(fan_in), out = static_cast<double>(fan_out);
  switch (init) {
    case Init::uniform_fan_in: fill_uniform(weight.value(), 1 / std::sqrt(in), key_of("weight")); break;
    case Init::kaiming_normal_fan_in: fill_normal(weight.value(), std::sqrt(2 / in), key_of("weight")); break;
    case Init::kaiming_normal_fan_out:
      fill_normal(weight.value(), std::sqrt(2 / out), key_of("weight"));
      break;
    case Init::kaiming_uniform_fan_in:
      fill_uniform(weight.value(), std::sqrt(6 / in), key_of("weight"));
      break;
    case Init::kaiming_uniform_linear:
      fill_uniform(weight.value(), std::sqrt(3 / in), key_of("weight"));
      break;
    case Init::xavier_uniform:
      fill_uniform(weight.value(), std::sqrt(6 / (in + out)), key_of("weight"));
      break;
    case Init::normal_hundredth: fill_normal(weight.value(), 0.01, key_of("weight")); break;
    case Init::zeros: weight.value().fill(0); break;
  }
  if (!bias.defined()) return;
  if (init == Init::uniform_fan_in) {
    fill_uniform(bias.value(), 1 / std::sqrt(in), key_of("bias"));
  } else {
    bias.value().fill(0);
  }
}

std::string filter_arguments(int64_t in, int64_t out, Pair kernel, int64_t stride) {
  std::string s = fmt::format("{} -> {}, {}x{}", in, out, kernel.h, kernel.w);
  if (stride != 1) s += fmt::format(", stride {}", stride);
  return s;
}

}  // namespace

Conv2d::Conv2d(const Conv2dArgs& a)
    : args(a),
      weight(register_parameter("weight",
                                Tensor::empty({a.out, a.kernels().h, a.kernels().w, a.in / a.groups}))),
      bias(a.bias ? register_parameter("bias", Tensor::empty({a.out})) : Variable()) {}

void Conv2d::initialise_own(const KeyOf& key_of) {
  const int64_t taps = args.kernels().h * args.kernels().w;
  fill_start_values(args.init, weight, bias, args.in / args.groups * taps, args.out / args.groups * taps,
                    key_of);
}

std::string Conv2d::arguments() const {
  std::string s = filter_arguments(args.in, args.out, args.kernels(), args.stride);
  const Pair pads = args.pads();
  if (pads.h || pads.w)
    s += pads.h == pads.w ? fmt::format(", pad {}", pads.h) : fmt::format(", pad {}x{}", pads.h, pads.w);
  if (args.dilation != 1) s += fmt::format(", dilation {}", args.dilation);
  if (args.groups != 1) s += fmt::format(", groups {}", args.groups);
  return s;
}

Conv2dOptions Conv2d::options() const {
  return {{args.stride, args.stride}, args.pads(), {args.dilation, args.dilation}, args.groups, math()};
}

Variable Conv2d::forward(const Variable& x, Activation activation, const Tensor& out) const {
  return conv_norm_act(*this, nullptr, x, {activation, {}, out});
}

ConvTranspose2d::ConvTranspose2d(int64_t in, int64_t out, int64_t k, int64_t s, bool with_bias, Init i)
    : kernel(k),
      stride(s),
      init(i),
      weight(register_parameter("weight", Tensor::empty({in, k, k, out}))),
      bias(with_bias ? register_parameter("bias", Tensor::empty({out})) : Variable()) {}

void ConvTranspose2d::initialise_own(const KeyOf& key_of) {
  // PyTorch computes the fan from the second axis of [in,out,R,S] for transposed convolutions too.
  const int64_t taps = kernel * kernel;
  fill_start_values(init, weight, bias, weight.dim(3) * taps, weight.dim(0) * taps, key_of);
}

std::string ConvTranspose2d::arguments() const {
  return filter_arguments(weight.dim(0), weight.dim(3), {kernel, kernel}, stride);
}

Variable ConvTranspose2d::forward(const Variable& x, const Tensor& out) const {
  const ModuleScope scope(name());
  const ConvTranspose2dOptions options{.stride = {stride, stride}, .math = math()};
  return conv_transpose2d(x, weight, bias, options, out);
}

Linear::Linear(int64_t in, int64_t out, bool with_bias, Init i)
    : init(i),
      weight(register_parameter("weight", Tensor::empty({out, in}))),
      bias(with_bias ? register_parameter("bias", Tensor::empty({out})) : Variable()) {}

void Linear::initialise_own(const KeyOf& key_of) {
  fill_start_values(init, weight, bias, weight.dim(1), weight.dim(0), key_of);
}

std::string Linear::arguments() const {
  return fmt::format("{} -> {}", weight.dim(1), weight.dim(0));
}

Variable Linear::forward(const Variable& x) const {
  const ModuleScope scope(name());
  return linear(x, weight, bias, math());
}

void Dropout::on_random_key(RandomKey key) {
  key_ = key;
  calls_ = 0;
}

Variable Dropout::forward(const Variable& x) const {
  if (!training() || p == 0) return x;
  const ModuleScope scope(name());
  const RandomKey key{key_.seed, mix_streams(key_.stream, calls_++)};
  return channelwise ? dropout2d(x, p, key) : dropout(x, p, key);
}

}  // namespace atrous::layers
