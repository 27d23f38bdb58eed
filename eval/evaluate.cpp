#include "eval/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/boundary.h"
#include "eval/eval_mode.h"
#include "kernels/confusion_matrix/confusion_matrix.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace atrous::eval {
namespace {

struct Scored {
  ConfusionMatrix confusion;
  Tensor prediction{};  // u8 [H, W], in host memory
  double loss_sum = 0;  // over scored pixels
};

// Cross-entropy of the rows [first, first + count) of a label map. Row sums are added in row order:
// bit-identical on any number of threads.
void add_loss(const PredictedRows& rows, const Tensor& label, int64_t k, Scored& s) {
  const int64_t w = label.dim(1);
  std::vector<double> row_loss(static_cast<size_t>(rows.count));
  parallel_for(rows.count, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* p = rows.probabilities + i * w * k;
      for (int64_t x = 0; x < w; ++x) {
        const int64_t gt = label.data<uint8_t>()[(rows.first + i) * w + x];
        if (gt == data::ignore_label || gt >= k)
          continue;  // the confusion matrix reports values that are no class
        // Probabilities below f32's smallest normal number count as that: 87.3 nats.
        row_loss[static_cast<size_t>(i)] -=
            std::log(static_cast<double>(std::max(p[x * k + gt], 1.17549435e-38f)));
      }
    }
  });
  for (const double loss : row_loss) s.loss_sum += loss;
}

// From logits [1, H, W, K] on a device: only counts, loss and labels are copied between devices.
Scored score_on_device(const Tensor& logits, const Tensor& label) {
  const Tensor there = label.to(logits.device()).reshape({1, label.dim(0), label.dim(1)});
  const Tensor prediction = kernels::argmax(logits);
  Scored s{ConfusionMatrix(logits.channels())};
  s.confusion.add(there, prediction, data::ignore_label);  // first: its error explains bad labels
  const kernels::CrossEntropyOptions sum{.ignore_index = data::ignore_label,
                                         .reduction = kernels::LossReduction::sum};
  s.loss_sum = kernels::cross_entropy(logits, there, sum, /*want_gradient=*/false).loss.item();
  s.prediction = prediction.to(Device::cpu).reshape(label.shape());
  return s;
}

// Labels and cross-entropy; on the host row by row as they come.
Scored score_image(layers::SegmentationModel& model, const data::Sample& sample,
                   const data::DataOptions& data, const InferenceOptions& options) {
  std::optional<Scored> there;
  const auto map = [&](const Tensor& logits) { there = score_on_device(logits, sample.label); };
  Scored s{ConfusionMatrix(model.num_classes()), Tensor::empty(sample.label.shape(), DType::u8)};
  const auto rows = [&](const PredictedRows& part) {
    const int64_t w = sample.label.dim(1);
    std::copy_n(part.labels, part.count * w, s.prediction.data<uint8_t>() + part.first * w);
    add_loss(part, sample.label, model.num_classes(), s);
  };
  predict_image(model, sample.image, data, options, true, {map, rows});
  if (there) return *there;
  s.confusion.add(sample.label, s.prediction, data::ignore_label);
  return s;
}

}  // namespace

void check_labelled(const data::Sample& sample) {
  ATROUS_CHECK(sample.label.defined(), ErrorKind::data,
               "[eval] every image must have a label. \"{}\" has none. Choose a split with labels.",
               sample.image_path);
  ATROUS_CHECK(sample.label.shape() == Shape({sample.image.dim(0), sample.image.dim(1)}), ErrorKind::data,
               "[eval] image and label must have one size. Got {} for \"{}\" and {} for \"{}\".",
               sample.image.shape().str(), sample.image_path, sample.label.shape().str(), sample.label_path);
}

ScoredClasses scored_classes(const data::Dataset& dataset) {
  ScoredClasses out;
  for (const data::ClassInfo& c : dataset.classes()) {
    out.excluded.push_back(!dataset.can_occur(static_cast<int64_t>(out.names.size())));
    out.names.push_back(c.name);
  }
  return out;
}

SetScorer::SetScorer(int64_t num_classes, ScoredClasses classes, bool boundary_f1)
    : classes_(std::move(classes)), with_boundary_f1_(boundary_f1), confusion_(num_classes) {}

