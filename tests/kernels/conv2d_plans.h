// Code shared by the tests of the plans of convolutions on the CPU.
#pragma once

#include <algorithm>
#include <vector>

#include "core/random.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {

inline const TileKernels lanes16{16, {14, 28}, nullptr, nullptr};  // as with AVX-512
inline const TileKernels lanes8{8, {6, 12}, nullptr, nullptr};     // as with AVX2

// A square filter of `taps` by `taps`.
inline Conv2dProblem problem(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t taps,
                             int64_t stride = 1, int64_t pad = 0, int64_t dilation = 1) {
  return {n, h, w, c, k, taps, taps, stride, stride, pad, pad, dilation, dilation};
}

// Small problems of all kinds: strides, rates, padding beyond the filter, one pixel, many channels.
inline std::vector<Conv2dProblem> random_problems(int count) {
  Rng rng(7);
  const auto among = [&](const std::vector<int64_t>& values) {
    return values[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(values.size()) - 1))];
  };
  std::vector<Conv2dProblem> problems;
  while (static_cast<int>(problems.size()) < count) {
    const Conv2dProblem p{among({1, 2, 3}),       among({1, 2, 5, 8, 17}), among({1, 3, 8, 21, 65, 300}),
                          among({1, 3, 16, 70}),  among({1, 5, 32, 300}),  among({1, 2, 3}),
                          among({1, 1, 2, 3, 5}), among({1, 1, 2, 3}),     among({1, 1, 2, 4}),
                          among({0, 1, 2, 6}),    among({0, 1, 2, 6}),     among({1, 1, 2, 6}),
                          among({1, 1, 2, 6})};
    if (p.p() >= 1 && p.q() >= 1) problems.push_back(p);
  }
  return problems;
}

// Counts visits of each element of a box.
class Visits {
 public:
  explicit Visits(std::vector<int64_t> extents) : extents_(std::move(extents)) {
    int64_t size = 1;
    for (const int64_t e : extents_) size *= e;
    count_.assign(static_cast<size_t>(size), 0);
  }
  void add(std::initializer_list<int64_t> place) {
    int64_t index = 0;
    size_t axis = 0;
    for (const int64_t i : place) {
      outside_ |= i < 0 || i >= extents_[axis];
      index = index * extents_[axis++] + i;
    }
    if (!outside_) ++count_[static_cast<size_t>(index)];
  }
  bool each_once() const {
    return !outside_ && std::all_of(count_.begin(), count_.end(), [](int n) { return n == 1; });
  }

 private:
  std::vector<int64_t> extents_;
  std::vector<int> count_;
  bool outside_ = false;
};

}  // namespace atrous::kernels
