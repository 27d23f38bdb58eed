#include "kernels/roi_pool/roi_pool.h"

#include <algorithm>

#include "kernels/common/arguments.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/roi_arguments.h"
#include "kernels/roi_pool/roi_pool_impl.h"

namespace atrous::kernels {
namespace roi_pool_impl {
namespace {

constexpr auto only_f32 = [](const RoiPoolProblem& p) -> const char* {
  return p.dtype == DType::f32 ? nullptr : "f32 only";
};
constexpr auto few_bins = [](const RoiPoolProblem& p) -> const char* {
  return std::max(p.out_height, p.out_width) > most_tiled_bins ? "at most 32x32 bins" : why_not_f64(p);
};

constexpr Implementation<RoiPoolProblem, ForwardFn> forward_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, forward_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, forward_naive),
    {"bins", Device::cpu, only_f32, forward_bins},
    {"ref", Device::cpu, why_not_bf16, forward_ref},
};
constexpr Implementation<RoiPoolProblem, BackwardFn> backward_table[] = {
    ATROUS_ON_GPU("tiled", few_bins, backward_tiled),
    ATROUS_ON_GPU("naive", why_not_f64, backward_naive),
    {"channels", Device::cpu, only_f32, backward_channels},
    {"ref", Device::cpu, why_not_bf16, backward_ref},
};

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
  check_same_device(where, {x, rois, argmax});
  if (argmax.defined()) {
    check_tensor(where, "argmax", argmax, p.output_shape(), DType::i32, p);
    ATROUS_CHECK(argmax.contiguous(), ErrorKind::usage, "[{}] argmax must be contiguous. Got {}.", where,
                 argmax.describe());
    argmax.bump_version();
  }
  const Tensor y = Tensor::empty(p.output_shape(), x.dtype(), x.device());
  dispatch("roi_pool", "roi_pool.forward", forward_table, p, {y, argmax}, x, rois.contiguous_copy_if_needed(),
           y, argmax);
  return y;
}

Tensor roi_pool_backward(const Tensor& dy, const Tensor& rois, const Tensor& argmax, const Shape& map,
                         const RoiPoolOptions& options) {
  const char* where = "roi_pool backward";
  check_rois(where, rois);
  const RoiPoolProblem p = roi_pool_problem(map, dy.dtype(), rois.dim(0), options);
  check_tensor(where, "output gradient", dy, p.output_shape(), dy.dtype(), p);
  check_tensor(where, "argmax", argmax, p.output_shape(), DType::i32, p);
  check_same_device(where, {dy, rois, argmax});
  const Tensor dx = Tensor::empty(map, dy.dtype(), dy.device());
  dispatch("roi_pool", "roi_pool.backward", backward_table, p, {dx}, dy, rois.contiguous_copy_if_needed(),
           argmax.contiguous_copy_if_needed(), dx);
  return dx;
}

std::vector<std::string> roi_pool_candidates(std::string_view entry, const RoiPoolProblem& problem,
                                             Device device) {
  if (entry == "forward") return candidates(forward_table, problem, device);
  if (entry == "backward") return candidates(backward_table, problem, device);
  unknown_entry("roi_pool", entry);
}

}  // namespace atrous::kernels
