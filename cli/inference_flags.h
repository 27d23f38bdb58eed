// Options that several commands share: the network that is scored, and inference (--sliding,
// --multi-scale, --flip, --crf).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/inference.h"
#include "nets/model_options.h"

namespace CLI {
class App;
}

namespace atrous::cli {

// The network and the images to score: the same on `eval` and `crf-search`.
struct ScoredNetwork {
  std::string weights, config;
  std::string split = "val";
  std::vector<std::string> overrides;

  void add_options(CLI::App& command);
};

struct InferenceFlags {
  std::string sliding;  // "HxW"
  bool multi_scale = false;
  bool flip = false;
  std::optional<std::string> crf;  // its parameters; "" for those of the config

  void add_options(CLI::App& command);
  void add_crf_option(CLI::App& command);
  // Error(usage) if one of them is given, for networks that cannot use them: `what` such a network does.
  void refuse(const char* what) const;
  // The same for classification, which can use --flip.
  void refuse_for_classification() const;
  // The config's options, with those of the flags.
  eval::InferenceOptions apply(eval::InferenceOptions options) const;
};

// Prints a note if a dense CRF is to follow a network that already contains one.
void warn_of_two_crfs(const nets::ModelOptions& model, const eval::InferenceOptions& options);

// Runs the work of a command. If memory does not suffice, the error suggests --sliding as well.
void with_memory_advice(const std::function<void()>& work);

// "probabilities averaged over scales 0.5, 1; mirrored images averaged; windows of 256x256, ..."
std::string describe(const eval::InferenceOptions& options);

}  // namespace atrous::cli
