#include "kernels/paste_masks/paste_masks.h"

#include "kernels/common/entry.h"
#include "kernels/paste_masks/paste_masks_impl.h"

namespace atrous::kernels {
namespace paste_masks_impl {
namespace {

constexpr Entry<PasteMasksProblem, Fn> forward{
    "paste_masks.forward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, forward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive),
        {"rows", Device::cpu, f32_only, forward_rows},
        {"ref", Device::cpu, f32_or_f64, forward_ref},
    }};

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
  paste_masks_impl::forward(p, masks.contiguous_copy_if_needed(), boxes.contiguous_copy_if_needed(),
                            writes(y));
  return y;
}

EntryList paste_masks_entries() {
  return {&paste_masks_impl::forward};
}

}  // namespace atrous::kernels
