#include "kernels/labels/labels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"

namespace atrous::kernels {
namespace {

constexpr int64_t pixels_per_block = 1 << 14;

int64_t blocks_of(int64_t pixels) {
  return (pixels + pixels_per_block - 1) / pixels_per_block;
}

// Index of the first label that is neither a class nor ignored, or -1. Counts first: that loop vectorises,
// and a bad label is rare.
ATROUS_MULTIVERSION int64_t first_bad(const int32_t* y, int64_t n, int64_t classes, int64_t ignore_index) {
  const auto limit = static_cast<uint32_t>(classes);
  const auto ignored = static_cast<int32_t>(ignore_index);
  int32_t bad = 0;
  for (int64_t i = 0; i < n; ++i) bad += (static_cast<uint32_t>(y[i]) >= limit) & (y[i] != ignored);
  if (bad == 0) return -1;
  for (int64_t i = 0; i < n; ++i) {
    if (static_cast<uint32_t>(y[i]) >= limit && y[i] != ignored) return i;
  }
  return -1;
}

}  // namespace

void fail_bad_label(const char* op, const BadLabel& bad) {
  const int64_t area = bad.height * bad.width;
  fail(ErrorKind::data,
       "[{}] a label must be a class in [0, {}) or ignore_index {}. Got label {} at image {} of the batch, "
       "row {}, column {}, with {} classes. Raise num_classes, map the value in label_map, or make it the "
       "ignore_index; `atrous data check` lists all such labels.",
       op, bad.classes, bad.ignore_index, bad.label, bad.pixel / area, bad.pixel / bad.width % bad.height,
       bad.pixel % bad.width, bad.classes);
}

Tensor checked_labels(const char* op, const Tensor& labels, const Shape& pixels, int64_t classes,
                      int64_t ignore_index) {
  ATROUS_CHECK(labels.shape() == pixels && (labels.dtype() == DType::i32 || labels.dtype() == DType::u8),
               ErrorKind::usage,
               "[{}] labels must be i32 or u8 of shape {} (one per pixel of the logits). Got {}.", op,
               pixels.str(), labels.describe());
  if (labels.device() != Device::cpu) return labels.contiguous_copy_if_needed();
  const Tensor result = labels.to(DType::i32).contiguous_copy_if_needed();
  const int32_t* y = result.data<int32_t>();
  std::vector<int64_t> bad(static_cast<size_t>(blocks_of(result.numel())), -1);
  parallel_for(result.numel(), pixels_per_block, [&](int64_t begin, int64_t end) {
    if (const int64_t at = first_bad(y + begin, end - begin, classes, ignore_index); at >= 0) {
      bad[static_cast<size_t>(begin / pixels_per_block)] = begin + at;
    }
  });
  const auto first = std::find_if(bad.begin(), bad.end(), [](int64_t i) { return i >= 0; });
  if (first != bad.end()) {
    fail_bad_label(op, {1, *first, pixels[1], pixels[2], y[*first], classes, ignore_index});
  }
  return result;
}

Tensor checked_class_weights(const char* op, const Tensor& class_weights, int64_t classes, Device device) {
  if (!class_weights.defined()) return class_weights;
  ATROUS_CHECK(class_weights.shape() == Shape{classes} && is_floating(class_weights.dtype()),
               ErrorKind::usage, "[{}] class weights must hold one number per class: [{}]. Got {}.", op,
               classes, class_weights.describe());
  if (class_weights.device() != Device::cpu) {
    return class_weights.to(DType::f32).contiguous_copy_if_needed();
  }
  const Tensor weights = class_weights.to(DType::f64).contiguous_copy_if_needed();
  for (int64_t k = 0; k < classes; ++k) {
    const double w = weights.data<double>()[k];
    ATROUS_CHECK(std::isfinite(w) && w >= 0, ErrorKind::usage,
                 "[{}] class weights must be finite and not negative. Got {} for class {}.", op, w, k);
  }
  return device == Device::cpu ? weights : weights.to(DType::f32).to(device);
}

Tensor checked_pixel_weights(const char* op, const Tensor& pixel_weights, const Shape& pixels,
                             Device device) {
  if (!pixel_weights.defined()) return pixel_weights;
  ATROUS_CHECK(pixel_weights.shape() == pixels && is_floating(pixel_weights.dtype()), ErrorKind::usage,
               "[{}] pixel weights must hold one number per pixel: {}. Got {}.", op, pixels.str(),
               pixel_weights.describe());
  return pixel_weights.to(device == Device::cpu ? DType::f64 : DType::f32).contiguous_copy_if_needed();
}

}  // namespace atrous::kernels
