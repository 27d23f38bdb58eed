// Runs of the second list are turned into columns once per thread and compared with every box of the first.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/box_iou/box_iou_impl.h"
#include "kernels/common/box_overlaps.h"

namespace atrous::kernels {

void box_iou_runs(const BoxIouProblem& p, const Tensor& a, const Tensor& b, const Tensor& iou) {
  parallel_for(p.b, BoxRun::most, [&](int64_t begin, int64_t end) {
    BoxRun run;
    run.load(b.data<float>(), begin, end - begin);
    for (int64_t i = 0; i < p.a; ++i)
      overlaps(box_at(a.data<float>(), i), run, iou.data<float>() + i * p.b + begin);
  });
}

}  // namespace atrous::kernels
