// Pasting on the CPU: the taps of the columns are the same for all rows of a box. A row blends two
// rows of the mask once, then two neighbours per pixel. Outside of the box only zeros are written.
#include <algorithm>
#include <cstring>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/visit.h"
#include "kernels/paste_masks/paste_masks_impl.h"

namespace atrous::kernels::paste_masks_impl {
namespace {

// out[i] = (1 - weight[i]) * row[low[i]] + weight[i] * row[low[i] + 1]
ATROUS_MULTIVERSION void stretch(int64_t n, const float* row, const int32_t* low, const float* weight,
                                 float* __restrict out) {
  for (int64_t i = 0; i < n; ++i) out[i] = (1.0f - weight[i]) * row[low[i]] + weight[i] * row[low[i] + 1];
}

// Rows [top, bottom) of the image of one mask. Out: float, or uint8_t for thresholded ones.
template <class Out>
void paste_rows(const PasteMasksProblem& p, const float* mask, const float* box, int64_t top, int64_t bottom,
                Out* out) {
  std::memset(out, 0, static_cast<size_t>((bottom - top) * p.width) * sizeof(Out));
  const PasteAxis rows = paste_axis(p.rule, box[1], box[3], p.size, p.height);
  const PasteAxis columns = paste_axis(p.rule, box[0], box[2], p.size, p.width);
  if (columns.begin >= columns.end) return;
  // Three zeros on both sides: taps may begin two elements before the mask, and end two behind it.
  constexpr int32_t border = 3;
  std::vector<float> blended(static_cast<size_t>(p.size + 2 * border));
  const auto count = static_cast<size_t>(columns.end - columns.begin);
  std::vector<int32_t> low(count);
  std::vector<float> weight(count), values(count);
  for (size_t i = 0; i < count; ++i) {
    const PasteTap tap = paste_tap(columns, columns.begin + static_cast<int64_t>(i), p.size);
    low[i] = tap.low + border;
    weight[i] = tap.weight;
  }
  for (int64_t h = std::max(top, rows.begin); h < std::min(bottom, rows.end); ++h) {
    const PasteTap tap = paste_tap(rows, h, p.size);
    const auto row = [&](int64_t at) { return at >= 0 && at < p.size ? mask + at * p.size : nullptr; };
    const float *above = row(tap.low), *below = row(tap.low + 1);
    for (int64_t k = 0; k < p.size; ++k) {
      blended[static_cast<size_t>(k + border)] = (above ? (1.0f - tap.weight) * above[k] : 0.0f) +
                                                 (below && tap.weight != 0 ? tap.weight * below[k] : 0.0f);
    }
    stretch(static_cast<int64_t>(count), blended.data(), low.data(), weight.data(), values.data());
    Out* to = out + (h - top) * p.width + columns.begin;
    for (size_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<Out, float>)
        to[i] = values[i];
      else
        to[i] = paste_passes(p.rule, values[i], p.threshold);
    }
  }
}

}  // namespace

void forward_rows(const PasteMasksProblem& p, const Tensor& masks, const Tensor& boxes, const Tensor& y) {
  constexpr int64_t height = 128;  // rows of a task
  const int64_t stripes = (p.height + height - 1) / height;
  parallel_for(p.count * stripes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t n = task / stripes, top = task % stripes * height;
      const int64_t bottom = std::min(top + height, p.height), first = (n * p.height + top) * p.width;
      const float* mask = masks.data<float>() + n * p.size * p.size;
      const float* box = boxes.data<float>() + 4 * n;
      if (p.binary)
        paste_rows(p, mask, box, top, bottom, y.data<uint8_t>() + first);
      else
        paste_rows(p, mask, box, top, bottom, y.data<float>() + first);
    }
  });
}

}  // namespace atrous::kernels::paste_masks_impl
