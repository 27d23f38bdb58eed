// Two passes over the probabilities: sums per block of pixels, added in block order, then the gradient.
#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/overlap_loss/overlap_loss_impl.h"

namespace atrous::kernels::overlap_loss_impl {
namespace {

constexpr int64_t pixels_per_block = 4096;

ATROUS_MULTIVERSION void add_pixel(const float* p, int64_t classes, bool squared, double* sum) {
  if (squared) {
    for (int64_t k = 0; k < classes; ++k) sum[k] += static_cast<double>(p[k]) * static_cast<double>(p[k]);
  } else {
    for (int64_t k = 0; k < classes; ++k) sum[k] += static_cast<double>(p[k]);
  }
}

}  // namespace

void run_blocks(const OverlapLossProblem& p, const Tensor& probabilities, const Tensor& labels, const Tensor&,
                const OverlapLossResult& out) {
  const int32_t* y = labels.data<int32_t>();
  const float* data = probabilities.data<float>();
  const int64_t stride = probabilities.pixel_stride();
  const int64_t blocks = (p.pixels + pixels_per_block - 1) / pixels_per_block;
  std::vector<ClassSums> partial(static_cast<size_t>(blocks), ClassSums(p.classes));
  parallel_for(p.pixels, pixels_per_block, [&](int64_t begin, int64_t end) {
    ClassSums& sums = partial[static_cast<size_t>(begin / pixels_per_block)];
    for (int64_t i = begin; i < end; ++i) {
      if (y[i] == p.options.ignore_index) continue;
      add_pixel(data + i * stride, p.classes, p.options.squared, sums.predicted.data());
      sums.intersection[static_cast<size_t>(y[i])] += static_cast<double>(data[i * stride + y[i]]);
      sums.present[static_cast<size_t>(y[i])] += 1;
    }
  });
  ClassSums total(p.classes);
  for (const ClassSums& sums : partial) {
    for (size_t k = 0; k < total.present.size(); ++k) {
      total.intersection[k] += sums.intersection[k];
      total.predicted[k] += sums.predicted[k];
      total.present[k] += sums.present[k];
    }
  }
  const Overlap o = overlap_of(p.options, total);
  *out.loss.data<float>() = static_cast<float>(o.loss);
  if (!out.gradient.defined()) return;

  const std::vector<float> base(o.base.begin(), o.base.end());
  parallel_for(p.pixels, pixels_per_block, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* g = out.gradient.data<float>() + i * p.classes;
      if (y[i] == p.options.ignore_index) {
        std::fill_n(g, p.classes, 0.0f);
        continue;
      }
      if (p.options.squared) {
        for (int64_t k = 0; k < p.classes; ++k)
          g[k] = base[static_cast<size_t>(k)] * 2 * data[i * stride + k];
      } else {
        std::copy(base.begin(), base.end(), g);
      }
      g[y[i]] += static_cast<float>(o.hit[static_cast<size_t>(y[i])]);
    }
  });
}

}  // namespace atrous::kernels::overlap_loss_impl
