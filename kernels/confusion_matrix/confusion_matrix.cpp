#include "kernels/confusion_matrix/confusion_matrix.h"

#include "kernels/common/entry.h"
#include "kernels/confusion_matrix/confusion_matrix_impl.h"

namespace atrous::kernels {
namespace confusion_matrix_impl {
namespace {

constexpr auto fits_shared = [](const ConfusionProblem& p) -> const char* {
  return p.classes > most_shared ? "at most 156 classes" : nullptr;
};
constexpr auto fits_staged = [](const ConfusionProblem& p) -> const char* {
  return p.classes > most_staged ? "at most 95 classes" : f32_or_bf16(p);
};

constexpr Entry<ConfusionProblem, CountFn> count{
    "confusion_matrix.count",
    {
        ATROUS_ON_GPU("shared", fits_shared, count_shared, exact_values),
        ATROUS_ON_GPU("naive", always, count_naive, exact_values),
        {"chunks", Device::cpu, always, count_chunks, exact_values},
        {"ref", Device::cpu, always, count_ref, exact_values},
    }};
constexpr Entry<ConfusionProblem, ArgmaxFn> best_class{
    "confusion_matrix.argmax",
    {
        ATROUS_ON_GPU("staged", fits_staged, argmax_staged, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, argmax_naive, exact_values),
        {"chunks", Device::cpu, f32_or_f64, argmax_chunks, exact_values},
        {"ref", Device::cpu, f32_or_f64, argmax_ref, exact_values},
    }};
constexpr Entry<ConfusionProblem, ArgmaxCountFn> argmax_count{
    "confusion_matrix.argmax_count",
    {
        ATROUS_ON_GPU("staged", fits_staged, argmax_count_staged, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, argmax_count_naive, exact_values),
        {"chunks", Device::cpu, f32_or_f64, argmax_count_chunks, exact_values},
        {"ref", Device::cpu, f32_or_f64, argmax_count_ref, exact_values},
    }};

bool is_label(DType t) {
  return t == DType::u8 || t == DType::i32;
}

void check_logits(const char* op, const Tensor& logits) {
  ATROUS_CHECK(logits.rank() >= 1 && is_floating(logits.dtype()) && logits.channels() >= 1, ErrorKind::usage,
               "[{}] logits must be f32, f64 or bf16 of shape [..., K] with a class or more. Got {}.", op,
               logits.describe());
}

Shape without_channels(const Shape& s) {
  return Shape(std::span(s.begin(), static_cast<size_t>(s.rank() - 1)));
}

}  // namespace
}  // namespace confusion_matrix_impl

using namespace confusion_matrix_impl;

std::string ConfusionProblem::str() const {
  return fmt::format("px{} k{} ignore{} label {} prediction {} {}", pixels, classes, ignore_index,
                     name_of(label), name_of(prediction), name_of(dtype));
}

Tensor confusion_matrix(const Tensor& label, const Tensor& prediction, int64_t classes,
                        int64_t ignore_index) {
  ATROUS_CHECK(is_label(label.dtype()) && is_label(prediction.dtype()) &&
                   label.shape() == prediction.shape() && classes >= 0,
               ErrorKind::usage,
               "[confusion_matrix] labels and predictions must be u8 or i32 of one shape. Got {} and {} for "
               "{} classes.",
               label.describe(), prediction.describe(), classes);
  const ConfusionProblem p{label.numel(), classes, ignore_index, label.dtype(), prediction.dtype()};
  const Tensor counts = Tensor::empty({confusion_bins(classes)}, DType::i64, label.device());
  count(p, label.contiguous_copy_if_needed(), prediction.contiguous_copy_if_needed(), writes(counts));
  return counts;
}

Tensor argmax(const Tensor& logits, DType dtype) {
  check_logits("argmax", logits);
  ATROUS_CHECK(dtype == DType::i32 || (dtype == DType::u8 && logits.channels() <= 256), ErrorKind::usage,
               "[argmax] labels must be i32, or u8 for up to 256 classes. Got {} for {}.", name_of(dtype),
               logits.describe());
  const ConfusionProblem p{
      .pixels = logits.pixels(), .classes = logits.channels(), .prediction = dtype, .dtype = logits.dtype()};
  const Tensor labels = Tensor::empty(without_channels(logits.shape()), dtype, logits.device());
  best_class(p, logits, writes(labels));
  return labels;
}

Tensor argmax_confusion(const Tensor& logits, const Tensor& label, int64_t ignore_index) {
  check_logits("argmax_confusion", logits);
  ATROUS_CHECK(is_label(label.dtype()) && label.shape() == without_channels(logits.shape()), ErrorKind::usage,
               "[argmax_confusion] labels must be u8 or i32, one per pixel of the logits. Got {} for {}.",
               label.describe(), logits.describe());
  const ConfusionProblem p{.pixels = logits.pixels(),
                           .classes = logits.channels(),
                           .ignore_index = ignore_index,
                           .label = label.dtype(),
                           .dtype = logits.dtype()};
  const Tensor counts = Tensor::empty({confusion_bins(p.classes)}, DType::i64, label.device());
  argmax_count(p, logits, label.contiguous_copy_if_needed(), writes(counts));
  return counts;
}

EntryList confusion_matrix_entries() {
  return {&count, &best_class, &argmax_count};
}

}  // namespace atrous::kernels
