// The gradient of a bias: one memory pass, the same for every instruction set.
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/conv2d/conv2d_impl.h"

namespace atrous::kernels {
namespace {

template <class T>
ATROUS_MULTIVERSION void add_pixels(const T* from, int64_t pixel_stride, int64_t pixels, int64_t channels,
                                    double* sums) {
  for (int64_t i = 0; i < pixels; ++i, from += pixel_stride) {
    for (int64_t k = 0; k < channels; ++k) sums[k] += static_cast<double>(from[k]);
  }
}

template <class T>
void sum_channels(const Tensor& dy, const Tensor& result) {
  const int64_t channels = dy.channels(), pixels = dy.pixels();
  // Fixed blocks, added in order: the bits do not depend on the number of threads.
  const int64_t block = std::max<int64_t>(64, (1 << 16) / std::max<int64_t>(1, channels));
  const int64_t blocks = (pixels + block - 1) / block;
  std::vector<double> partial(static_cast<size_t>((blocks + 1) * channels));
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      add_pixels(dy.data<T>() + b * block * dy.pixel_stride(), dy.pixel_stride(),
                 std::min(block, pixels - b * block), channels, &partial[static_cast<size_t>(b * channels)]);
    }
  });
  double* total = partial.data() + blocks * channels;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t k = 0; k < channels; ++k) total[k] += partial[static_cast<size_t>(b * channels + k)];
  }
  for (int64_t k = 0; k < channels; ++k) result.data<T>()[k] = static_cast<T>(total[k]);
}

void channel_sums_ref(const ChannelSumsProblem& p, const Tensor& dy, const Tensor& result) {
  p.dtype == DType::f32 ? sum_channels<float>(dy, result) : sum_channels<double>(dy, result);
}

constexpr Implementation<ChannelSumsProblem, ChannelSumsFn> table[] = {
    ATROUS_ON_GPU("stages", why_not_f64, channel_sums_in_stages),
    ATROUS_ON_GPU("naive", why_not_f64, channel_sums_naive),
    {"ref", Device::cpu, why_not_bf16, channel_sums_ref},
};

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
  // An op of its own when it comes to forcing: the names of convolutions mean nothing here.
  dispatch("conv2d_bias", "conv2d.backward_bias", table,
           ChannelSumsProblem{dy.pixels(), dy.channels(), dy.dtype()}, {result}, dy, result);
  return result;
}

std::vector<std::string> conv2d_bias_candidates(std::string_view entry, const ChannelSumsProblem& problem,
                                                Device device) {
  if (entry == "backward_bias") return candidates(table, problem, device);
  unknown_entry("conv2d", entry);
}

}  // namespace atrous::kernels
