#include "kernels/conv2d/pack.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"

namespace atrous::kernels {
namespace {

using Vec8 = float __attribute__((vector_size(32), aligned(4), may_alias));
constexpr int64_t line = 16;  // floats

// to[j*to_stride + i] = from[i*from_stride + j] for i, j < 8: pairs, quadruples and halves change places.
[[gnu::always_inline]] inline void transpose_block(float* to, int64_t to_stride, const float* from,
                                                   int64_t from_stride) {
  Vec8 a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = *reinterpret_cast<const Vec8*>(from + i * from_stride);
  for (int i = 0; i < 8; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      a[i + 2 * j] = __builtin_shufflevector(b[i + j], b[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[i + 2 * j + 1] = __builtin_shufflevector(b[i + j], b[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int j = 0; j < 4; ++j) {
    *reinterpret_cast<Vec8*>(to + j * to_stride) =
        __builtin_shufflevector(a[j], a[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *reinterpret_cast<Vec8*>(to + (j + 4) * to_stride) =
        __builtin_shufflevector(a[j], a[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// to[j*width + i] = from[i*stride + j] for i < rows, j < steps. A whole cache line of every row is read at
// once: lines of rows that are a power of two apart share a few sets of the cache and do not stay there.
// For the same reason they are prefetched.
ATROUS_MULTIVERSION void transpose(float* to, int64_t width, const float* from, int64_t stride, int64_t rows,
                                   int64_t steps) {
  int64_t j = 0;
  for (; j + line <= steps; j += line) {
    int64_t i = 0;
    for (; i + 8 <= rows; i += 8) {
      const float* block = from + i * stride + j;
      for (int64_t r = 0; r < 8; ++r) __builtin_prefetch(block + r * stride + 4 * line);
      transpose_block(to + j * width + i, width, block, stride);
      transpose_block(to + (j + 8) * width + i, width, block + 8, stride);
    }
    for (; i < rows; ++i) {
      for (int64_t s = j; s < j + line; ++s) to[s * width + i] = from[i * stride + s];
    }
  }
  for (; j < steps; ++j) {
    for (int64_t i = 0; i < rows; ++i) to[j * width + i] = from[i * stride + j];
  }
}

// to[j*width + i] = from[j*stride + i] for i < channels, j < steps.
ATROUS_MULTIVERSION void copy_rows(float* to, int64_t width, const float* from, int64_t stride,
                                   int64_t channels, int64_t steps) {
  for (int64_t j = 0; j < steps; ++j, to += width, from += stride) {
    __builtin_prefetch(from + 8 * stride);
    __builtin_prefetch(from + 8 * stride + line);
    if (channels == width) {
      for (int64_t i = 0; i < width; i += 8) {
        *reinterpret_cast<Vec8*>(to + i) = *reinterpret_cast<const Vec8*>(from + i);
      }
    } else {
      std::copy_n(from, channels, to);
    }
  }
}

}  // namespace

std::vector<Panel> split_into_panels(int64_t channels, int64_t lanes) {
  std::vector<Panel> panels;
  int64_t start = 0;
  for (int64_t first = 0; first < channels;) {
    const int64_t vectors = channels - first > lanes ? 2 : 1;
    const int64_t count = std::min(channels - first, vectors * lanes);
    panels.push_back({first, count, vectors, start, vectors * lanes});
    first += count;
    start += vectors * lanes;
  }
  return panels;
}

void pack_steps(const FilterView& filter, const std::vector<Tap>& taps, int64_t c, const Panel* first,
                const Panel* last, int64_t begin, int64_t end, const PackedFilter& packed) {
  // Rows of a filter whose output channels are neighbours are read through all panels, a few at a time: one
  // panel is only a piece of a page. Where input channels are, neighbouring taps continue a row.
  const bool rows = filter.k_stride == 1;
  const bool dense = !rows && filter.tap_stride == c;
  for (int64_t step = begin; step < end;) {
    const auto tap = static_cast<size_t>(step / c);
    int64_t next = step / c * c + c;
    for (size_t t = tap; dense && t + 1 < taps.size() && taps[t + 1].index == taps[t].index + 1; ++t) {
      next += c;
    }
    const int64_t count = std::min({next, end, rows ? step + 8 : end}) - step;
    const float* from = filter.data + taps[tap].index * filter.tap_stride + step % c * filter.c_stride;
    for (const Panel* panel = first; panel != last; ++panel) {
      float* to = packed.at(*panel, step);
      if (panel->channels < panel->width) std::fill_n(to, count * panel->width, 0.0f);
      if (rows) {
        copy_rows(to, panel->width, from + panel->first, filter.c_stride, panel->channels, count);
      } else {
        transpose(to, panel->width, from + panel->first * filter.k_stride, filter.k_stride, panel->channels,
                  count);
      }
    }
    step += count;
  }
}

FloatBuffer pack_filter(const FilterView& filter, const std::vector<Tap>& taps, int64_t c,
                        const std::vector<Panel>& panels) {
  const int64_t steps = c * static_cast<int64_t>(taps.size());
  const int64_t lanes = panels.back().start + panels.back().width;
  FloatBuffer packed(lanes * steps);
  const int64_t grain = std::max<int64_t>(4 * line, (1 << 15) / lanes / line * line);
  parallel_for(steps, grain, [&](int64_t begin, int64_t end) {
    pack_steps(filter, taps, c, panels.data(), panels.data() + panels.size(), begin, end,
               {packed.data(), 0, 0, steps});
  });
  return packed;
}

}  // namespace atrous::kernels
