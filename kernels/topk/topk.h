// Not differentiable: no layer. (Indices go to layers/take_rows.h, which is.)
//
// The largest values of each segment of a row, by falling value, equal values by rising index. NaN is smaller
// than everything. A region-proposal network takes the best of each level so: rows are images, segments are
// levels.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

struct TopKProblem {
  int64_t rows = 0;
  std::vector<int64_t> segments;  // their lengths
  int64_t k = 0;
  int64_t count(size_t segment) const { return segments[segment] < k ? segments[segment] : k; }
  int64_t total() const;    // of the counts of all segments
  std::string str() const;  // "2x[201600, 50400] top 1000"
};

struct TopKResult {
  Tensor values;                // f32 [rows, sum of counts]: the segments' results one after another
  Tensor indices;               // i32, likewise: positions in the row (not in the segment)
  std::vector<int64_t> counts;  // per segment: k, or its length if that is less

  static void each_tensor(auto& self, const auto& f) {
    f(self.values);
    f(self.indices);
  }
};

// values f32 [rows, A], where `segments` add up to A; k >= 0. Error(usage): shapes, types.
TopKResult topk(const Tensor& values, const std::vector<int64_t>& segments, int64_t k);

}  // namespace atrous::kernels
