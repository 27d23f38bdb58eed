// Blocks of pixels on all threads; their sums are added in order.
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/loss_scale/loss_scale_impl.h"

namespace atrous::kernels::loss_scale_impl {
namespace {

constexpr int64_t pixels_per_block = 1 << 14;

ATROUS_MULTIVERSION int64_t count_valid(const int32_t* y, int64_t n, int64_t ignore_index) {
  const auto ignored = static_cast<int32_t>(ignore_index);
  int32_t valid = 0;
  for (int64_t i = 0; i < n; ++i) valid += y[i] != ignored;
  return valid;
}

}  // namespace

void run_blocks(const LossScaleProblem& p, const Tensor& labels, const Tensor& class_weights,
                const Tensor& pixel_weights, const Tensor& scale, const Tensor&) {
  if (!p.mean) {
    *scale.data<double>() = 1;
    return;
  }
  const int32_t* y = labels.data<int32_t>();
  const double* by_class = class_weights.defined() ? class_weights.data<double>() : nullptr;
  const double* by_pixel = pixel_weights.defined() ? pixel_weights.data<double>() : nullptr;
  const int64_t blocks = (p.pixels() + pixels_per_block - 1) / pixels_per_block;
  std::vector<double> sums(static_cast<size_t>(blocks), 0.0);
  parallel_for(p.pixels(), pixels_per_block, [&](int64_t begin, int64_t end) {
    double sum = 0;
    if (!by_class && !by_pixel) {
      sum = static_cast<double>(count_valid(y + begin, end - begin, p.ignore_index));
    }
    for (int64_t i = begin; (by_class || by_pixel) && i < end; ++i) {
      if (y[i] != p.ignore_index) sum += (by_class ? by_class[y[i]] : 1.0) * (by_pixel ? by_pixel[i] : 1.0);
    }
    sums[static_cast<size_t>(begin / pixels_per_block)] = sum;
  });
  double total = 0;
  for (double s : sums) total += s;
  *scale.data<double>() = scale_of_sum(p.mean, total);
}

}  // namespace atrous::kernels::loss_scale_impl
