// `atrous eval`: scores a trained network on a split of its data set.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/inference_flags.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/scores.h"
#include "core/error.h"
#include "data/image_io.h"
#include "eval/evaluate.h"
#include "eval/pictures.h"
#include "train/checkpoint.h"

namespace atrous::cli {
namespace {

struct Options {
  std::string config, weights, out;
  std::string split = "val";
  std::string device = "cpu";
  std::vector<std::string> overrides;
  size_t worst = 8;
  InferenceFlags inference;
  Report report;
};

// Keeps the pictures of the images with the lowest scores.
class WorstImages {
 public:
  explicit WorstImages(size_t count) : count_(count) {}

  void add(const data::Sample& sample, const Tensor& prediction, const eval::ImageScore& score) {
    if (count_ == 0 || !score.miou) return;
    kept_.push_back({*score.miou, sample, prediction});
    std::stable_sort(kept_.begin(), kept_.end(),
                     [](const Kept& a, const Kept& b) { return a.miou < b.miou; });
    if (kept_.size() > count_) kept_.pop_back();
  }

  // DIR/worst_01_<id>.png: image, labels, prediction.
  void write(const std::string& folder, const std::vector<data::ClassInfo>& classes) const {
    const eval::Palette palette = eval::palette_of(classes);
    for (size_t i = 0; i < kept_.size(); ++i) {
      const Kept& k = kept_[i];
      const Tensor nothing = Tensor::full(k.prediction.shape(), data::ignore_label, DType::u8);
      const Tensor picture =
          eval::side_by_side({eval::overlay(k.sample.image, nothing, palette),
                              eval::with_legend(eval::overlay(k.sample.image, k.sample.label, palette),
                                                k.sample.label, classes, palette),
                              eval::with_legend(eval::overlay(k.sample.image, k.prediction, palette),
                                                k.prediction, classes, palette)});
      std::string id = k.sample.id;
      std::replace(id.begin(), id.end(), '/', '_');
      data::write_png(fmt::format("{}/worst_{:02}_{}.png", folder, i + 1, id), picture);
    }
  }

 private:
  struct Kept {
    double miou;
    data::Sample sample;
    Tensor prediction;
  };
  size_t count_;
  std::vector<Kept> kept_;
};

std::vector<std::string> names_of(const std::vector<data::ClassInfo>& classes) {
  std::vector<std::string> names;
  for (const data::ClassInfo& c : classes) names.push_back(c.name);
  return names;
}

void run_eval(const Options& o) {
  const layers::BuildDeviceGuard build_on(chosen_device(o.device));
  if (!o.out.empty()) make_output_folder(o.out);
  const train::LoadedModel loaded = train::load_model(o.weights, o.config, o.overrides);
  const train::Config& config = loaded.config;
  const auto dataset =
      data::open_dataset(config.data, o.split, config.model.num_classes, config.model.in_channels);
  fmt::print(stderr, "{}\n", dataset->describe());
  const eval::InferenceOptions inference = o.inference.apply(config.eval);

  WorstImages worst(o.out.empty() ? 0 : o.worst);
  eval::EvaluationHooks hooks;
  hooks.image = [&](const data::Sample& s, const Tensor& prediction, const eval::ImageScore& score) {
    worst.add(s, prediction, score);
  };
  eval::EvaluationResult result;
  {
    Progress progress("eval", "images");
    hooks.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
    result = eval::evaluate(*loaded.model, *dataset, config.data, inference, /*boundary_f1=*/true, hooks);
  }

  ScoresReport report;
  report.scores = result.scores;
  report.confusion = result.confusion;
  report.images = static_cast<int64_t>(result.images.size());
  report.loss = result.loss;
  report.image_scores = result.images;
  report.facts = {{"resolution", config.data.image_height > 0
                                     ? fmt::format("that of the label files (the network sees {}x{})",
                                                   config.data.image_height, config.data.image_width)
                                     : "that of the label files"},
                  {"inference", describe(inference)},
                  {"network", config.model.name},
                  {"split", o.split},
                  {"weights", o.weights}};
  print_scores(o.report.table(), report);
  fmt::print(stderr, "{} images in {:.1f} s\n", report.images, result.seconds);
  o.report.write_json(scores_json(report));
  if (!o.out.empty()) {
    worst.write(o.out, dataset->classes());
    data::write_png(o.out + "/confusion.png",
                    eval::confusion_picture(result.confusion, names_of(dataset->classes())));
    fmt::print(stderr, "pictures of the worst images and the confusion matrix are in {}\n", o.out);
  }
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Scores a trained network on a data set");
  command->footer(
      "atrous eval --weights runs/camvid/checkpoints/best.safetensors --split val --json scores.json");
  auto o = std::make_shared<Options>();
  command->add_option("--weights", o->weights, "Checkpoint or weights file (safetensors)")->required();
  command->add_option("--config", o->config, "Config; not needed with a checkpoint, which holds its own");
  command->add_option("--split", o->split, "train, val or test")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
  command->add_option("--set", o->overrides, "Override a config key: a.b.c=value (repeatable)")
      ->allow_extra_args(false);
  command->add_option("--out", o->out, "Folder for pictures of the worst images and the confusion matrix");
  command->add_option("--worst", o->worst, "How many pictures of the worst images --out gets")
      ->capture_default_str();
  add_device_option(*command, o->device);
  o->inference.add_options(*command);
  o->report.add_option(*command);
  command->callback([o] { run_eval(*o); });
}

}  // namespace atrous::cli
