#include "kernels/common/visit.h"
#include "kernels/confusion_matrix/confusion_matrix_impl.h"
#include "kernels/labels/label_view.h"

namespace atrous::kernels::confusion_matrix_impl {
namespace {

void put_label(const Tensor& labels, int64_t i, int64_t value) {
  if (labels.dtype() == DType::u8)
    labels.data<uint8_t>()[i] = static_cast<uint8_t>(value);
  else
    labels.data<int32_t>()[i] = static_cast<int32_t>(value);
}

int64_t prediction_at(const ConfusionProblem& p, const Tensor& logits, int64_t i) {
  int64_t best = 0;
  visit_float(p.dtype, [&](auto tag) {
    best = first_of_largest(logits.data<decltype(tag)>() + i * logits.pixel_stride(), p.classes);
  });
  return best;
}

}  // namespace

void count_ref(const ConfusionProblem& p, const Tensor& label, const Tensor& prediction,
               const Tensor& counts) {
  counts.fill(0);
  const LabelView y(label), x(prediction);
  for (int64_t i = 0; i < p.pixels; ++i)
    ++counts.data<int64_t>()[confusion_bin(y[i], x[i], p.classes, p.ignore_index)];
}

void argmax_ref(const ConfusionProblem& p, const Tensor& logits, const Tensor& labels) {
  for (int64_t i = 0; i < p.pixels; ++i) put_label(labels, i, prediction_at(p, logits, i));
}

void argmax_count_ref(const ConfusionProblem& p, const Tensor& logits, const Tensor& label,
                      const Tensor& counts) {
  counts.fill(0);
  const LabelView y(label);
  for (int64_t i = 0; i < p.pixels; ++i) {
    ++counts.data<int64_t>()[confusion_bin(y[i], prediction_at(p, logits, i), p.classes, p.ignore_index)];
  }
}

}  // namespace atrous::kernels::confusion_matrix_impl
