#include <limits>

#include "kernels/labels/label_view.h"
#include "kernels/loss_scale/loss_scale_impl.h"

namespace atrous::kernels::loss_scale_impl {
namespace {

// A weight of either type (kernels/labels/labels.h), or 1.
double weight(const Tensor& weights, int64_t i) {
  if (!weights.defined()) return 1;
  return weights.dtype() == DType::f64 ? weights.data<double>()[i]
                                       : static_cast<double>(weights.data<float>()[i]);
}

}  // namespace

void run_ref(const LossScaleProblem& p, const Tensor& labels, const Tensor& class_weights,
             const Tensor& pixel_weights, const Tensor& scale, const Tensor& report) {
  const LabelView y(labels);
  double sum = 0;
  int64_t bad = -1;
  for (int64_t i = 0; i < p.pixels(); ++i) {
    if (y[i] == p.ignore_index) continue;
    if (y[i] < 0 || y[i] >= p.classes) {
      if (bad < 0) bad = i;
      continue;
    }
    sum += weight(class_weights, y[i]) * weight(pixel_weights, i);
  }
  *scale.data<double>() = bad < 0 ? scale_of_sum(p.mean, sum) : std::numeric_limits<double>::quiet_NaN();
  if (bad < 0 || !report.defined()) return;
  if (auto& first = *reinterpret_cast<BadLabel*>(report.data<int64_t>()); !first.found)
    first = {1, bad, p.h, p.w, y[bad], p.classes, p.ignore_index};
}

}  // namespace atrous::kernels::loss_scale_impl
