#include "eval/logit_rows.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/error.h"
#include "kernels/common/exp_math.h"

namespace atrous::eval {
namespace {

ATROUS_MULTIVERSION void lerp(const float* a, const float* b, float weight, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + weight * (b[i] - a[i]);
}

ATROUS_MULTIVERSION void exp_in_place(float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = kernels::exp_approx(x[i]);
}

}  // namespace

std::vector<LogitRows::Tap> LogitRows::taps(int64_t source, int64_t target) {
  std::vector<Tap> result(static_cast<size_t>(target));
  const double ratio = static_cast<double>(source) / static_cast<double>(target);
  for (int64_t i = 0; i < target; ++i) {
    const double at = std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5);
    const int64_t first = std::min(static_cast<int64_t>(at), source - 1);
    result[static_cast<size_t>(i)] = {first, std::min(first + 1, source - 1),
                                      static_cast<float>(at - static_cast<double>(first))};
  }
  return result;
}

LogitRows::LogitRows(const Tensor& logits, int64_t height, int64_t width, bool mirrored)
    : logits_(logits.contiguous_copy_if_needed()),
      height_(height),
      width_(width),
      classes_(logits.dim(2)),
      mirrored_(mirrored),
      rows_(taps(logits.dim(0), height)),
      columns_(taps(logits.dim(1), width)) {
  ATROUS_ASSERT(logits.rank() == 3 && logits.dtype() == DType::f32);
}

void LogitRows::read(int64_t y, float* out) const {
  const int64_t source_width = logits_.dim(1);
  const int64_t row_size = source_width * classes_;
  const Tap& row = rows_[static_cast<size_t>(y)];
  const float* line = logits_.data<float>() + row.first * row_size;
  std::vector<float> blended;
  if (row.weight != 0) {
    blended.resize(static_cast<size_t>(row_size));
    lerp(line, logits_.data<float>() + row.second * row_size, row.weight, blended.data(), row_size);
    line = blended.data();
  }
  if (source_width == width_ && !mirrored_) {
    std::copy_n(line, row_size, out);
    return;
  }
  for (int64_t x = 0; x < width_; ++x) {
    const Tap& column = columns_[static_cast<size_t>(x)];
    const float* a = line + column.first * classes_;
    const float* b = line + column.second * classes_;
    float* to = out + (mirrored_ ? width_ - 1 - x : x) * classes_;
    for (int64_t k = 0; k < classes_; ++k) to[k] = a[k] + column.weight * (b[k] - a[k]);
  }
}

void softmax_row(float* values, int64_t pixels, int64_t classes) {
  for (int64_t p = 0; p < pixels; ++p) {
    float* v = values + p * classes;
    const float top = *std::max_element(v, v + classes);
    for (int64_t k = 0; k < classes; ++k) v[k] -= top;
  }
  exp_in_place(values, pixels * classes);
  for (int64_t p = 0; p < pixels; ++p) {
    float* v = values + p * classes;
    float sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += v[k];
    const float inverse = 1.0f / sum;
    for (int64_t k = 0; k < classes; ++k) v[k] *= inverse;
  }
}

void argmax_row(const float* values, int64_t pixels, int64_t classes, uint8_t* out) {
  for (int64_t p = 0; p < pixels; ++p) {
    const float* v = values + p * classes;
    out[p] = static_cast<uint8_t>(std::max_element(v, v + classes) - v);
  }
}

}  // namespace atrous::eval
