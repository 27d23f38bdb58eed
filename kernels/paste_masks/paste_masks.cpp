#include "kernels/paste_masks/paste_masks.h"

#include "kernels/common/dispatch.h"
#include "kernels/paste_masks/paste_masks_impl.h"

namespace atrous::kernels {
namespace paste_masks_impl {
namespace {

constexpr auto only_f32 = [](const PasteMasksProblem& p) -> const char* {
  return p.dtype == DType::f32 ? nullptr : "f32 only";
};

constexpr Implementation<PasteMasksProblem, Fn> table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, forward_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, forward_naive),
    {"rows", Device::cpu, only_f32, forward_rows},
    {"ref", Device::cpu, why_not_bf16, forward_ref},
};

}  // namespace
}  // namespace paste_masks_impl

std::string PasteMasksProblem::str() const {
  return fmt::format("{} {}x{} to {}x{} {} {} {}", count, size, size, height, width,
                     rule == PasteRule::torchvision ? "torchvision" : "detectron2", binary ? "u8" : "values",
                     name_of(dtype));
}

Tensor paste_masks(const Tensor& masks, const Tensor& boxes, const PasteMasksOptions& options) {
  const char* where = "paste_masks";
  ATROUS_CHECK(masks.rank() == 3 && masks.dim(1) == masks.dim(2) && masks.dim(1) >= 1 &&
                   masks.dim(1) <= 1 << 16 && is_floating(masks.dtype()),
               ErrorKind::usage, "[{}] masks must be square [n, M, M] in f32, f64 or bf16. Got {}.", where,
               masks.describe());
  const Shape expected{masks.dim(0), 4};
  ATROUS_CHECK(boxes.defined() && boxes.dtype() == DType::f32 && boxes.shape() == expected, ErrorKind::usage,
               "[{}] boxes must be f32 [{}, 4], one per mask: x1, y1, x2, y2. Got {}.", where, masks.dim(0),
               boxes.describe());
  ATROUS_CHECK(
      options.height >= 1 && options.width >= 1 && options.height <= 1 << 24 && options.width <= 1 << 24,
      ErrorKind::usage, "[{}] the image must have 1 to 2^24 rows and columns. Got {}x{}.", where,
      options.height, options.width);
  check_same_device(where, {masks, boxes});
  const PasteMasksProblem p{masks.dim(0),
                            masks.dim(1),
                            options.height,
                            options.width,
                            options.rule,
                            options.binary,
                            static_cast<float>(options.threshold),
                            masks.dtype()};
  const Tensor y =
      Tensor::empty({p.count, p.height, p.width}, p.binary ? DType::u8 : p.dtype, masks.device());
  dispatch("paste_masks", "paste_masks.forward", paste_masks_impl::table, p, {y},
           masks.contiguous_copy_if_needed(), boxes.contiguous_copy_if_needed(), y);
  return y;
}

std::vector<std::string> paste_masks_candidates(std::string_view entry, const PasteMasksProblem& problem,
                                                Device device) {
  if (entry == "forward") return candidates(paste_masks_impl::table, problem, device);
  unknown_entry("paste_masks", entry);
}

}  // namespace atrous::kernels
