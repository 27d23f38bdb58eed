#include "layers/modules.h"

#include <cmath>

#include "core/parallel.h"
#include "layers/conv_transpose2d.h"
#include "layers/dropout.h"
#include "layers/gemm.h"
#include "layers/trace.h"

namespace atrous::layers {
namespace {

constexpr int64_t values_per_task = 1 << 14;

// Element i becomes value(i). Drawn on the host, so that start values have the same bits on every device.
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
    case Init::uniform_fan_in:
      fill_uniform(weight.value(), 1 / std::sqrt(in), key_of("weight"));
      break;
    case Init::kaiming_normal_fan_in:
      fill_normal(weight.value(), std::sqrt(2 / in), key_of("weight"));
      break;
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
    case Init::normal_hundredth:
      fill_normal(weight.value(), 0.01, key_of("weight"));
      break;
    case Init::zeros:
      weight.value().fill(0);
      break;
  }
  if (!bias.defined()) return;
  if (init == Init::uniform_fan_in) {
    fill_uniform(bias.value(), 1 / std::sqrt(in), key_of("bias"));
  } else {
    bias.value().fill(0);
  }
}

std::string filter_arguments(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  std::string s = fmt::format("{} -> {}, {}x{}", in, out, kernel, kernel);
  if (stride != 1) s += fmt::format(", stride {}", stride);
  return s;
}

int64_t parameters_of(const Variable& weight, const Variable& bias) {
  return weight.value().numel() + (bias.defined() ? bias.value().numel() : 0);
}

}  // namespace

Conv2d::Conv2d(const Conv2dArgs& a)
    : args(a),
      weight(register_parameter("weight", Tensor::empty({a.out, a.kernel, a.kernel, a.in / a.groups}))),
      bias(a.bias ? register_parameter("bias", Tensor::empty({a.out})) : Variable()) {}

void Conv2d::initialise_own(const KeyOf& key_of) {
  const int64_t taps = args.kernel * args.kernel;
  fill_start_values(args.init, weight, bias, args.in / args.groups * taps, args.out / args.groups * taps,
                    key_of);
}

std::string Conv2d::arguments() const {
  std::string s = filter_arguments(args.in, args.out, args.kernel, args.stride);
  if (args.pad) s += fmt::format(", pad {}", args.pad);
  if (args.dilation != 1) s += fmt::format(", dilation {}", args.dilation);
  if (args.groups != 1) s += fmt::format(", groups {}", args.groups);
  return s;
}

Conv2dOptions Conv2d::options() const {
  return {{args.stride, args.stride}, {args.pad, args.pad}, {args.dilation, args.dilation}, args.groups,
          math()};
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
  // PyTorch takes the fan from the second axis of [in,out,R,S], whatever the layer does with it.
  const int64_t taps = kernel * kernel;
  fill_start_values(init, weight, bias, weight.dim(3) * taps, weight.dim(0) * taps, key_of);
}

std::string ConvTranspose2d::arguments() const {
  return filter_arguments(weight.dim(0), weight.dim(3), kernel, stride);
}

Variable ConvTranspose2d::forward(const Variable& x, const Tensor& out) const {
  const ModuleScope scope(name());
  const ConvTranspose2dOptions options{.stride = {stride, stride}, .math = math()};
  if (!Trace::active()) return conv_transpose2d(x, weight, bias, options, out);
  const Shape shape{x.dim(0), (x.dim(1) - 1) * stride + kernel, (x.dim(2) - 1) * stride + kernel,
                    weight.dim(3)};
  Trace::note({.name = {},
               .kind = kind(),
               .arguments = arguments(),
               .input = x.shape(),
               .output = shape,
               .parameters = parameters_of(weight, bias),
               .macs = x.value().numel() * kernel * kernel * weight.dim(3),
               .span = (kernel + stride - 1) / stride,
               .stride = 1.0 / static_cast<double>(stride)});
  return record("conv_transpose2d", out.defined() ? out : Tensor::empty(shape, x.dtype()), {x, weight},
                [x = Saved(x.value())](const BackwardContext&) { return std::vector<Tensor>(2); });
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
  if (!Trace::active()) return linear(x, weight, bias, math());
  const Shape shape = x.shape().with(-1, weight.dim(0));
  Trace::note({.name = {},
               .kind = kind(),
               .arguments = arguments(),
               .input = x.shape(),
               .output = shape,
               .parameters = parameters_of(weight, bias),
               .macs = x.value().numel() * weight.dim(0)});
  return record("linear", Tensor::empty(shape, x.dtype()), {x, weight},
                [x = Saved(x.value())](const BackwardContext&) { return std::vector<Tensor>(2); });
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

namespace {

// Notes a pool; returns the shape of its result.
Shape note_max_pool(const Variable& x, const Pool2dOptions& options) {
  const Shape shape = kernels::pool2d_problem("max_pool2d", x.shape(), x.dtype(), options).output_shape();
  Trace::note(
      {.name = {},
       .kind = "MaxPool2d",
       .arguments = fmt::format("{}x{}, stride {}", options.kernel_h, options.kernel_w, options.stride_h),
       .input = x.shape(),
       .output = shape,
       .span = options.kernel_h,
       .stride = static_cast<double>(options.stride_h)});
  return shape;
}

// The result of a pool that keeps `indices` for the backward pass, without values.
Variable traced_pool(const Variable& x, const Tensor& indices) {
  return record("max_pool2d", Tensor::empty(indices.shape(), x.dtype()), {x},
                [indices](const BackwardContext&) { return std::vector<Tensor>(1); });
}

}  // namespace

Variable traced_max_pool(const Variable& x, const Pool2dOptions& options) {
  if (!Trace::active()) return max_pool2d(x, options);
  return traced_pool(x, Tensor::empty(note_max_pool(x, options), DType::i32));
}

PooledWithIndices traced_max_pool_with_indices(const Variable& x, const Pool2dOptions& options) {
  if (!Trace::active()) return max_pool2d_with_indices(x, options);
  const Tensor indices = Tensor::zeros(note_max_pool(x, options), DType::i32);
  return {traced_pool(x, indices), indices};
}

}  // namespace atrous::layers
