#include "kernels/overlap_loss/overlap_loss.h"

#include <cmath>

#include "kernels/common/entry.h"
#include "kernels/labels/labels.h"
#include "kernels/loss_scale/loss_scale.h"
#include "kernels/overlap_loss/overlap_loss_impl.h"
#include "kernels/overlap_loss/overlap_loss_math.h"

namespace atrous::kernels {
namespace overlap_loss_impl {
namespace {

constexpr Entry<OverlapLossProblem, Fn> forward{"overlap_loss.forward",
                                                {
                                                    ATROUS_ON_GPU("strips", f32_or_bf16, run_strips),
                                                    ATROUS_ON_GPU("naive", f32_or_bf16, run_naive),
                                                    {"blocks", Device::cpu, f32_only, run_blocks},
                                                    {"ref", Device::cpu, f32_or_f64, run_ref},
                                                }};

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
  narrow<int32_t>(p.channels(), "overlap_loss");
  narrow<int32_t>(options.ignore_index, "overlap_loss");
  ATROUS_CHECK(std::isfinite(options.smooth) && options.smooth >= 0, ErrorKind::usage,
               "[overlap_loss] smooth must be finite and not negative. Got {}.", options.smooth);
  const Tensor y = checked_labels("overlap_loss", labels, {p.dim(0), p.dim(1), p.dim(2)}, p.channels(),
                                  options.ignore_index);
  const OverlapLossProblem problem{p.pixels(), p.channels(), options, p.dtype()};
  const OverlapLossResult out{Tensor::empty({}, parameter_dtype(p.dtype()), p.device()),
                              want_gradient ? Tensor::empty_like(p) : Tensor()};
  const Tensor valid =
      loss_scale({.mean = false, .classes = p.channels(), .ignore_index = options.ignore_index}, y);
  overlap_loss_impl::forward(problem, p, y, valid, writes(out));
  return out;
}

EntryList overlap_loss_entries() {
  return {&overlap_loss_impl::forward};
}

}  // namespace atrous::kernels
