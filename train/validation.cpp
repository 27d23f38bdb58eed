#include "train/validation.h"

#include <algorithm>

#include "core/atomic_file.h"
#include "data/image_io.h"
#include "eval/pictures.h"
#include "train/signals.h"

namespace atrous::train {
namespace {

// "city/0001.png" -> "city_0001.png": one flat folder.
std::string file_name_of(std::string id) {
  for (char& c : id) {
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return id;
}

std::string best_to_text(int64_t step, const eval::EvaluationResult& result, const eval::Palette& palette) {
  JsonValue out = JsonValue::make_object();
  out["step"] = JsonValue::of(step);
  out["val_loss"] = JsonValue::of(result.loss);
  for (auto& [key, value] : scores_to_json(result.scores).object) out[key] = value;
  std::vector<std::string> colors;  // as CSS writes them
  for (size_t c = 0; c < result.scores.per_class.size(); ++c) {
    colors.push_back(fmt::format("#{:02x}{:02x}{:02x}", palette[c][0], palette[c][1], palette[c][2]));
  }
  out["colors"] = JsonValue::of(colors);
  out["confusion"] = confusion_to_json(result.confusion);
  return to_text(out) + "\n";
}

}  // namespace

std::vector<std::string> suspicions(const eval::SemanticScores& scores) {
  std::vector<std::string> out;
  int64_t predicted = 0, labelled = 0;
  std::string only;
  for (const eval::ClassScore& c : scores.per_class) {
    if (c.ground_truth == 0)
      out.push_back(fmt::format("warning: class \"{}\" has no pixel in the validation labels", c.name));
    labelled += c.ground_truth > 0;
    predicted += c.predicted > 0;
    if (c.predicted > 0) only = c.name;
  }
  if (predicted == 1 && labelled > 1) {
    out.push_back(
        fmt::format("warning: every pixel is predicted as \"{}\". If this stays so, try train.class_weights, "
                    "a dice loss or another "
                    "learning rate",
                    only));
  }
  return out;
}

std::optional<bool> validate(const Config& config, layers::SegmentationModel& model, const data::Dataset& set,
                             const std::vector<data::ClassInfo>& classes, RunState& state,
                             const RunFolder& folder, RunLog& log) {
  const eval::Palette palette = eval::palette_of(classes);
  const int64_t wanted = std::min(config.train.sample_images, set.size());
  int64_t index = 0, pictures = 0;
  eval::EvaluationHooks hooks;
  hooks.progress = [&](int64_t done, int64_t total) { log.validation_progress(done, total); };
  hooks.stop = [] { return SignalGuard::stop_requested() != 0; };
  hooks.image = [&](const data::Sample& sample, const Tensor& prediction, const eval::ImageScore&) {
    // Evenly over the set: neighbours in a list are often frames of one film.
    const bool take = pictures < wanted && index >= pictures * set.size() / wanted;
    ++index;
    if (!take) return;
    ++pictures;
    const Tensor nothing = Tensor::full(sample.label.shape(), data::ignore_label, DType::u8);
    const Tensor picture = eval::side_by_side({eval::overlay(sample.image, nothing, palette),
                                               eval::overlay(sample.image, sample.label, palette, 0.75),
                                               eval::overlay(sample.image, prediction, palette, 0.75)});
    const std::string name = fmt::format("{}_{}", pictures, file_name_of(sample.id));
    const std::string path = folder.file("samples/" + name + ".png");
    data::write_png(path, picture);
    log.image("samples/" + name, state.step, path, picture.dim(0), picture.dim(1));
  };
  const eval::EvaluationResult result = eval::evaluate(model, set, config.data, config.eval, false, hooks);
  if (SignalGuard::stop_requested()) return std::nullopt;

  const eval::SemanticScores& s = result.scores;
  const bool is_best = state.best.empty() || s.miou > state.best.at("miou");
  if (state.last_validation == 0) {
    for (const std::string& warning : suspicions(s)) log.message(warning);
  }
  state.last_validation = state.step;
  state.stale_validations = is_best ? 0 : state.stale_validations + 1;
  if (is_best) {
    state.best_step = state.step;
    state.best = {{"miou", s.miou},
                  {"pixel_accuracy", s.pixel_accuracy},
                  {"mean_accuracy", s.mean_accuracy},
                  {"fw_iou", s.fw_iou},
                  {"mean_dice", s.mean_dice}};
    write_file_atomically(folder.file("best.json"), best_to_text(state.step, result, palette));
  }
  log.validation(state.step, result, is_best);
  return is_best;
}

}  // namespace atrous::train
