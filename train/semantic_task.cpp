#include "train/semantic_task.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "eval/pictures.h"
#include "eval/report/semantic_json.h"
#include "eval/validation_metrics.h"
#include "train/class_weights.h"
#include "train/sample_pictures.h"
#include "train/signals.h"

namespace atrous::train {
namespace {

std::shared_ptr<layers::SegmentationModel> make_segmentation_model(const Config& config,
                                                                   bool weights_follow) {
  auto model = weights_follow ? nets::build_model(config.model) : nets::make_model(config.model, config.seed);
  layers::require_pixel_labels(*model, "train");
  return model;
}

Validation summary_of(const eval::EvaluationResult& result, const eval::Palette& palette) {
  const eval::SemanticScores& s = result.scores;
  Validation v;
  v.scored = s.pixels > 0;
  if (v.scored) {
    for (const eval::ValidationMetric& m : eval::validation_metrics(eval::TaskKind::semantic)) {
      if (const auto& score = s[m.key]) v.scores.emplace_back(m.key, *score);
    }
    v.curves = {{"val/loss", *result.loss}};
    for (const eval::SemanticMetric* m : eval::semantic_metrics_in(eval::shown_curve)) {
      const double score = s[m->key].value();
      v.curves.emplace_back(fmt::format("val/{}", m->key), score);
      v.text += fmt::format("{}{} {:.4f}", v.text.empty() ? "" : ", ", m->title, score);
      if (!is_main(*m)) continue;
      v.text +=
          fmt::format(" over {} classes{}, loss {:.4f}", s.classes_in_mean,
                      s.absent_classes ? fmt::format(" ({} absent)", s.absent_classes) : "", *result.loss);
    }
    v.warnings = suspicions(s);
  } else {
    v.text = eval::no_scored_pixel;
    v.warnings = {"warning: no pixel of the validation labels is scored: all are ignored"};
  }
  std::vector<std::string> colors;  // as CSS writes them
  for (size_t c = 0; c < s.per_class.size(); ++c) {
    colors.push_back(fmt::format("#{:02x}{:02x}{:02x}", palette[c][0], palette[c][1], palette[c][2]));
    if (const auto& iou = s.per_class[c]["iou"])
      v.curves.emplace_back("val_iou/" + s.per_class[c].name, *iou);
  }
  v.line = JsonValue::make_object();
  v.line["val_loss"] = JsonValue::of(result.loss);
  for (auto& [key, value] : scores_to_json(s).object) v.line[key] = value;
  v.best = v.line;
  v.best["colors"] = JsonValue::of(colors);
  v.best["confusion"] = confusion_to_json(result.confusion);
  v.seconds = result.seconds;
  return v;
}

}  // namespace

std::vector<std::string> suspicions(const eval::SemanticScores& scores) {
  std::vector<std::string> out;
  int64_t predicted = 0, labelled = 0;
  std::string only;
  for (const eval::ClassScore& c : scores.per_class) {
    if (c.ground_truth == 0 && !c.excluded)
      out.push_back(fmt::format("warning: class \"{}\" has no pixel in the validation labels", c.name));
    labelled += c.ground_truth > 0;
    predicted += c.predicted > 0;
    if (c.predicted > 0) only = c.name;
  }
  if (predicted == 1 && labelled > 1) {
    out.push_back(
        fmt::format("warning: every pixel is predicted as \"{}\". If this stays so, try train.class_weights, "
                    "a dice loss or another learning rate",
                    only));
  }
  return out;
}

SemanticTask::SemanticTask(const Config& config, bool weights_follow, const data::ClassList* stored)
    : config_(config),
      sets_(open_datasets(config, stored)),
      model_(make_segmentation_model(config, weights_follow)) {}

void SemanticTask::begin(RunState& state, int64_t first, int64_t needed) {
  const TrainOptions& train = config_.train;
  if (state.step == 0) {
    std::function<data::LabelHistogram()> histogram;
    if (sets_.train) histogram = [&] { return data::label_histogram(*sets_.train); };
    state.class_weights = class_weights(train.class_weights, histogram, config_.model.num_classes);
  }
  class_weights_ = state.class_weights;
  layers::LossOptions options;
  options.terms = train.losses;
  options.class_weights = class_weights_;
  options.aux_weight = train.aux_weight;
  loss_ = layers::placed_on(model_->device(), options);
  batches_.emplace(config_, sets_.train.get(), first, needed);
}

std::vector<std::string> SemanticTask::describe() const {
  std::vector<std::string> lines;
  if (sets_.train) lines = {sets_.train->describe(), sets_.val->describe()};
  lines.insert(lines.end(), sets_.notes.begin(), sets_.notes.end());
  for (size_t i = 0; i < class_weights_.size(); ++i)
    lines.push_back(fmt::format("class weight {:.3f}  {}", class_weights_[i], sets_.classes[i].name));
  return lines;
}

TrainingBatch semantic_batch(layers::SegmentationModel& model, data::Batch batch,
                             const layers::LossOptions& options, uint64_t seed) {
  std::vector<std::string> ids = batch.ids;
  return {std::move(ids), [&model, batch = std::move(batch), &options, seed] {
            model.set_random_key(random_key_of_batch(seed, batch.step));
            const layers::SegmentationOutput output = model.forward(Variable(model.input_of(batch.images)));
            return BatchLoss{layers::segmentation_loss(output, batch.labels, options)};
          }};
}

TrainingBatch SemanticTask::next() {
  return semantic_batch(*model_, batches_->next(), loss_, config_.seed);
}

std::string SemanticTask::first_loss_warning(double loss) const {
  return high_first_loss(config_, loss, "pixel");
}

// With random weights all classes are about equally likely, so a correct start has a cross-entropy near
// ln(classes).
std::string high_first_loss(const Config& config, double loss, const char* unit) {
  const auto& terms = config.train.losses;
  const bool plain =
      terms.empty() ||
      (terms.size() == 1 && terms[0].kind == layers::LossKind::cross_entropy && terms[0].weight == 1);
  const double expected = std::log(static_cast<double>(config.model.num_classes));
  const size_t scales = config.model.input_scales.size() > 1 ? config.model.input_scales.size() : 0;
  const double heads =
      1 + static_cast<double>(scales) + (config.model.aux_loss ? config.train.aux_weight : 0);
  const double usual = heads * expected;
  if (!plain || !config.model.weights.empty() || !config.model.backbone_weights.empty() ||
      loss < 2 * usual + 1)
    return "";
  return fmt::format(
      "warning: the first loss is {:.3f}; about ln(classes) = {:.3f} per {} is usual. Check data.mean, "
      "data.std and the initialisation",
      loss, expected, unit);
}

std::optional<Validation> SemanticTask::validate(int64_t step, const RunFolder& folder, RunLog& log) {
  const data::Dataset& set = *sets_.val;
  const eval::Palette palette = eval::palette_of(sets_.classes);
  SamplePictures pictures(config_.train.sample_images, set.size());
  eval::EvaluationHooks hooks;
  hooks.progress = [&](int64_t done, int64_t total) { log.validation_progress(done, total); };
  hooks.stop = [] { return SignalGuard::stop_requested() != 0; };
  hooks.image = [&](const eval::ScoredImage& image) {
    if (!pictures.take()) return;
    const data::Sample& sample = image.sample;
    const Tensor nothing = Tensor::full(sample.label.shape(), data::ignore_label, DType::u8);
    const Tensor picture = eval::side_by_side({eval::overlay(sample.image, nothing, palette),
                                               eval::overlay(sample.image, sample.label, palette, 0.75),
                                               eval::overlay(sample.image, image.prediction, palette, 0.75)});
    pictures.write(picture, sample.id, step, folder, log);
  };
  const eval::EvaluationResult result =
      eval::evaluate(*model_, set, config_.data, config_.eval, false, hooks);
  if (SignalGuard::stop_requested()) return std::nullopt;
  return summary_of(result, palette);
}

}  // namespace atrous::train
