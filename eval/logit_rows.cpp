#include "eval/logit_rows.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/common/exp_math.h"

namespace atrous::eval {
namespace {

ATROUS_MULTIVERSION void lerp(const float* a, const float* b, float weight, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + weight * (b[i] - a[i]);
}

ATROUS_MULTIVERSION void exp_in_place(float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = kernels::exp_approx(x[i]);
}

// One row of the result between two rows of logits, [columns, K].
void resize_row(const float* above, const float* below, float weight, const std::vector<Tap>& columns,
                int64_t source_width, int64_t classes, bool mirrored, float* out) {
  const int64_t row_size = source_width * classes;
  const auto width = static_cast<int64_t>(columns.size());
  std::vector<float> blended;
  if (weight != 0) {
    blended.resize(static_cast<size_t>(row_size));
    lerp(above, below, weight, blended.data(), row_size);
    above = blended.data();
  }
  if (source_width == width && !mirrored) {
    std::copy_n(above, row_size, out);
    return;
  }
  for (int64_t x = 0; x < width; ++x) {
    const Tap& column = columns[static_cast<size_t>(x)];
    const float* a = above + column.first * classes;
    const float* b = above + column.second * classes;
    float* to = out + (mirrored ? width - 1 - x : x) * classes;
    for (int64_t k = 0; k < classes; ++k) to[k] = a[k] + column.weight * (b[k] - a[k]);
  }
}

}  // namespace

std::vector<Tap> logit_taps(int64_t source, int64_t input, int64_t target, bool align_corners) {
  std::vector<Tap> result(static_cast<size_t>(target));
  const auto n = static_cast<double>(input);
  const double to_input = n / static_cast<double>(target);
  for (int64_t i = 0; i < target; ++i) {
    double at = (static_cast<double>(i) + 0.5) * to_input - 0.5;
    if (align_corners) {
      at = std::clamp(at, 0.0, n - 1);
      at *= input > 1 ? static_cast<double>(source - 1) / (n - 1) : 0.0;
    } else if (source != input) {
      at = (at + 0.5) * (static_cast<double>(source) / n) - 0.5;
    }
    at = std::clamp(at, 0.0, static_cast<double>(source - 1));
    const auto first = static_cast<int64_t>(at);
    result[static_cast<size_t>(i)] = {first, std::min(first + 1, source - 1),
                                      static_cast<float>(at - static_cast<double>(first))};
  }
  return result;
}

LogitRows::LogitRows(const Tensor& logits, const LogitGeometry& g)
    : logits_(logits.contiguous_copy_if_needed()),
      mirrored_(g.mirrored),
      rows_(logit_taps(logits.dim(0), g.input_height, g.height, g.align_corners)),
      columns_(logit_taps(logits.dim(1), g.input_width, g.width, g.align_corners)) {
  ATROUS_ASSERT(logits.rank() == 3 && logits.dtype() == DType::f32);
}

void LogitRows::read(int64_t y, float* out) const {
  const int64_t width = logits_.dim(1), classes = logits_.dim(2);
  const Tap& row = rows_[static_cast<size_t>(y)];
  const float* logits = logits_.data<float>();
  resize_row(logits + row.first * width * classes, logits + row.second * width * classes, row.weight,
             columns_, width, classes, mirrored_, out);
}

LogitStream::LogitStream(int64_t source_height, int64_t source_width, int64_t classes, const LogitGeometry& g,
                         Sink sink)
    : sink_(std::move(sink)),
      source_width_(source_width),
      classes_(classes),
      mirrored_(g.mirrored),
      rows_(logit_taps(source_height, g.input_height, g.height, g.align_corners)),
      columns_(logit_taps(source_width, g.input_width, g.width, g.align_corners)) {}

void LogitStream::push(int64_t count, const float* rows) {
  const int64_t row_size = source_width_ * classes_;
  const auto width = static_cast<int64_t>(columns_.size());
  const int64_t first = received_;
  received_ += count;
  // A row that ends in these rows starts in them, or in the one before: else it would have been made already.
  const auto source = [&](int64_t y) { return y < first ? last_.data() : rows + (y - first) * row_size; };
  const auto height = static_cast<int64_t>(rows_.size());
  int64_t end = emitted_;
  while (end < height && rows_[static_cast<size_t>(end)].second < received_) ++end;
  // A few rows at a time, however many came.
  const int64_t at_once = std::clamp<int64_t>((int64_t{1} << 22) / (width * classes_), 16, 256);
  std::vector<float> out;
  while (emitted_ < end) {
    const int64_t n = std::min(at_once, end - emitted_);
    out.resize(static_cast<size_t>(n * width * classes_));
    parallel_for(n, 4, [&](int64_t begin, int64_t stop) {
      for (int64_t i = begin; i < stop; ++i) {
        const Tap& row = rows_[static_cast<size_t>(emitted_ + i)];
        resize_row(source(row.first), source(row.second), row.weight, columns_, source_width_, classes_,
                   mirrored_, out.data() + i * width * classes_);
      }
    });
    sink_(emitted_, n, out.data());
    emitted_ += n;
  }
  last_.assign(rows + (count - 1) * row_size, rows + count * row_size);
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
