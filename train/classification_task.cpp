#include "train/classification_task.h"

#include <algorithm>

#include "eval/pictures.h"
#include "eval/report/classification_report.h"
#include "train/class_source.h"
#include "train/class_weights.h"
#include "train/sample_pictures.h"
#include "train/semantic_task.h"
#include "train/signals.h"

namespace atrous::train {
namespace {

std::unique_ptr<data::ImageFolders> open_split(const Config& config, const std::string& split,
                                               const data::ClassList* classes) {
  auto set = data::open_image_folders(config.data, split, config.model.num_classes, config.model.in_channels,
                                      classes);
  ATROUS_CHECK(set->size() > 0, ErrorKind::data,
               "[data] a split must hold images. Got none in \"{}\" of {}. Check data.root.", split,
               config.data.root);
  return set;
}

std::unique_ptr<data::ImageFolders> open_val(const Config& config, const data::ImageFolders& train) {
  const data::ClassList meant = class_list(train.classes(), config, "the train split");
  return open_split(config, "val", &meant);
}

std::shared_ptr<layers::SegmentationModel> make_classifier(const Config& config, bool weights_follow) {
  return weights_follow ? nets::build_model(config.model) : nets::make_model(config.model, config.seed);
}

// Mistakes that scores alone do not show.
std::vector<std::string> warnings_of(const eval::ClassificationScores& s) {
  std::vector<std::string> out, without;
  int64_t predicted = 0, labelled = 0;
  for (const auto& c : s.classes) {
    if (c.images == 0) without.push_back(c.name);
    labelled += c.images > 0;
    predicted += c.predicted > 0;
  }
  if (!without.empty())
    out.push_back(
        fmt::format("warning: no image of the validation set is of class {}", data::listed(without)));
  if (predicted == 1 && labelled > 1) {
    const auto only = std::ranges::find_if(s.classes, [](const auto& c) { return c.predicted > 0; });
    out.push_back(
        fmt::format("warning: every image is predicted as \"{}\". If this stays so, try another learning "
                    "rate or train.class_weights",
                    only->name));
  }
  return out;
}

Validation summary_of(const eval::ClassificationResult& result) {
  const eval::ClassificationScores& s = result.scores;
  Validation v;
  v.scored = s.images > 0;
  v.line = v.best = JsonValue::make_object();
  v.line["val_loss"] = v.best["val_loss"] = JsonValue::of(s.loss());
  if (const auto loss = s.loss()) v.curves.emplace_back("val/loss", *loss);
  for (const eval::ClassificationMetric& m : eval::classification_metrics()) {
    const std::optional<double> score = m.value(s);
    v.line[m.key] = v.best[m.key] = JsonValue::of(score);
    if (!score) continue;
    v.scores.emplace_back(m.key, *score);
    v.curves.emplace_back(fmt::format("val/{}", m.key), *score);
    v.text += fmt::format("{}{} {:.4f}", v.text.empty() ? "" : ", ", m.title, *score);
  }
  if (const auto loss = s.loss()) v.text += fmt::format(", loss {:.4f}", *loss);
  for (const auto& c : s.classes) {
    if (const auto accuracy = c.accuracy()) v.curves.emplace_back("val_accuracy/" + c.name, *accuracy);
  }
  v.best["classification"] = eval::classification_to_json(s);
  v.warnings = warnings_of(s);
  v.seconds = result.seconds;
  return v;
}

}  // namespace

ClassificationTask::ClassificationTask(const Config& config, bool weights_follow,
                                       const data::ClassList* stored)
    : config_(config),
      train_(open_training_split<data::ImageFolders>(
          config, stored, [&](const data::ClassList* list) { return open_split(config, "train", list); },
          notes_)),
      val_(open_val(config, *train_)),
      model_(make_classifier(config, weights_follow)) {}

void ClassificationTask::begin(RunState& state, int64_t first, int64_t) {
  const TrainOptions& train = config_.train;
  if (state.step == 0)
    state.class_weights = class_weights(
        train.class_weights, [&] { return train_->histogram(); }, config_.model.num_classes);
  class_weights_ = state.class_weights;
  layers::LossOptions options;
  options.terms = train.losses;
  options.class_weights = class_weights_;
  options.aux_weight = train.aux_weight;
  options.ignore_index = -1;  // every image has a class
  loss_ = layers::placed_on(model_->device(), options);
  loader_.emplace(*train_, config_.data,
                  data::class_augmentation(config_.augment, config_.data, config_.eval.crop), config_.seed,
                  first);
}

std::vector<std::string> ClassificationTask::describe() const {
  std::vector<std::string> lines = {train_->describe(), val_->describe()};
  lines.insert(lines.end(), notes_.begin(), notes_.end());
  lines.push_back("validation: " + eval::describe_view(config_.data, config_.eval));
  for (size_t i = 0; i < class_weights_.size(); ++i)
    lines.push_back(fmt::format("class weight {:.3f}  {}", class_weights_[i], classes()[i].name));
  return lines;
}

TrainingBatch ClassificationTask::next() {
  return semantic_batch(*model_, loader_->next(), loss_, config_.seed);
}

std::string ClassificationTask::first_loss_warning(double loss) const {
  return high_first_loss(config_, loss, "image");
}

std::optional<Validation> ClassificationTask::validate(int64_t step, const RunFolder& folder, RunLog& log) {
  SamplePictures pictures(config_.train.sample_images, val_->size());
  eval::ClassifiedHooks hooks;
  hooks.progress = [&](int64_t done, int64_t total) { log.validation_progress(done, total); };
  hooks.stop = [] { return SignalGuard::stop_requested() != 0; };
  hooks.image = [&](const data::ClassifiedImage& image, std::span<const double> probabilities) {
    if (!pictures.take()) return;
    const eval::ClassifiedImageScore score = eval::score_of(image, probabilities);
    const auto name = [&](int64_t k) { return classes()[static_cast<size_t>(k)].name; };
    const Tensor picture = eval::with_heading(
        eval::as_picture(image.image), fmt::format("{}: {} {:.0f} %", name(score.label),
                                                   name(score.predicted), 100 * score.predicted_probability));
    pictures.write(picture, image.id, step, folder, log);
  };
  const eval::ClassificationResult result = eval::evaluate(*model_, *val_, config_.data, config_.eval, hooks);
  if (SignalGuard::stop_requested()) return std::nullopt;
  return summary_of(result);
}

}  // namespace atrous::train
