#include "kernels/box_iou/box_iou.h"

#include "kernels/box_iou/box_iou_impl.h"
#include "kernels/common/entry.h"

namespace atrous::kernels {
namespace {

constexpr Entry<BoxIouProblem, BoxIouFn> pairs{"box_iou.pairs",
                                               {
                                                   ATROUS_ON_GPU("staged", always, box_iou_staged),
                                                   ATROUS_ON_GPU("naive", always, box_iou_naive),
                                                   {"runs", Device::cpu, always, box_iou_runs},
                                                   {"ref", Device::cpu, always, box_iou_ref},
                                               }};

}  // namespace

std::string BoxIouProblem::str() const {
  return fmt::format("{}x{}", a, b);
}

Tensor checked_boxes(const char* op, const char* name, const Tensor& t) {
  ATROUS_CHECK(t.defined() && t.rank() == 2 && t.dim(1) == 4 && t.dtype() == DType::f32, ErrorKind::usage,
               "[{}] {} must be f32 [n, 4]: x1, y1, x2, y2. Got {}.", op, name, t.describe());
  narrow<int32_t>(t.dim(0), op);
  return t.contiguous_copy_if_needed();
}

Tensor box_iou(const Tensor& a, const Tensor& b) {
  const Tensor x = checked_boxes("box_iou", "the first list", a);
  const Tensor y = checked_boxes("box_iou", "the second list", b);
  const BoxIouProblem problem{x.dim(0), y.dim(0)};
  const Tensor iou = Tensor::empty({problem.a, problem.b}, DType::f32, x.device());
  if (iou.numel() > 0) pairs(problem, x, y, writes(iou));
  return iou;
}

EntryList box_iou_entries() {
  return {&pairs};
}

}  // namespace atrous::kernels
