// Scores of classification as JSON, as text and as HTML: what `eval` prints and writes, and what the page of
// a run shows.
//
//   DIR/report.html    everything on one page, pictures shrunk; needs no other file
//   DIR/scores.json    what --json writes
//   DIR/confusion.svg  up to most_confusion_classes classes
//   DIR/worst/NN_<id>_image.png    NN = 01 is the image whose class has the lowest probability
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "core/json_value.h"
#include "data/image_folders.h"
#include "eval/classification_metrics.h"
#include "eval/report/page.h"

namespace atrous::eval {

// The metrics, loss, images, per_class[] (name, accuracy, top5, images, predicted), and up to
// most_confusion_classes classes confusion[label][prediction]. Undefined scores are null.
JsonValue classification_to_json(const ClassificationScores& scores);
// The inverse; missing members keep their defaults.
ClassificationScores classification_from_json(const JsonValue& json);

std::string classification_cards(const ClassificationScores& scores);
// The table of classes and the confusion matrix.
std::string classification_sections(const ClassificationScores& scores, const std::string& heading);

struct ClassifiedImageScore {
  std::string id, path;
  int64_t label = 0, predicted = 0, rank = 0;  // of the label, from 0
  double probability = 0;                      // of the label
  double predicted_probability = 0;
};
ClassifiedImageScore score_of(const data::ClassifiedImage& image, std::span<const double> probabilities);

struct ClassificationReport {
  std::string network;  // nets::describe
  ClassificationScores scores;
  std::vector<ClassifiedImageScore> images;
  Facts facts;  // what was scored and how; JSON has the same keys
};

// Keeps the wrong images whose own class has the lowest probability.
class WorstClassified {
 public:
  struct Image {
    ClassifiedImageScore score;
    Tensor picture;  // u8 [H, W, C] as decoded
  };
  explicit WorstClassified(size_t count) : count_(count) {}
  void add(const ClassifiedImageScore& score, const Tensor& picture);
  const std::vector<Image>& images() const { return kept_; }  // the worst first

 private:
  size_t count_;
  std::vector<Image> kept_;
};

void print_scores(std::FILE* out, const ClassificationReport& report);
// classification_to_json with per_image[] and the facts.
std::string scores_json(const ClassificationReport& report);
// `folder` exists. Pictures that an earlier report left in its `worst` are removed. Error(io).
void write_classification_report(const std::string& folder, const ClassificationReport& report,
                                 const std::vector<WorstClassified::Image>& worst);

}  // namespace atrous::eval
