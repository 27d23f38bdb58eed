#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/topk/topk_impl.h"

namespace atrous::kernels {

void topk_ref(const TopKProblem& p, const Tensor& values, const TopKResult& out) {
  int64_t at = 0;
  for (int64_t row = 0; row < p.rows; ++row) {
    const float* v = values.data<float>() + row * values.dim(1);
    int64_t first = 0;
    for (size_t s = 0; s < p.segments.size(); ++s) {
      std::vector<int32_t> order(static_cast<size_t>(p.segments[s]));
      std::iota(order.begin(), order.end(), static_cast<int32_t>(first));
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return std::isnan(v[b]) ? !std::isnan(v[a]) : v[a] > v[b];
      });
      for (int64_t i = 0; i < p.count(s); ++i, ++at) {
        const int32_t index = order[static_cast<size_t>(i)];
        out.indices.data<int32_t>()[at] = index;
        out.values.data<float>()[at] = v[index];
      }
      first += p.segments[s];
    }
  }
}

}  // namespace atrous::kernels
