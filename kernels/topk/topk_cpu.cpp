// Segments of all rows on all threads: the keys of the best are moved to the start, in linear time, and only
// those are sorted.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/sort_key.h"
#include "kernels/topk/topk_impl.h"

namespace atrous::kernels {
namespace {

// The best `count` of values [first, first + length) of a row.
void take_largest(const float* row, int64_t first, int64_t length, int64_t count, float* values,
                  int32_t* indices) {
  std::vector<uint64_t> keys(static_cast<size_t>(length));
  for (int64_t i = 0; i < length; ++i)
    keys[static_cast<size_t>(i)] = sort_key(row[first + i], static_cast<uint32_t>(first + i));
  const auto end = keys.begin() + count;
  if (count < length) std::nth_element(keys.begin(), end, keys.end());
  std::sort(keys.begin(), end);
  for (int64_t i = 0; i < count; ++i) {
    indices[i] = static_cast<int32_t>(index_of(keys[static_cast<size_t>(i)]));
    values[i] = row[indices[i]];
  }
}

}  // namespace

void topk_segments(const TopKProblem& p, const Tensor& values, const TopKResult& out) {
  std::vector<int64_t> first{0}, at{0};
  for (size_t s = 0; s < p.segments.size(); ++s) {
    first.push_back(first.back() + p.segments[s]);
    at.push_back(at.back() + p.count(s));
  }
  const auto segments = static_cast<int64_t>(p.segments.size());
  parallel_for(p.rows * segments, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / segments, to = row * at.back();
      const auto s = static_cast<size_t>(i % segments);
      take_largest(values.data<float>() + row * first.back(), first[s], p.segments[s], p.count(s),
                   out.values.data<float>() + to + at[s], out.indices.data<int32_t>() + to + at[s]);
    }
  });
}

}  // namespace atrous::kernels
