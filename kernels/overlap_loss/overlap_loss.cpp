#include "kernels/overlap_loss/overlap_loss.h"

#include <cmath>

#include "kernels/common/dispatch.h"
#include "kernels/cross_entropy/labels.h"
#include "kernels/overlap_loss/overlap_loss_kernels.h"
#include "kernels/overlap_loss/overlap_loss_math.h"

namespace atrous::kernels {
namespace overlap_loss_impl {
namespace {

constexpr auto only_f32 = [](const OverlapLossProblem& p) -> const char* {
  return p.dtype == DType::f32 ? nullptr : "f32 only";
};

constexpr Implementation<OverlapLossProblem, Fn> table[] = {
    ATROUS_ON_GPU("strips", why_not_f64, run_strips),
    ATROUS_ON_GPU("naive", why_not_f64, run_naive),
    {"blocks", Device::cpu, only_f32, run_blocks},
    {"ref", Device::cpu, why_not_bf16, run_ref},
};

}  // namespace

Overlap overlap_of(const OverlapLossOptions& options, const ClassSums& sums) {
  const size_t classes = sums.present.size();
  Overlap o{0, std::vector<double>(classes, 0.0), std::vector<double>(classes, 0.0)};
  double present = 0;
  for (double g : sums.present) present += g > 0;
  for (size_t k = 0; k < classes; ++k) {
    if (!(sums.present[k] > 0)) continue;
    const ClassOverlap one = class_overlap(options.measure, options.smooth, sums.intersection[k],
                                           sums.predicted[k], sums.present[k], present);
    o.loss += one.loss;
    o.hit[k] = one.hit;
    o.base[k] = one.base;
  }
  return o;
}

}  // namespace overlap_loss_impl

static OverlapLossResult on_host(const OverlapLossResult& result, HostCopies& host) {
  return {host(result.loss), host(result.gradient)};
}

std::string OverlapLossProblem::str() const {
  return fmt::format("p{} k{} {} smooth {}{} {}", pixels, classes,
                     options.measure == OverlapMeasure::dice ? "dice" : "iou", options.smooth,
                     options.squared ? " squared" : "", name_of(dtype));
}

OverlapLossResult overlap_loss(const Tensor& probabilities, const Tensor& labels,
                               const OverlapLossOptions& options, bool want_gradient) {
  const Tensor& p = probabilities;
  ATROUS_CHECK(p.rank() == 4 && p.channels() > 0 && is_floating(p.dtype()), ErrorKind::usage,
               "[overlap_loss] probabilities must be f32, f64 or bf16 of shape [N, H, W, K]. Got {}.",
               p.describe());
  check_same_device("overlap_loss", {p, labels});
  narrow<int32_t>(p.channels(), "overlap_loss");
  narrow<int32_t>(options.ignore_index, "overlap_loss");
  ATROUS_CHECK(std::isfinite(options.smooth) && options.smooth >= 0, ErrorKind::usage,
               "[overlap_loss] smooth must be finite and not negative. Got {}.", options.smooth);
  const Tensor y = checked_labels("overlap_loss", labels, {p.dim(0), p.dim(1), p.dim(2)}, p.channels(),
                                  options.ignore_index);
  const OverlapLossProblem problem{p.pixels(), p.channels(), options, p.dtype()};
  const OverlapLossResult out{Tensor::empty({}, parameter_dtype(p.dtype()), p.device()),
                              want_gradient ? Tensor::empty_like(p) : Tensor()};
  dispatch("overlap_loss", "overlap_loss.forward", overlap_loss_impl::table, problem,
           {out.loss, out.gradient}, p, y, out);
  return out;
}

std::vector<std::string> overlap_loss_candidates(std::string_view entry, const OverlapLossProblem& problem,
                                                 Device device) {
  if (entry == "forward") return candidates(overlap_loss_impl::table, problem, device);
  unknown_entry("overlap_loss", entry);
}

}  // namespace atrous::kernels
