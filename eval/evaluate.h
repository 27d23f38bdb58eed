// Scores a network on a whole data set, at the full resolution of the label files.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "eval/boundary.h"
#include "eval/inference.h"
#include "eval/metrics.h"

namespace atrous::eval {

// Scores of one image; the set's scores are NOT means of these (they come from one confusion matrix).
// All is empty if all is ignored. Means are over the classes in this image's label or prediction.
struct ImageScore : MetricValues<MetricOf::set> {
  std::string id;
  std::string image_path;
  std::optional<double> loss;
};

// Scores of a set.
struct SetScores {
  SemanticScores scores;  // with the boundary metrics if they were requested
  ConfusionMatrix confusion{0};
  std::vector<ImageScore> images;  // in the order of the set
  // Cross-entropy (natural log) per scored pixel, over all pixels of the set; unweighted, whatever the
  // training loss was. Empty without a scored pixel.
  std::optional<double> loss;
};

struct EvaluationResult : SetScores {
  std::optional<SetScores> before_crf;  // if options.crf is enabled
  // Images that the CRF refined in parts, an approximation (eval/crf.h), and the most parts of one image.
  int64_t crf_tiled_images = 0, crf_most_tiles = 1;
  double seconds = 0;
};

// What hooks receive for an image.
struct ScoredImage {
  const data::Sample& sample;  // as decoded
  Tensor prediction;           // u8 [H, W]
  ImageScore score;
  // If options.crf is enabled: the prediction before it.
  Tensor prediction_before;
  std::optional<ImageScore> score_before;
};

struct EvaluationHooks {
  // After each image, in order: images done and all.
  std::function<void(int64_t done, int64_t total)> progress;
  // Each image with its prediction, for pictures.
  std::function<void(const ScoredImage& image)> image;
  // Called before each image; true ends early (the scores then cover the images so far). For signals.
  std::function<bool()> stop;
};

// The classes of a data set; those that cannot occur in it are excluded.
ScoredClasses scored_classes(const data::Dataset& dataset);

// Adds up the scores of a set from predictions, image by image.
class SetScorer {
 public:
  SetScorer(int64_t num_classes, ScoredClasses classes, bool boundary_f1);
  // prediction: u8 [H, W]; probabilities: f32 [H, W, K] in host memory, or undefined: no loss.
  ImageScore add(const data::Sample& sample, const Tensor& prediction, const Tensor& probabilities = {});
  // The same with the counts and the summed cross-entropy already computed.
  ImageScore add(const data::Sample& sample, const Tensor& prediction, const ConfusionMatrix& confusion,
                 std::optional<double> loss_sum);
  SetScores scores() const;

 private:
  ScoredClasses classes_;
  bool with_boundary_f1_;
  ConfusionMatrix confusion_;
  std::vector<ImageScore> images_;
  BoundaryMean boundary_;
  double loss_sum_ = 0;
  int64_t loss_pixels_ = 0;
};

// Error(data) unless the sample has a label of the image's size.
void check_labelled(const data::Sample& sample);

// Puts the model into eval mode for the time of the call. While one image runs, the next one is decoded by a
// separate thread. Images run one by one, so no score depends on a batch size. With
// options.crf the scores before it are given too. Error(data) if a sample has
// no label.
EvaluationResult evaluate(layers::SegmentationModel& model, const data::Dataset& dataset,
                          const data::DataOptions& data, const InferenceOptions& options,
                          bool boundary_f1 = false, const EvaluationHooks& hooks = {});

}  // namespace atrous::eval
