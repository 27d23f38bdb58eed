#include "eval/metrics.h"

#include "core/error.h"
#include "eval/semantic_metrics.h"
#include "kernels/confusion_matrix/confusion_matrix.h"

namespace atrous::eval {
namespace {

int64_t value_at(const Tensor& t, int64_t i) {
  return t.dtype() == DType::u8 ? t.data<uint8_t>()[i] : t.data<int32_t>()[i];
}

// The counts show that there is a bad value: finds the first one and reports its position.
[[noreturn]] void explain_bad_value(const Tensor& label, const Tensor& prediction, int64_t ignore,
                                    int64_t classes) {
  const int64_t width = label.shape()[-1];
  for (int64_t i = 0; i < label.numel(); ++i) {
    const int64_t gt = value_at(label, i);
    const int64_t p = value_at(prediction, i);
    if (gt == ignore) continue;
    ATROUS_CHECK(gt >= 0 && gt < classes, ErrorKind::data,
                 "[metrics] label values must be below {}{}. Got {} at x={}, y={}. Check the number of "
                 "classes, the ignore value or the label map.",
                 classes, ignore < 0 ? "" : fmt::format(" or {} (ignored)", ignore), gt, i % width,
                 i / width);
    ATROUS_CHECK(
        p >= 0 && p < classes, ErrorKind::data,
        "[metrics] predictions must be classes below {}. Got {} at x={}, y={}. Check the number of classes.",
        classes, p, i % width, i / width);
  }
  ATROUS_ASSERT(false);
  std::abort();
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int64_t num_classes)
    : num_classes_(num_classes), counts_(static_cast<size_t>(num_classes * num_classes)) {}

void ConfusionMatrix::add(const Tensor& label, const Tensor& prediction, int64_t ignore) {
  ATROUS_CHECK(
      label.shape() == prediction.shape(), ErrorKind::data,
      "[metrics] label and prediction must have one size. Got {} and {}. Predict at the size of the label.",
      label.shape().str(), prediction.shape().str());
  for (const Tensor* t : {&label, &prediction}) {
    ATROUS_CHECK(t->dtype() == DType::u8 || t->dtype() == DType::i32, ErrorKind::usage,
                 "[metrics] label maps must be u8 or i32. Got {}. Convert with Tensor::to.",
                 name_of(t->dtype()));
  }
  // Counted on the device of the maps; only the counts are copied.
  const Tensor counts = kernels::confusion_matrix(label, prediction, num_classes_, ignore).to(Device::cpu);
  const int64_t* added = counts.data<int64_t>();
  if (added[kernels::invalid_bin(num_classes_)] > 0) {
    explain_bad_value(label.to(Device::cpu).contiguous_copy_if_needed(),
                      prediction.to(Device::cpu).contiguous_copy_if_needed(), ignore, num_classes_);
  }
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += added[i];
  ignored_ += added[kernels::ignored_bin(num_classes_)];
}

void ConfusionMatrix::add(const ConfusionMatrix& other) {
  ATROUS_CHECK(other.num_classes_ == num_classes_, ErrorKind::usage,
               "[metrics] confusion matrices must have equal classes. Got {} and {}.", num_classes_,
               other.num_classes_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  ignored_ += other.ignored_;
}

SemanticScores ConfusionMatrix::scores(const ScoredClasses& classes, const BoundaryMean* boundary) const {
  SemanticScores s;
  s.ignored_pixels = ignored_;
  for (int64_t c = 0; c < num_classes_; ++c) {
    ClassScore row;
    const auto index = static_cast<size_t>(c);
    row.name = index < classes.names.size() ? classes.names[index] : fmt::format("class{}", c);
    row.excluded = classes.is_excluded(c);
    for (int64_t k = 0; k < num_classes_; ++k) {
      row.ground_truth += at(c, k);
      row.predicted += at(k, c);
    }
    const bool present = row.ground_truth + row.predicted > 0;
    s.excluded_classes += row.excluded;
    s.classes_in_mean += !row.excluded && present;
    s.absent_classes += !row.excluded && !present;
    s.pixels += row.ground_truth;
    s.per_class.push_back(std::move(row));
  }
  fill_metrics(*this, boundary, s);
  return s;
}

}  // namespace atrous::eval
