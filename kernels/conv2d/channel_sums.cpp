// The gradient of a bias: the sum of dy over pixels.
#include <vector>

#include "kernels/common/channel_ops.h"
#include "kernels/common/entry.h"
#include "kernels/conv2d/conv2d_impl.h"

namespace atrous::kernels {
namespace {

template <class T>
void sum_channels(const Tensor& dy, const Tensor& result) {
  for (int64_t k = 0; k < dy.channels(); ++k) {
    double sum = 0;
    for (int64_t i = 0; i < dy.pixels(); ++i)
      sum += static_cast<double>(dy.data<T>()[i * dy.pixel_stride() + k]);
    result.data<T>()[k] = static_cast<T>(sum);
  }
}

void channel_sums_ref(const ChannelSumsProblem& p, const Tensor& dy, const Tensor& result) {
  p.dtype == DType::f32 ? sum_channels<float>(dy, result) : sum_channels<double>(dy, result);
}

void channel_sums_cpu(const ChannelSumsProblem& p, const Tensor& dy, const Tensor& result) {
  std::vector<double> sums(static_cast<size_t>(p.channels));
  channel_gradient_sums(dy, {}, Tensor(), 1, nullptr, sums.data(), nullptr, Tensor());
  for (size_t k = 0; k < sums.size(); ++k) result.data<float>()[k] = static_cast<float>(sums[k]);
}

// For ATROUS_IMPL it is a separate op: the names of convolutions do not apply to it.
constexpr Entry<ChannelSumsProblem, ChannelSumsFn> channel_sums{
    "conv2d.backward_bias",
    {
        ATROUS_ON_GPU("stages", f32_or_bf16, channel_sums_in_stages),
        ATROUS_ON_GPU("naive", f32_or_bf16, channel_sums_naive),
        {"cpu", Device::cpu, f32_only, channel_sums_cpu},
        {"ref", Device::cpu, f32_or_f64, channel_sums_ref},
    },
    nullptr,
    "conv2d_bias"};

}  // namespace

std::string ChannelSumsProblem::str() const {
  return fmt::format("{} p{} c{}", name_of(dtype), pixels, channels);
}

Tensor conv2d_backward_bias(const Tensor& dy) {
  ATROUS_CHECK(dy.defined() && dy.rank() >= 1 &&
                   (dy.dtype() == DType::f32 || dy.dtype() == DType::f64 || dy.dtype() == DType::bf16),
               ErrorKind::usage,
               "[conv2d_backward_bias] the gradient must be f32, f64 or bf16 with channels last. Got {}. "
               "Convert it first.",
               dy.describe());
  const Tensor result = Tensor::empty({dy.channels()}, parameter_dtype(dy.dtype()), dy.device());
  channel_sums(ChannelSumsProblem{dy.pixels(), dy.channels(), dy.dtype()}, dy, writes(result));
  return result;
}

const AnyEntry& conv2d_backward_bias_entry() {
  return channel_sums;
}

}  // namespace atrous::kernels
