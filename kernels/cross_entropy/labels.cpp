#include "kernels/cross_entropy/labels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"

namespace atrous::kernels {
namespace {

constexpr int64_t pixels_per_block = 1 << 14;

int64_t blocks_of(int64_t pixels) {
  return (pixels + pixels_per_block - 1) / pixels_per_block;
}

}  // namespace

Tensor checked_labels(const char* op, const Tensor& labels, const Shape& pixels, int64_t classes,
                      int64_t ignore_index) {
  ATROUS_CHECK(labels.shape() == pixels && (labels.dtype() == DType::i32 || labels.dtype() == DType::u8),
               ErrorKind::usage,
               "[{}] labels must be i32 or u8 of shape {} (one per pixel of the logits). Got {}.", op,
               pixels.str(), labels.describe());
  const Tensor result = labels.to(DType::i32).contiguous_copy_if_needed();
  const int32_t* y = result.data<int32_t>();
  std::vector<int64_t> bad(static_cast<size_t>(blocks_of(result.numel())), -1);
  parallel_for(result.numel(), pixels_per_block, [&](int64_t begin, int64_t end) {
    auto is_good = [&](int32_t v) { return (v >= 0 && v < classes) || v == ignore_index; };
    const int32_t* found = std::find_if_not(y + begin, y + end, is_good);
    if (found != y + end) bad[static_cast<size_t>(begin / pixels_per_block)] = found - y;
  });
  const auto first = std::find_if(bad.begin(), bad.end(), [](int64_t i) { return i >= 0; });
  if (first == bad.end()) return result;
  const int64_t h = pixels[1], w = pixels[2];
  fail(ErrorKind::data,
       "[{}] a label must be a class in [0, {}) or ignore_index {}. Got label {} at image {} of the batch, "
       "row {}, column {}, "
       "with {} classes. Raise num_classes, map the value in label_map, or make it the ignore_index; `atrous "
       "data check` "
       "lists all such labels.",
       op, classes, ignore_index, y[*first], *first / (h * w), *first / w % h, *first % w, classes);
}

double loss_scale(bool mean, const Tensor& checked, int64_t ignore_index, const Tensor& class_weights,
                  const Tensor& pixel_weights) {
  if (!mean) return 1;
  const int32_t* y = checked.data<int32_t>();
  const double* by_class = class_weights.defined() ? class_weights.data<double>() : nullptr;
  const double* by_pixel = pixel_weights.defined() ? pixel_weights.data<double>() : nullptr;
  std::vector<double> sums(static_cast<size_t>(blocks_of(checked.numel())), 0.0);
  parallel_for(checked.numel(), pixels_per_block, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) {
      if (y[i] != ignore_index) sum += (by_class ? by_class[y[i]] : 1.0) * (by_pixel ? by_pixel[i] : 1.0);
    }
    sums[static_cast<size_t>(begin / pixels_per_block)] = sum;
  });
  double total = 0;
  for (double s : sums) total += s;
  return total > 0 ? 1 / total : 0;
}

Tensor checked_class_weights(const char* op, const Tensor& class_weights, int64_t classes) {
  if (!class_weights.defined()) return class_weights;
  ATROUS_CHECK(class_weights.shape() == Shape{classes} && is_floating(class_weights.dtype()),
               ErrorKind::usage, "[{}] class weights must hold one number per class: [{}]. Got {}.", op,
               classes, class_weights.describe());
  const Tensor weights = class_weights.to(DType::f64).contiguous_copy_if_needed();
  for (int64_t k = 0; k < classes; ++k) {
    const double w = weights.data<double>()[k];
    ATROUS_CHECK(std::isfinite(w) && w >= 0, ErrorKind::usage,
                 "[{}] class weights must be finite and not negative. Got {} for class {}.", op, w, k);
  }
  return weights;
}

Tensor checked_pixel_weights(const char* op, const Tensor& pixel_weights, const Shape& pixels) {
  if (!pixel_weights.defined()) return pixel_weights;
  ATROUS_CHECK(pixel_weights.shape() == pixels && is_floating(pixel_weights.dtype()), ErrorKind::usage,
               "[{}] pixel weights must hold one number per pixel: {}. Got {}.", op, pixels.str(),
               pixel_weights.describe());
  return pixel_weights.to(DType::f64).contiguous_copy_if_needed();
}

}  // namespace atrous::kernels
