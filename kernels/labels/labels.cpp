#include "kernels/labels/labels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/labels/labels_impl.h"

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

ATROUS_MULTIVERSION int64_t count_valid(const int32_t* y, int64_t n, int64_t ignore_index) {
  const auto ignored = static_cast<int32_t>(ignore_index);
  int32_t valid = 0;
  for (int64_t i = 0; i < n; ++i) valid += y[i] != ignored;
  return valid;
}

[[noreturn]] void fail_bad_label(const char* op, const BadLabel& bad) {
  const int64_t area = bad.height * bad.width;
  fail(ErrorKind::data,
       "[{}] a label must be a class in [0, {}) or ignore_index {}. Got label {} at image {} of the batch, "
       "row {}, column {}, with {} classes. Raise num_classes, map the value in label_map, or make it the "
       "ignore_index; `atrous data check` lists all such labels.",
       op, bad.classes, bad.ignore_index, bad.label, bad.pixel / area, bad.pixel / bad.width % bad.height,
       bad.pixel % bad.width, bad.classes);
}

double loss_scale_on_cpu(const LossScale& what, const Tensor& checked) {
  if (!what.mean) return 1;
  const int32_t* y = checked.data<int32_t>();
  const double* by_class = what.class_weights.defined() ? what.class_weights.data<double>() : nullptr;
  const double* by_pixel = what.pixel_weights.defined() ? what.pixel_weights.data<double>() : nullptr;
  std::vector<double> sums(static_cast<size_t>(blocks_of(checked.numel())), 0.0);
  parallel_for(checked.numel(), pixels_per_block, [&](int64_t begin, int64_t end) {
    double sum = 0;
    if (!by_class && !by_pixel) {
      sum = static_cast<double>(count_valid(y + begin, end - begin, what.ignore_index));
    }
    for (int64_t i = begin; (by_class || by_pixel) && i < end; ++i) {
      if (y[i] != what.ignore_index)
        sum += (by_class ? by_class[y[i]] : 1.0) * (by_pixel ? by_pixel[i] : 1.0);
    }
    sums[static_cast<size_t>(begin / pixels_per_block)] = sum;
  });
  double total = 0;
  for (double s : sums) total += s;
  return total > 0 ? 1 / total : 0;
}

// The reports of all devices that have computed a loss. Never freed, since a device may be gone before the
// last static object.
struct Reports {
  std::mutex mutex;
  std::map<Device, Tensor> by_device;
};
Reports& reports() {
  static auto& all = *new Reports;
  return all;
}

// Made by the first loss on the device and kept: a graph that is recorded later writes to the same address
// each time.
Tensor bad_label_report(Device device) {
  const std::lock_guard lock(reports().mutex);
  Tensor& report = reports().by_device[device];
  if (!report.defined()) report = Tensor::zeros({bad_label_words}, DType::i64, device);
  return report;
}

}  // namespace

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

Tensor loss_scale(const LossScale& what, const Tensor& checked) {
  const Device device = checked.device();
  if (device == Device::cpu) return Tensor::scalar(loss_scale_on_cpu(what, checked), DType::f64);
  const Tensor scale = Tensor::empty({}, DType::f64, device);
  const Tensor report = bad_label_report(device);
#ifdef ATROUS_WITH_CUDA
  if (device == Device::cuda) cuda::loss_scale(what, checked, scale, report);
#endif
  if (device == Device::sim) sim::loss_scale(what, checked, scale, report);
  return scale;
}

void report_bad_labels() {
  const std::lock_guard lock(reports().mutex);
  for (const auto& [device, report] : reports().by_device) {
    const Tensor words = report.to(Device::cpu);
    const int64_t* w = words.data<int64_t>();
    const BadLabel bad{w[0], w[1], w[2], w[3], w[4], w[5], w[6]};
    if (!bad.found) continue;
    report.copy_from(Tensor::zeros({bad_label_words}, DType::i64));
    fail_bad_label("loss", bad);
  }
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