ImageScore SetScorer::add(const data::Sample& sample, const Tensor& prediction, const Tensor& probabilities) {
  Scored s{ConfusionMatrix(confusion_.num_classes())};
  s.confusion.add(sample.label, prediction, data::ignore_label);
  if (probabilities.defined()) {
    add_loss({0, sample.label.dim(0), nullptr, probabilities.data<float>()}, sample.label,
             confusion_.num_classes(), s);
  }
  return add(sample, prediction, s.confusion,
             probabilities.defined() ? std::optional(s.loss_sum) : std::nullopt);
}

ImageScore SetScorer::add(const data::Sample& sample, const Tensor& prediction,
                          const ConfusionMatrix& confusion, std::optional<double> loss_sum) {
  BoundaryMean boundary;
  if (with_boundary_f1_) {
    const BoundaryF1 f1 =
        boundary_f1(sample.label, prediction, data::ignore_label, boundary_tolerance, classes_);
    boundary.add(f1);
    boundary_.add(f1);
  }
  const SemanticScores own = confusion.scores(classes_, &boundary);
  confusion_.add(confusion);
  loss_sum_ += loss_sum.value_or(0);
  loss_pixels_ += loss_sum ? own.pixels : 0;
  // The metrics alone. NOLINTNEXTLINE(cppcoreguidelines-slicing)
  ImageScore score{own, sample.id, sample.image_path, std::nullopt};
  if (loss_sum && own.pixels > 0) score.loss = *loss_sum / static_cast<double>(own.pixels);
  images_.push_back(score);
  return score;
}

SetScores SetScorer::scores() const {
  SetScores result;
  result.scores = confusion_.scores(classes_, &boundary_);
  result.confusion = confusion_;
  result.images = images_;
  if (loss_pixels_ > 0) result.loss = loss_sum_ / static_cast<double>(loss_pixels_);
  return result;
}

EvaluationResult evaluate(layers::SegmentationModel& model, const data::Dataset& dataset,
                          const data::DataOptions& data, const InferenceOptions& options,
                          bool with_boundary_f1, const EvaluationHooks& hooks) {
  const auto start = std::chrono::steady_clock::now();
  const EvalMode mode(model);
  SetScorer scorer(model.num_classes(), scored_classes(dataset), with_boundary_f1), before_crf = scorer;

  const int64_t total = dataset.size();
  auto load = [&dataset](int64_t i) { return dataset.load(i); };
  // Destroyed (and so waited for) before anything it uses, also when an image fails.
  std::future<data::Sample> next;
  int64_t tiled_images = 0, most_tiles = 1;
  if (total > 0) next = std::async(std::launch::async, load, 0);
  for (int64_t i = 0; i < total && !(hooks.stop && hooks.stop()); ++i) {
    const data::Sample sample = next.get();
    if (i + 1 < total) next = std::async(std::launch::async, load, i + 1);
    check_labelled(sample);
    ScoredImage image{sample, {}, {}, {}, {}};
    if (options.crf.enabled) {
      const Prediction before = predict(model, sample.image, data, options);
      const Prediction after = refined(before, sample.image, options.crf);
      image.prediction_before = before.labels;
      image.score_before = before_crf.add(sample, before.labels, before.probabilities.to(Device::cpu));
      image.prediction = after.labels;
      tiled_images += after.crf_tiles > 1;
      most_tiles = std::max(most_tiles, after.crf_tiles);
      image.score = scorer.add(sample, after.labels, after.probabilities);
    } else {
      const Scored scored = score_image(model, sample, data, options);
      image.prediction = scored.prediction;
      image.score = scorer.add(sample, scored.prediction, scored.confusion, scored.loss_sum);
    }
    if (hooks.image) hooks.image(image);
    if (hooks.progress) hooks.progress(i + 1, total);
  }
  EvaluationResult result;
  static_cast<SetScores&>(result) = scorer.scores();
  if (options.crf.enabled) result.before_crf = before_crf.scores();
  result.crf_tiled_images = tiled_images;
  result.crf_most_tiles = most_tiles;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace atrous::eval
