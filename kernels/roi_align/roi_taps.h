// The taps of a region's bins, gathered per axis, for the CPU.
//
// Rows and columns are independent: bin (p, q) reads pixel (h, w) with the weight of h for p times that of w
// for q. Samples of a bin that read the same row become one tap, so n samples cost at most n + 1 rows where
// they are a pixel or less apart.
#pragma once

#include <vector>

#include "kernels/roi_align/roi_align_math.h"

namespace atrous::kernels {

struct RoiReader {
  int32_t at;  // row or column
  float weight;
};

// The taps of bin p are taps[begin[p]], ..., taps[begin[p + 1] - 1]; no two with the same `at`.
struct RoiAxisTaps {
  std::vector<size_t> begin;
  std::vector<RoiReader> taps;
  int32_t first = 0, last = -1;  // the inputs that any bin reads are among these

  void compute(const RoiAxis& axis, int64_t bins, int64_t size) {
    taps.clear();
    begin.assign(1, 0);
    first = static_cast<int32_t>(size);
    last = -1;
    for (int64_t p = 0; p < bins; ++p) {
      const RoiSamples inside = roi_samples_inside(axis, p, size);
      for (int32_t i = inside.begin; i < inside.end; ++i) {
        const RoiTap tap = roi_tap(roi_sample(axis, p, i), size);
        if (tap.low < 0) continue;
        add(tap.low, 1.0f - tap.weight);
        if (tap.weight != 0) add(tap.high, tap.weight);
      }
      for (size_t t = begin.back(); t < taps.size(); ++t) taps[t].weight /= static_cast<float>(axis.samples);
      begin.push_back(taps.size());
    }
  }

 private:
  // Samples go along the axis, up or (boxes whose corners are exchanged) down: an input that is there already
  // is among the latest three.
  void add(int32_t at, float weight) {
    first = at < first ? at : first;
    last = at > last ? at : last;
    const size_t size = taps.size();
    for (size_t back = 1; back <= 3 && begin.back() + back <= size; ++back) {
      if (taps[size - back].at != at) continue;
      taps[size - back].weight += weight;
      return;
    }
    taps.push_back({at, weight});
  }
};

struct RoiTaps {
  RoiAxisTaps rows, columns;
};

}  // namespace atrous::kernels
