#include <algorithm>
#include <cmath>

#include "kernels/common/visit.h"
#include "kernels/cross_entropy/cross_entropy_math.h"
#include "kernels/labels/label_view.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy_impl.h"

namespace atrous::kernels::resize_cross_entropy_impl {
namespace {

// The four samples of logits that an output pixel reads, with their weights.
struct Corners {
  int64_t at[4];
  double weight[4];

  Corners(const ResizeCrossEntropyProblem& p, int64_t n, int64_t y, int64_t x) {
    const ResizeTap v = resize_tap(ResizeMode::bilinear, p.align_corners, y, p.in_h, p.loss.h);
    const ResizeTap u = resize_tap(ResizeMode::bilinear, p.align_corners, x, p.in_w, p.loss.w);
    for (int i = 0; i < 4; ++i) {
      at[i] = (n * p.in_h + (i / 2 ? v.high : v.low)) * p.in_w + (i % 2 ? u.high : u.low);
      weight[i] = (i / 2 ? v.weight : 1 - v.weight) * (i % 2 ? u.weight : 1 - u.weight);
    }
  }
};

template <class T>
void run(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
         const CrossEntropyResult& out) {
  const CrossEntropyProblem& l = p.loss;
  std::vector<double> gradient(static_cast<size_t>(logits.numel()), 0.0);
  std::vector<double> z(static_cast<size_t>(l.classes));
  const double scale = *l.scale.data<double>();
  const LabelView label_of(labels);
  double total = 0;
  for (int64_t i = 0; i < l.n * l.h * l.w; ++i) {
    const int32_t label = label_of[i];
    if (out.pixel_losses.defined()) out.pixel_losses.data<T>()[i] = T(0);
    if (label == l.ignore_index) continue;
    const Corners corners(p, i / (l.h * l.w), i / l.w % l.h, i % l.w);
    std::fill(z.begin(), z.end(), 0.0);
    for (int c = 0; c < 4; ++c) {
      const T* sample = logits.data<T>() + corners.at[c] * logits.pixel_stride();
      for (size_t k = 0; k < z.size(); ++k) z[k] += corners.weight[c] * static_cast<double>(sample[k]);
    }
    const double max = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (double v : z) sum += std::exp(v - max);
    const auto y = static_cast<size_t>(label);
    const double weight = (l.class_weights.defined() ? l.class_weights.data<double>()[y] : 1.0) *
                          (l.pixel_weights.defined() ? l.pixel_weights.data<double>()[i] : 1.0);
    const FocalTerm<double> term = focal_term(std::log(sum) + max - z[y], l.gamma);
    total += weight * term.loss;
    if (out.pixel_losses.defined()) out.pixel_losses.data<T>()[i] = static_cast<T>(weight * term.loss);
    for (size_t k = 0; k < z.size(); ++k) {
      const double g = scale * weight * term.gradient_factor * (std::exp(z[k] - max) / sum - (k == y));
      for (int c = 0; c < 4; ++c)
        gradient[static_cast<size_t>(corners.at[c]) * z.size() + k] += corners.weight[c] * g;
    }
  }
  *out.loss.data<T>() = static_cast<T>(scale * total);
  if (!out.gradient.defined()) return;
  for (size_t i = 0; i < gradient.size(); ++i) out.gradient.data<T>()[i] = static_cast<T>(gradient[i]);
}

}  // namespace

void run_ref(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
             const CrossEntropyResult& out) {
  visit_float(p.loss.dtype, [&](auto tag) { run<decltype(tag)>(p, logits, labels, out); });
}

}  // namespace atrous::kernels::resize_cross_entropy_impl
