#include "kernels/roi_pool/roi_pool.h"

#include <algorithm>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/common/roi_arguments.h"
#include "kernels/roi_pool/roi_pool_impl.h"

namespace atrous::kernels {
namespace roi_pool_impl {
namespace {

constexpr auto few_bins = [](const RoiPoolProblem& p) -> const char* {
  return std::max(p.out_height, p.out_width) > most_tiled_bins ? "at most 32x32 bins" : f32_or_bf16(p);
};

constexpr Entry<RoiPoolProblem, ForwardFn> forward{
    "roi_pool.forward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, forward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive),
        {"bins", Device::cpu, f32_only, forward_bins},
        {"ref", Device::cpu, f32_or_f64, forward_ref},
    },
    reach_whole};
constexpr Entry<RoiPoolProblem, BackwardFn> backward{
    "roi_pool.backward",
    {
        ATROUS_ON_GPU("tiled", few_bins, backward_tiled),
        ATROUS_ON_GPU("naive", f32_or_bf16, backward_naive),
        {"channels", Device::cpu, f32_only, backward_channels},
        {"ref", Device::cpu, f32_or_f64, backward_ref},
    }};

}  // namespace
}  // namespace roi_pool_impl

using namespace roi_pool_impl;

std::string RoiPoolProblem::str() const {
  return fmt::format("r{} {}x{} n{} {}x{}/{:g} c{} {}", rois, out_height, out_width, images, height, width,
                     1 / scale, channels, name_of(dtype));
}

RoiPoolProblem roi_pool_problem(const Shape& map, DType dtype, int64_t rois, const RoiPoolOptions& o) {
  check_roi_map("roi_pool", map, dtype, o.scale);
  ATROUS_CHECK(o.out_height >= 1 && o.out_width >= 1, ErrorKind::usage,
               "[roi_pool] the output needs a bin or more along each axis. Got {}x{}.", o.out_height,
               o.out_width);
  return {rois, map[0], map[1], map[2], map[3], o.out_height, o.out_width, static_cast<float>(o.scale),
          dtype};
}

Tensor roi_pool_forward(const Tensor& x, const Tensor& rois, const RoiPoolOptions& options,
                        const Tensor& argmax) {
  const char* where = "roi_pool";
  check_rois(where, rois);
  const RoiPoolProblem p = roi_pool_problem(x.shape(), x.dtype(), rois.dim(0), options);
  if (argmax.defined()) {
    check_tensor(where, "argmax", argmax, p.output_shape(), DType::i32, p);
    ATROUS_CHECK(argmax.contiguous(), ErrorKind::usage, "[{}] argmax must be contiguous. Got {}.", where,
                 argmax.describe());
  }
  const Tensor y = Tensor::empty(p.output_shape(), x.dtype(), x.device());
  forward(p, x, rois.contiguous_copy_if_needed(), writes(y), writes(argmax));
  return y;
}

Tensor roi_pool_backward(const Tensor& dy, const Tensor& rois, const Tensor& argmax, const Shape& map,
                         const RoiPoolOptions& options) {
  const char* where = "roi_pool backward";
  check_rois(where, rois);
  const RoiPoolProblem p = roi_pool_problem(map, dy.dtype(), rois.dim(0), options);
  check_tensor(where, "output gradient", dy, p.output_shape(), dy.dtype(), p);
  check_tensor(where, "argmax", argmax, p.output_shape(), DType::i32, p);
  const Tensor dx = Tensor::empty(map, dy.dtype(), dy.device());
  backward(p, dy, rois.contiguous_copy_if_needed(), argmax.contiguous_copy_if_needed(), writes(dx));
  return dx;
}

EntryList roi_pool_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
