#include <algorithm>
#include <cmath>

#include "kernels/common/visit.h"
#include "kernels/cross_entropy/cross_entropy_impl.h"
#include "kernels/cross_entropy/cross_entropy_math.h"
#include "kernels/labels/label_view.h"

namespace atrous::kernels::cross_entropy_impl {

void run_ref(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
             const CrossEntropyResult& out) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const double scale = *p.scale.data<double>();
    const LabelView label(labels);
    double total = 0;
    for (int64_t i = 0; i < p.n * p.h * p.w; ++i) {
      const T* z = logits.data<T>() + i * logits.pixel_stride();
      const int32_t y = label[i];
      const bool ignored = y == p.ignore_index;
      double max = static_cast<double>(z[0]);
      for (int64_t k = 1; k < p.classes; ++k) max = std::max(max, static_cast<double>(z[k]));
      double sum = 0;
      for (int64_t k = 0; k < p.classes; ++k) sum += std::exp(static_cast<double>(z[k]) - max);
      const auto class_weight = [&](int64_t k) {
        return p.class_weights.defined() ? p.class_weights.data<double>()[k] : 1.0;
      };
      const double pixel_weight =
          ignored ? 0 : (p.pixel_weights.defined() ? p.pixel_weights.data<double>()[i] : 1.0);
      // The weights of -log softmax: of the label, and of every class by its class weight.
      double of_label = 0, of_all = 0, loss = 0, gradient_factor = 1, sum_of_weights = 0;
      if (!ignored) {
        of_label = (1 - p.label_smoothing) * class_weight(y) * pixel_weight;
        of_all = p.label_smoothing / static_cast<double>(p.classes) * pixel_weight;
        const auto term = focal_term(std::log(sum) + max - static_cast<double>(z[y]), p.gamma);
        gradient_factor = term.gradient_factor;
        loss = of_label * term.loss;
        for (int64_t k = 0; of_all != 0 && k < p.classes; ++k) {
          loss += of_all * class_weight(k) * (std::log(sum) + max - static_cast<double>(z[k]));
          sum_of_weights += class_weight(k);
        }
      }
      total += loss;
      if (out.pixel_losses.defined()) out.pixel_losses.data<T>()[i] = static_cast<T>(loss);
      for (int64_t k = 0; out.gradient.defined() && k < p.classes; ++k) {
        const double softmax = std::exp(static_cast<double>(z[k]) - max) / sum;
        double g = ignored ? 0.0 : scale * of_label * gradient_factor * (softmax - (k == y));
        if (of_all != 0) g += scale * of_all * (sum_of_weights * softmax - class_weight(k));
        out.gradient.data<T>()[i * p.classes + k] = static_cast<T>(g);
      }
    }
    *out.loss.data<T>() = static_cast<T>(scale * total);
  });
}

}  // namespace atrous::kernels::cross_entropy_impl
