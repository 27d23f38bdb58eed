#include "kernels/mask_targets/mask_targets.h"

#include "kernels/common/entry.h"
#include "kernels/common/roi_arguments.h"
#include "kernels/mask_targets/mask_targets_impl.h"

namespace atrous::kernels {
namespace mask_targets_impl {
namespace {

constexpr Entry<MaskTargetsProblem, Fn> forward{"mask_targets.forward",
                                                {
                                                    ATROUS_ON_GPU("per_warp", always, forward_per_warp),
                                                    ATROUS_ON_GPU("naive", always, forward_naive),
                                                    {"separable", Device::cpu, always, forward_separable},
                                                    {"ref", Device::cpu, always, forward_ref},
                                                }};

}  // namespace
}  // namespace mask_targets_impl

std::string MaskTargetsProblem::str() const {
  return fmt::format("r{} {}x{} g{} {}x{}", rois, size, size, masks, height, width);
}

Tensor mask_targets(const Tensor& masks, const Tensor& rois, int64_t size) {
  const char* where = "mask_targets";
  check_rois(where, rois);
  ATROUS_CHECK(masks.dtype() == DType::u8 && masks.rank() == 3 && masks.dim(1) >= 1 && masks.dim(2) >= 1 &&
                   masks.dim(1) <= std::numeric_limits<int32_t>::max() / masks.dim(2),
               ErrorKind::usage,
               "[{}] masks must be u8 [G, H, W] with positive H and W, fewer than 2^31 pixels each. Got {}.",
               where, masks.describe());
  ATROUS_CHECK(size >= 1, ErrorKind::usage, "[{}] the size must be at least 1. Got {}.", where, size);
  const MaskTargetsProblem p{masks.dim(0), masks.dim(1), masks.dim(2), rois.dim(0), size};
  const Tensor y = Tensor::empty({p.rois, size, size}, DType::f32, masks.device());
  mask_targets_impl::forward(p, masks.contiguous_copy_if_needed(), rois.contiguous_copy_if_needed(),
                             writes(y));
  return y;
}

EntryList mask_targets_entries() {
  return {&mask_targets_impl::forward};
}

}  // namespace atrous::kernels
