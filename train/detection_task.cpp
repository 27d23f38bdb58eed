#include "train/detection_task.h"

#include "core/random.h"
#include "data/image_io.h"
#include "eval/coco_metrics.h"
#include "eval/instance_pictures.h"
#include "eval/pictures.h"
#include "eval/report/coco_scores_json.h"
#include "train/class_source.h"
#include "train/sample_pictures.h"
#include "train/signals.h"

namespace atrous::train {
namespace {

constexpr uint64_t sampler_stream = 0x73616d706c6572;  // "sampler"

std::unique_ptr<data::InstanceDataset> open_split(const Config& config, const std::string& split,
                                                  const data::ClassList* classes) {
  auto set = data::open_instance_dataset(config.data, split, config.model.num_classes,
                                         config.model.in_channels, classes);
  ATROUS_CHECK(set->size() > 0, ErrorKind::data,
               "[data] a split must hold images. Got none in \"{}\" of {}. Check data.root.", split,
               config.data.root);
  return set;
}

std::unique_ptr<data::InstanceDataset> open_val(const Config& config, const data::InstanceDataset& train,
                                                bool resumed) {
  data::ClassList meant = class_list(train.classes(), config, "the train split");
  meant.can_grow = !resumed;
  return open_split(config, "val", &meant);
}

std::shared_ptr<layers::DetectionModel> make_detection_model(const Config& config, bool weights_follow) {
  return weights_follow ? nets::build_detector(config.model) : nets::make_detector(config.model, config.seed);
}

void add_scores(Validation& v, const eval::CocoSummary& s, const std::string& what) {
  const auto add = [&](const char* key, double value) {
    const std::optional<double> score = eval::existing(value);
    const std::string name = fmt::format("{}_{}", what, key);
    v.line[name] = v.best[name] = JsonValue::of(score);
    if (!score) return;
    v.scores.emplace_back(name, *score);
    v.curves.emplace_back("val/" + name, *score);
  };
  for (size_t i = 0; i < s.stats.size(); ++i) {
    const eval::CocoMetric& m = eval::coco_metrics()[i];
    if (m.validation) add(m.key, s.stats[i]);
  }
  for (const eval::CocoClassScores& c : s.classes) {
    if (c.ap >= 0) v.curves.emplace_back("val_" + what + "_ap/" + c.name, c.ap);
  }
  v.best[what] = coco_to_json(s);
}

Validation summary_of(const eval::InstanceEvaluation& result) {
  Validation v;
  v.line = v.best = JsonValue::make_object();
  add_scores(v, result.boxes, "box");
  if (result.masks) add_scores(v, *result.masks, "mask");
  v.seconds = result.seconds;
  for (const auto& [name, score] : v.scores)
    v.text += fmt::format("{}{} {:.4f}", v.text.empty() ? "" : "  ", name, score);
  v.scored = !v.scores.empty();  // boxes and masks cover the same objects
  if (!v.scored) v.text = eval::no_scored_object;
  if (result.boxes.objects == 0)
    v.warnings.push_back("warning: the validation images have no objects that count: crowds do not");
  if (result.boxes.detections == 0) v.warnings.push_back("warning: nothing is found in any image");
  return v;
}

}  // namespace

DetectionTask::DetectionTask(const Config& config, bool weights_follow, const data::ClassList* stored)
    : config_(config),
      train_(open_training_split<data::InstanceDataset>(
          config, stored, [&](const data::ClassList* list) { return open_split(config, "train", list); },
          notes_)),
      val_(open_val(config, *train_, stored != nullptr)),
      model_(make_detection_model(config, weights_follow)),
      images_(data::training_images(*train_, config.data)) {}

void DetectionTask::begin(RunState&, int64_t first, int64_t) {
  loader_.emplace(*train_, images_, config_.data, config_.augment, config_.seed, first);
}

std::vector<std::string> DetectionTask::describe() const {
  std::vector<std::string> lines = {train_->describe(), val_->describe()};
  lines.insert(lines.end(), notes_.begin(), notes_.end());
  if (training_images() < train_->size())
    lines.push_back(
        fmt::format("{} of {} training images have objects; the others are left out (data.keep_empty_images "
                    "takes them in)",
                    training_images(), train_->size()));
  return lines;
}

TrainingBatch detection_batch(layers::DetectionModel& model, data::InstanceBatch batch, uint64_t seed) {
  std::vector<std::string> ids = batch.ids;
  return {std::move(ids), [&model, batch = std::move(batch), seed] {
            model.set_random_key(random_key_of_batch(seed, batch.step));
            Rng rng(seed, mix_streams(sampler_stream, static_cast<uint64_t>(batch.step)));
            const layers::DetectionLosses losses = model.losses(batch.images, batch.targets, rng);
            return BatchLoss{losses.total(), losses.named()};
          }};
}

TrainingBatch DetectionTask::next() {
  return detection_batch(*model_, loader_->next(), config_.seed);
}

std::optional<Validation> DetectionTask::validate(int64_t step, const RunFolder& folder, RunLog& log) {
  SamplePictures pictures(config_.train.sample_images, val_->size());
  eval::InstanceHooks hooks;
  hooks.progress = [&](int64_t done, int64_t total) { log.validation_progress(done, total); };
  hooks.min_score = config_.eval.min_score;
  hooks.stop = [] { return SignalGuard::stop_requested() != 0; };
  hooks.image = [&](const data::InstanceSample& sample, const layers::Detections& found,
                    const std::vector<data::Rle>& masks, const eval::InstanceVerdict& verdict) {
    if (!pictures.take()) return;
    const Tensor picture = eval::compare_instances(sample, eval::above(found, config_.eval.min_score), masks,
                                                   verdict, classes());
    pictures.write(picture, sample.id, step, folder, log);
  };
  const eval::InstanceEvaluation result = eval::evaluate(*model_, *val_, hooks);
  if (SignalGuard::stop_requested()) return std::nullopt;
  ATROUS_CHECK(
      result.masks || !model_->has_masks(), ErrorKind::data,
      "[train] objects of the validation split need masks, by which {} is judged. Got some without in {}. "
      "Use a network without masks (fasterrcnn_...), or another split.",
      config_.model.name, config_.data.root);
  return summary_of(result);
}

}  // namespace atrous::train
