// The share of one thread in kernels that map pixels to pixels (pooling, resize, padding, copies): a group of
// V neighbouring channels of one output pixel. Neighbouring threads own neighbouring groups, so that a warp
// reads and writes whole cache lines.
//
// V is 1, or as many channels as fit 16 bytes, the widest access there is. For .cu files.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

inline constexpr int group_threads = 256;  // of a block

struct ChannelGroup {
  int64_t pixel;
  int64_t channel;  // the first one of V
};

// The elements that this thread owns in a launch of group_launch. The last block may own pixels past the end.
template <int V>
__device__ ChannelGroup own_group(int64_t channels) {
  const Division item = divide(int64_t{blockIdx.x} * group_threads + threadIdx.x, channels / V);
  return {item.quotient, item.remainder * V};
}

inline LaunchShape group_launch(int64_t pixels, int64_t channels, int v) {
  return {blocks_for(pixels * (channels / v), group_threads), group_threads};
}

struct Position {
  int64_t image, row, column;
};

__device__ inline Position position_of(int64_t pixel, int64_t height, int64_t width) {
  const Division line = divide(pixel, width);
  const Division image = divide(line.quotient, height);
  return {image.quotient, image.remainder, line.remainder};
}

// For launchers: f(T{}, width) with the element type of activations and V = decltype(width)::value: 16 bytes
// if `wide` and all `tensors` (undefined ones aside) can be read so, else 1.
template <class F>
void visit_groups(DType dtype, bool wide, std::initializer_list<Tensor> tensors, F&& f) {
  visit_activation(dtype, [&](auto tag) {
    constexpr int widest = vector_width<decltype(tag)>;
    bool fits = wide;
    for (const Tensor& t : tensors) fits = fits && (!t.defined() || vectorises(t, widest));
    if (fits) return f(tag, std::integral_constant<int, widest>{});
    return f(tag, std::integral_constant<int, 1>{});
  });
}

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
