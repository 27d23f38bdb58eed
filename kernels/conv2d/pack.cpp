#include "kernels/conv2d/pack.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"

namespace atrous::kernels {
namespace {

// to[c*width + k] = from[k*k_stride + c]: a transpose, in blocks that stay in registers.
ATROUS_MULTIVERSION void transpose(float* to, int64_t width, const float* from, int64_t k_stride, int64_t c,
                                   int64_t k) {
  constexpr int64_t block = 8;
  int64_t k0 = 0;
  for (; k0 + block <= k; k0 += block) {
    int64_t c0 = 0;
    for (; c0 + block <= c; c0 += block) {
      float values[block][block];
      for (int64_t i = 0; i < block; ++i) {
        for (int64_t j = 0; j < block; ++j) values[i][j] = from[(k0 + i) * k_stride + c0 + j];
      }
      for (int64_t j = 0; j < block; ++j) {
        for (int64_t i = 0; i < block; ++i) to[(c0 + j) * width + k0 + i] = values[i][j];
      }
    }
    for (; c0 < c; ++c0) {
      for (int64_t i = 0; i < block; ++i) to[c0 * width + k0 + i] = from[(k0 + i) * k_stride + c0];
    }
  }
  for (; k0 < k; ++k0) {
    for (int64_t c0 = 0; c0 < c; ++c0) to[c0 * width + k0] = from[k0 * k_stride + c0];
  }
}

}  // namespace

FloatBuffer pack_filter(const FilterView& filter, const std::vector<Tap>& taps, int64_t c,
                        const std::vector<Panel>& panels, int64_t lanes) {
  const auto tap_count = static_cast<int64_t>(taps.size());
  const FloatBuffer packed((panels.back().start + panels.back().vectors * lanes) * c * tap_count);
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / (c * 2 * lanes));
  parallel_for(static_cast<int64_t>(panels.size()) * tap_count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Panel& panel = panels[static_cast<size_t>(i / tap_count)];
      const int64_t tap = i % tap_count, width = panel.vectors * lanes;
      float* to = packed.data() + panel.start * c * tap_count + tap * c * width;
      const float* from = filter.data + taps[static_cast<size_t>(tap)].index * filter.tap_stride +
                          panel.first * filter.k_stride;
      if (panel.channels < width) std::fill_n(to, c * width, 0.0f);
      if (filter.k_stride == 1) {
        for (int64_t j = 0; j < c; ++j)
          std::copy_n(from + j * filter.c_stride, panel.channels, to + j * width);
      } else {
        transpose(to, width, from, filter.k_stride, c, panel.channels);
      }
    }
  });
  return packed;
}

}  // namespace atrous::kernels
