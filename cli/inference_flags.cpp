#include "cli/inference_flags.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <string_view>

#include "cli/common_flags.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/terminal.h"

namespace atrous::cli {

void ScoredNetwork::add_options(CLI::App& command) {
  command
      .add_option("--weights", weights,
                  "Checkpoint or weights file (safetensors, or PyTorch's), or the folder of a run")
      ->required();
  command.add_option("--config", config, "Config; not needed with a checkpoint, which holds its own");
  command.add_option("--split", split, "train, val or test")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
  command.add_option("--set", overrides, "Override a config key: a.b.c=value (repeatable)")
      ->allow_extra_args(false);
}

void InferenceFlags::add_options(CLI::App& command) {
  command
      .add_option(
          "--sliding", sliding,
          "Sliding-window inference with windows of this size (eval.window_overlap, eval.window_blend)")
      ->type_name("HxW");
  command.add_flag("--multi-scale", multi_scale,
                   "Average probabilities over the scales 0.5, 0.75, 1, 1.25, 1.5, 1.75");
  command.add_flag("--flip", flip, "Average probabilities with the mirrored image");
}

void InferenceFlags::add_crf_option(CLI::App& command) {
  command
      .add_option_function<std::vector<std::string>>(
          "--crf",
          [this](const std::vector<std::string>& given) { crf = given.empty() ? "" : given.front(); },
          "Refine predictions with a dense CRF; parameters that are not given are those of the config "
          "(eval.crf). preset=NAME takes the values of a paper")
      ->expected(0, 1)
      ->allow_extra_args(false)
      ->type_name("[KEY=VALUE,...]");
}

void InferenceFlags::refuse(const char* what) const {
  ATROUS_CHECK(sliding.empty() && !multi_scale && !flip && !crf, ErrorKind::usage,
               "[--sliding, --multi-scale, --flip, --crf] are for semantic models. Got {}. Leave them out.",
               what);
}

void InferenceFlags::refuse_for_classification() const {
  ATROUS_CHECK(sliding.empty() && !multi_scale && !crf, ErrorKind::usage,
               "[--sliding, --multi-scale, --crf] are for semantic models. Got one that classifies "
               "images. Leave them out.");
}

eval::InferenceOptions InferenceFlags::apply(eval::InferenceOptions options) const {
  if (multi_scale) options.scales = {0.5, 0.75, 1.0, 1.25, 1.5, 1.75};
  if (flip) options.flip = true;
  if (!sliding.empty()) {
    const Size size = parse_size(sliding, "--sliding");
    options.window_height = size.height;
    options.window_width = size.width;
  }
  if (crf) {
    options.crf = eval::parse_crf(*crf, options.crf, "--crf");
    options.crf.enabled = true;
  }
  return options;
}

void warn_of_two_crfs(const nets::ModelOptions& model, const eval::InferenceOptions& options) {
  if (!model.crf_as_rnn || !options.crf.enabled) return;
  print_to(stderr,
           "note: the last layer of the network is a CRF (model.crf_as_rnn); the dense CRF (eval.crf, --crf) "
           "refines its results once more\n");
}

void with_memory_advice(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    // The memory of a device holds tensors only.
    const bool of_tensors = std::string_view(e.what()).starts_with("[memory] device") || tensors_take_much(0);
    if (e.kind() != ErrorKind::memory || !of_tensors) throw;
    fail(ErrorKind::memory, "{} --sliding 512x512 takes an image in windows of that size.", e.what());
  }
}

std::string describe(const eval::InferenceOptions& options) {
  const bool several = options.scales.size() > 1;
  std::string text = several ? "probabilities averaged over scales" : "scale";
  for (size_t i = 0; i < options.scales.size(); ++i)
    text += fmt::format("{} {:g}", i ? "," : "", options.scales[i]);
  if (options.flip) text += "; mirrored images averaged";
  if (options.window_height > 0 || options.window_width > 0) {
    text += fmt::format("; windows of {}x{}, overlap {:g}, logits blended ({})", options.window_height,
                        options.window_width, options.window_overlap, options.window_blend);
  }
  if (options.crf.enabled) text += "; dense CRF " + eval::crf_text(options.crf);
  return text;
}

}  // namespace atrous::cli
