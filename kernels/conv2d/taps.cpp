#include "kernels/conv2d/taps.h"

#include <algorithm>

#include "kernels/common/ceil_div.h"

namespace atrous::kernels {

std::vector<Tap> forward_taps(const Conv2dProblem& p) {
  std::vector<Tap> taps;
  taps.reserve(static_cast<size_t>(p.r * p.s));
  for (int64_t r = 0; r < p.r; ++r) {
    for (int64_t s = 0; s < p.s; ++s)
      taps.push_back({r * p.dilation_h - p.pad_h, s * p.dilation_w - p.pad_w, r * p.s + s});
  }
  return taps;
}

bool is_pointwise(const std::vector<Tap>& taps, int64_t step_h, int64_t step_w) {
  return taps.size() == 1 && taps[0].h == 0 && taps[0].w == 0 && step_h == 1 && step_w == 1;
}

std::vector<TapRun> runs_of(const std::vector<Tap>& sorted, bool join, int64_t width, int64_t unit,
                            int64_t first_step) {
  std::vector<TapRun> runs;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const Tap& t = sorted[i];
    if (join && !runs.empty() && runs.back().h == t.h && runs.back().w + runs.back().count == t.w) {
      ++runs.back().count;
    } else {
      runs.push_back({t.h, t.w, static_cast<int64_t>(i), 1, 0, 0});
    }
  }
  for (TapRun& r : runs) {
    r.first_step = first_step;
    r.steps = ceil_div(r.count * width, unit);
    first_step += r.steps;
  }
  return runs;
}

TapExtent extent_of(const std::vector<Tap>& taps) {
  if (taps.empty()) return {};
  TapExtent e{taps[0].h, taps[0].h, taps[0].w, taps[0].w};
  for (const Tap& t : taps) {
    e.h_min = std::min(e.h_min, t.h);
    e.h_max = std::max(e.h_max, t.h);
    e.w_min = std::min(e.w_min, t.w);
    e.w_max = std::max(e.w_max, t.w);
  }
  return e;
}

void sort_unique(std::vector<int64_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

std::vector<int64_t> rows_read(int64_t rows, int64_t step, const std::vector<int64_t>& heights) {
  std::vector<int64_t> read;
  read.reserve(static_cast<size_t>(rows) * heights.size());
  for (int64_t p = 0; p < rows; ++p) {
    for (const int64_t h : heights) read.push_back(p * step + h);
  }
  sort_unique(read);
  return read;
}

}  // namespace atrous::kernels
