#include "kernels/common/visit.h"
#include "kernels/labels/label_view.h"
#include "kernels/overlap_loss/overlap_loss_impl.h"

namespace atrous::kernels::overlap_loss_impl {

void run_ref(const OverlapLossProblem& p, const Tensor& probabilities, const Tensor& labels,
             const Tensor& valid, const OverlapLossResult& out) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const LabelView y(labels);
    auto probability = [&](int64_t i, int64_t k) {
      return static_cast<double>(probabilities.data<T>()[i * probabilities.pixel_stride() + k]);
    };
    const auto counts = [&](int64_t i) {
      return y[i] != p.options.ignore_index && y[i] >= 0 && y[i] < p.classes;
    };
    ClassSums sums(p.classes);
    for (int64_t i = 0; i < p.pixels; ++i) {
      if (!counts(i)) continue;
      for (int64_t k = 0; k < p.classes; ++k) {
        const double v = probability(i, k);
        sums.predicted[static_cast<size_t>(k)] += p.options.squared ? v * v : v;
      }
      sums.intersection[static_cast<size_t>(y[i])] += probability(i, y[i]);
      sums.present[static_cast<size_t>(y[i])] += 1;
    }
    const Overlap o = overlap_of(p.options, sums);
    *out.loss.data<T>() = static_cast<T>(*valid.data<double>() * o.loss);
    for (int64_t i = 0; out.gradient.defined() && i < p.pixels; ++i) {
      for (int64_t k = 0; k < p.classes; ++k) {
        const auto c = static_cast<size_t>(k);
        const double slope = p.options.squared ? 2 * probability(i, k) : 1.0;
        const double g = counts(i) ? o.base[c] * slope + (y[i] == k ? o.hit[c] : 0.0) : 0.0;
        out.gradient.data<T>()[i * p.classes + k] = static_cast<T>(*valid.data<double>() * g);
      }
    }
  });
}

}  // namespace atrous::kernels::overlap_loss_impl
