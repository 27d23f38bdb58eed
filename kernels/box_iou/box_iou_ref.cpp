#include "kernels/box_iou/box_iou_impl.h"
#include "kernels/common/box_math.h"

namespace atrous::kernels {

void box_iou_ref(const BoxIouProblem& p, const Tensor& a, const Tensor& b, const Tensor& iou) {
  for (int64_t i = 0; i < p.a; ++i) {
    for (int64_t j = 0; j < p.b; ++j) {
      iou.data<float>()[i * p.b + j] = iou_of(box_at(a.data<float>(), i), box_at(b.data<float>(), j));
    }
  }
}

}  // namespace atrous::kernels
