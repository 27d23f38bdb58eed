#include "kernels/anchors/anchors_impl.h"

namespace atrous::kernels {

void anchors_ref(const AnchorProblem& p, const Tensor& anchors) {
  float* out = anchors.data<float>();
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      const auto dx = static_cast<float>(x * p.stride_x), dy = static_cast<float>(y * p.stride_y);
      for (const auto& box : p.cell) {
        *out++ = dx + box[0];
        *out++ = dy + box[1];
        *out++ = dx + box[2];
        *out++ = dy + box[3];
      }
    }
  }
}

}  // namespace atrous::kernels
