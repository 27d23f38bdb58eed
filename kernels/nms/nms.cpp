#include "kernels/nms/nms.h"

#include <algorithm>

#include "kernels/box_iou/box_iou.h"
#include "kernels/common/entry.h"
#include "kernels/nms/nms_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<NmsProblem, NmsFn> suppress{"nms.suppress",
                                            {
                                                ATROUS_ON_GPU("tiles", always, nms_tiles, exact_values),
                                                ATROUS_ON_GPU("naive", always, nms_naive, exact_values),
                                                {"runs", Device::cpu, always, nms_runs, exact_values},
                                                {"ref", Device::cpu, always, nms_ref, exact_values},
                                            }};

// `t` [n] of this type, dense; or undefined as given.
Tensor checked(const char* name, const Tensor& t, int64_t n, DType dtype) {
  if (!t.defined()) return t;
  ATROUS_CHECK(t.shape() == Shape{n} && t.dtype() == dtype, ErrorKind::usage,
               "[nms] {} must be {} [{}], one per box. Got {}.", name, name_of(dtype), n, t.describe());
  return t.contiguous_copy_if_needed();
}

}  // namespace

int64_t NmsProblem::capacity() const {
  return options.max_keep > 0 ? std::min(options.max_keep, boxes) : boxes;
}

std::string NmsProblem::str() const {
  const NmsOptions& o = options;
  return fmt::format("n{} groups {} iou {}{}", boxes, o.groups, o.iou_threshold,
                     o.max_keep > 0 ? fmt::format(" keep {}", o.max_keep) : "");
}

NmsResult nms(const Tensor& boxes, const Tensor& scores, const Tensor& groups, const Tensor& valid,
              const NmsOptions& options) {
  NmsInput in{.boxes = checked_boxes("nms", "the boxes", boxes), .scores = {}, .groups = {}, .valid = {}};
  const NmsProblem p{in.boxes.dim(0), options};
  ATROUS_CHECK(scores.defined(), ErrorKind::usage, "[nms] every box needs a score. Got none for {}.",
               boxes.describe());
  in.scores = checked("scores", scores, p.boxes, DType::f32);
  in.groups = checked("groups", groups, p.boxes, DType::i32);
  in.valid = checked("valid", valid, p.boxes, DType::u8);
  ATROUS_CHECK(options.iou_threshold >= 0 && options.iou_threshold <= 1, ErrorKind::usage,
               "[nms] the threshold must be in [0, 1]. Got {}.", options.iou_threshold);
  ATROUS_CHECK(options.groups >= 1 && options.max_keep >= 0, ErrorKind::usage,
               "[nms] at least one group is needed, and max_keep must not be negative. Got {}.", p.str());
  narrow<int32_t>(options.groups, "nms");
  const Device device = boxes.device();
  const NmsResult out{Tensor::empty({p.capacity()}, DType::i32, device),
                      Tensor::empty({1}, DType::i32, device)};
  if (p.boxes == 0) {
    out.count.fill(0);
  } else {
    suppress(p, in, writes(out));
  }
  return out;
}

EntryList nms_entries() {
  return {&suppress};
}

}  // namespace atrous::kernels
