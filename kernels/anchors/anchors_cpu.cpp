// A row of the grid is the row above, shifted in y: rows on all threads, the cell's boxes as one flat
// pattern.
#include <vector>

#include "core/parallel.h"
#include "kernels/anchors/anchors_impl.h"

namespace atrous::kernels {

void anchors_rows(const AnchorProblem& p, const Tensor& anchors) {
  const int64_t length = 4 * static_cast<int64_t>(p.cell.size());
  parallel_for(p.height, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> shifted(static_cast<size_t>(length));
    for (int64_t y = begin; y < end; ++y) {
      // y is the same along the row, x is added cell by cell.
      for (int64_t i = 0; i < length; ++i) {
        const float v = p.cell[static_cast<size_t>(i / 4)][static_cast<size_t>(i % 4)];
        shifted[static_cast<size_t>(i)] = i % 2 ? static_cast<float>(y * p.stride_y) + v : v;
      }
      float* out = anchors.data<float>() + y * p.width * length;
      for (int64_t x = 0; x < p.width; ++x, out += length) {
        const auto dx = static_cast<float>(x * p.stride_x);
        for (int64_t i = 0; i < length; i += 2) {
          out[i] = dx + shifted[static_cast<size_t>(i)];
          out[i + 1] = shifted[static_cast<size_t>(i + 1)];
        }
      }
    }
  });
}

}  // namespace atrous::kernels
