#include "eval/metrics.h"

#include <algorithm>
#include <mutex>

#include "core/error.h"
#include "core/parallel.h"

namespace atrous::eval {
namespace {

int64_t value_at(const Tensor& t, int64_t i) {
  return t.dtype() == DType::u8 ? t.data<uint8_t>()[i] : t.data<int32_t>()[i];
}

// Slow path after the fast one has met a bad value: finds the first one and says where.
[[noreturn]] void explain_bad_value(const Tensor& label, const Tensor& prediction, int64_t ignore,
                                    int64_t classes) {
  const int64_t width = label.shape()[-1];
  for (int64_t i = 0; i < label.numel(); ++i) {
    const int64_t gt = value_at(label, i);
    const int64_t p = value_at(prediction, i);
    if (gt == ignore) continue;
    ATROUS_CHECK(gt >= 0 && gt < classes, ErrorKind::data,
                 "[metrics] label values must be below {} or {} (ignored). Got {} at x={}, y={}. Check the "
                 "number of classes, "
                 "the ignore value or the label map.",
                 classes, ignore, gt, i % width, i / width);
    ATROUS_CHECK(
        p >= 0 && p < classes, ErrorKind::data,
        "[metrics] predictions must be classes below {}. Got {} at x={}, y={}. Check the number of classes.",
        classes, p, i % width, i / width);
  }
  ATROUS_ASSERT(false);
  std::abort();
}

// Counts pixels [begin, end). Returns false at a value that is no class.
template <class G, class P>
bool count(const G* label, const P* prediction, int64_t begin, int64_t end, int64_t ignore, int64_t classes,
           int64_t* counts, int64_t& ignored) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t gt = label[i];
    if (gt == ignore) {
      ++ignored;
      continue;
    }
    const int64_t p = prediction[i];
    if (static_cast<uint64_t>(gt) >= static_cast<uint64_t>(classes) ||
        static_cast<uint64_t>(p) >= static_cast<uint64_t>(classes)) {
      return false;
    }
    ++counts[gt * classes + p];
  }
  return true;
}

bool count_any(const Tensor& label, const Tensor& prediction, int64_t begin, int64_t end, int64_t ignore,
               int64_t classes, int64_t* counts, int64_t& ignored) {
  auto with_label = [&](const auto* gt) {
    return prediction.dtype() == DType::u8
               ? count(gt, prediction.data<uint8_t>(), begin, end, ignore, classes, counts, ignored)
               : count(gt, prediction.data<int32_t>(), begin, end, ignore, classes, counts, ignored);
  };
  return label.dtype() == DType::u8 ? with_label(label.data<uint8_t>()) : with_label(label.data<int32_t>());
}

double ratio(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int64_t num_classes)
    : num_classes_(num_classes), counts_(static_cast<size_t>(num_classes * num_classes)) {}

void ConfusionMatrix::add(const Tensor& label_view, const Tensor& prediction_view, int64_t ignore) {
  ATROUS_CHECK(
      label_view.shape() == prediction_view.shape(), ErrorKind::data,
      "[metrics] label and prediction must have one size. Got {} and {}. Predict at the size of the label.",
      label_view.shape().str(), prediction_view.shape().str());
  for (const Tensor* t : {&label_view, &prediction_view}) {
    ATROUS_CHECK(t->dtype() == DType::u8 || t->dtype() == DType::i32, ErrorKind::usage,
                 "[metrics] label maps must be u8 or i32. Got {}. Convert with Tensor::to.",
                 name_of(t->dtype()));
  }
  const Tensor label = label_view.contiguous_copy_if_needed();
  const Tensor prediction = prediction_view.contiguous_copy_if_needed();
  // Integer sums have no order, so chunks may be added as they come.
  ConfusionMatrix sum(num_classes_);
  bool good = true;
  std::mutex mutex;
  // A chunk has a matrix of its own to fill and add, so it has at least as many pixels as that has counts.
  const int64_t chunk = std::max<int64_t>(1 << 16, 4 * num_classes_ * num_classes_);
  parallel_for(label.numel(), chunk, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> counts(counts_.size());
    int64_t ignored = 0;
    const bool ok = count_any(label, prediction, begin, end, ignore, num_classes_, counts.data(), ignored);
    std::lock_guard lock(mutex);
    good = good && ok;
    sum.ignored_ += ignored;
    for (size_t i = 0; i < counts.size(); ++i) sum.counts_[i] += counts[i];
  });
  if (!good) explain_bad_value(label, prediction, ignore, num_classes_);
  add(sum);
}

void ConfusionMatrix::add(const ConfusionMatrix& other) {
  ATROUS_CHECK(other.num_classes_ == num_classes_, ErrorKind::usage,
               "[metrics] confusion matrices must have equal classes. Got {} and {}.", num_classes_,
               other.num_classes_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  ignored_ += other.ignored_;
}

SemanticScores ConfusionMatrix::scores(const std::vector<std::string>& class_names) const {
  SemanticScores s;
  s.ignored_pixels = ignored_;
  int64_t correct = 0;
  double sum_accuracy = 0;
  int64_t with_ground_truth = 0;
  double weighted_iou = 0;
  for (int64_t c = 0; c < num_classes_; ++c) {
    ClassScore row;
    const auto index = static_cast<size_t>(c);
    row.name = index < class_names.size() ? class_names[index] : fmt::format("class{}", c);
    for (int64_t k = 0; k < num_classes_; ++k) {
      row.ground_truth += at(c, k);
      row.predicted += at(k, c);
    }
    const int64_t hit = at(c, c);
    const int64_t both = row.ground_truth + row.predicted;
    if (both > 0) {
      row.iou = ratio(hit, both - hit);
      row.dice = ratio(2 * hit, both);
      s.miou += *row.iou;
      s.mean_dice += *row.dice;
      ++s.classes_in_mean;
    } else {
      ++s.absent_classes;
    }
    if (row.predicted > 0) row.precision = ratio(hit, row.predicted);
    if (row.ground_truth > 0) {
      row.accuracy = ratio(hit, row.ground_truth);
      sum_accuracy += *row.accuracy;
      ++with_ground_truth;
      weighted_iou += static_cast<double>(row.ground_truth) * *row.iou;
    }
    correct += hit;
    s.pixels += row.ground_truth;
    s.per_class.push_back(std::move(row));
  }
  if (s.classes_in_mean > 0) {
    s.miou /= static_cast<double>(s.classes_in_mean);
    s.mean_dice /= static_cast<double>(s.classes_in_mean);
  }
  if (with_ground_truth > 0) s.mean_accuracy = sum_accuracy / static_cast<double>(with_ground_truth);
  if (s.pixels > 0) {
    s.pixel_accuracy = ratio(correct, s.pixels);
    s.fw_iou = weighted_iou / static_cast<double>(s.pixels);
  }
  return s;
}

}  // namespace atrous::eval
