// `atrous eval`: scores a trained network on a split of its data set.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <memory>

#include "cli/classification.h"
#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/inference_flags.h"
#include "cli/instances.h"
#include "cli/network_facts.h"
#include "cli/progress.h"
#include "core/allocator.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "core/text.h"
#include "eval/evaluate.h"
#include "eval/report/semantic_report.h"
#include "eval/report/semantic_scores.h"
#include "train/checkpoint.h"
#include "train/class_source.h"

namespace atrous::cli {
namespace {

struct Options : ScoredNetwork {
  std::string report_folder, results;
  std::string device = "cpu";
  size_t worst = 8;
  InferenceFlags inference;
  Report report;
};

void run_eval(const Options& o) {
  const Device device = chosen_device(o.device);
  const layers::BuildDeviceGuard build_on(device);
  const train::LoadedNetwork network = train::load_network(o.weights, o.config, o.overrides);
  if (nets::is_detector(network.config.model.name)) {
    o.inference.refuse("a detection model");
    evaluate_instances({network.config, nets::as_detector(network.model), network.classes, network.weights},
                       {o.split, o.results, o.report_folder, o.worst}, o.report);
    return;
  }
  ATROUS_CHECK(o.results.empty(), ErrorKind::usage,
               "[eval] --results is for detection models. Got {}. Leave it out.", network.config.model.name);
  const train::LoadedModel loaded{network.config, nets::as_segmentation(network.model), network.classes,
                                  network.weights};
  if (nets::is_classifier(network.config.model.name)) {
    o.inference.refuse_for_classification();
    evaluate_classes(loaded, {o.split, o.report_folder, o.worst, o.inference.apply(loaded.config.eval)},
                     o.report);
    return;
  }
  const train::Config& config = loaded.config;
  const data::ClassList meant = train::class_list(loaded.classes, config, "the checkpoint");
  const auto dataset =
      data::open_dataset(config.data, o.split, config.model.num_classes, config.model.in_channels, &meant);
  if (!o.report_folder.empty()) make_output_folder(o.report_folder, "--report");
  print_to(stderr, "{}\n", dataset->describe());
  const eval::InferenceOptions inference = o.inference.apply(config.eval);
  warn_of_two_crfs(config.model, inference);

  eval::WorstImages worst(o.report_folder.empty() ? 0 : o.worst);
  eval::EvaluationHooks hooks;
  eval::ChangedImages changed(o.report_folder.empty() ? 0 : o.worst);
  hooks.image = [&](const eval::ScoredImage& image) {
    worst.add(image.sample, image.prediction, image.score);
    changed.add(image);
  };
  eval::EvaluationResult result;
  {
    Progress progress("eval", "images");
    hooks.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
    result = eval::evaluate(*loaded.model, *dataset, config.data, inference, /*boundary_f1=*/true, hooks);
  }

  const std::vector<data::ClassInfo>& classes = dataset->classes();
  eval::ScoresReport report;
  report.network = nets::describe(config.model);
  report.scores = result.scores;
  report.confusion = result.confusion;
  report.images = static_cast<int64_t>(result.images.size());
  report.loss = result.loss;
  report.image_scores = result.images;
  if (result.before_crf) {
    report.crf =
        eval::CrfScores{inference.crf, *result.before_crf, result.crf_tiled_images, result.crf_most_tiles};
  }
  report.facts = {{"resolution", config.data.image_height > 0
                                     ? fmt::format("that of the label files (the network sees {}x{})",
                                                   config.data.image_height, config.data.image_width)
                                     : "that of the label files"},
                  {"inference", describe(inference)},
                  {"device", name_of(device)},
                  {"math", name_of(config.math)}};
  std::ranges::copy(facts_of(config.model), std::back_inserter(report.facts));
  report.facts.insert(report.facts.end(), {{"split", o.split}, {"weights", loaded.weights}});
  eval::print_scores(o.report.table(), report);
  const AllocatorStats memory = device == Device::cpu ? allocator_stats() : device_allocator_stats(device);
  print_to(stderr, "{} in {:.1f} s, peak memory {}\n", counted(report.images, "image"), result.seconds,
           bytes_text(memory.peak_in_use));
  o.report.write_json(eval::scores_json(report));
  if (o.report_folder.empty()) return;
  eval::write_eval_report(o.report_folder, report, worst.images(), changed.images(), classes);
  print_to(stderr, "{}/report.html\n", o.report_folder);
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Scores a trained network on a data set");
  command->footer(
      "atrous eval --weights runs/camvid/checkpoints/best.safetensors --split val --json scores.json");
  auto o = std::make_shared<Options>();
  o->add_options(*command);
  command
      ->add_option("--report", o->report_folder,
                   "Folder for a report: HTML page, confusion matrix, pictures of the worst images, scores")
      ->type_name("DIR");
  command->add_option("--worst", o->worst, "Number of worst images in the report")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command
      ->add_option(
          "--results", o->results,
          "Detection models: folder for all detections, bbox.json and segm.json in COCO's results format")
      ->type_name("DIR");
  add_device_option(*command, o->device);
  o->inference.add_options(*command);
  o->inference.add_crf_option(*command);
  o->report.add_option(*command);
  command->callback([o] { with_memory_advice([&] { run_eval(*o); }); });
}

}  // namespace atrous::cli
