// Checkpoints: one safetensors file that holds everything needed to resume with bit-identical results.
//
//   tensors    the network's state_dict under its own names and in PyTorch's layout, so that the file loads
//              anywhere;
//              "optimizer.<moment>.<parameter>" and "average.<name>" (weight average) in the same layout
//   metadata   "atrous.format" (version), "atrous.config" (resolved config), "atrous.state" (RunState),
//              "atrous.classes" (names and colours),
//              "atrous.checksum" (CRC-32C of all of these and all tensors)
//
// All random numbers of a run are functions of seed and step, and a loader's position is the number of
// batches taken: the step number is their whole state. Nothing in the file depends on time, on the folder of
// the run, or on the number of threads and loader workers; but the config holds the paths as they were given
// (data.root, model.weights), and the last bits of numbers depend on the kind of processor. best.safetensors
// has only the network (the average, if there is one).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "data/dataset.h"
#include "train/config.h"
#include "train/optimizer.h"
#include "train/weight_average.h"

namespace atrous::train {

// State of a run besides tensors.
struct RunState {
  int64_t step = 0;             // optimiser steps done; the next batch is number step * accumulate
  int64_t last_validation = 0;  // step of it
  int64_t best_step = 0;
  int64_t stale_validations = 0;  // validations since the best one
  int64_t averaged_steps = 0;     // that the mean of the last steps has (train.average_last_steps)
  std::map<std::string, double>
      best;  // scores of the best validation: "miou", "pixel_accuracy", ...; empty before the first
  std::vector<double> class_weights;        // of the loss; empty: none
  double loss_sum = 0;                      // of the steps since the last line of the log
  int64_t loss_steps = 0;                   // their number
  std::map<std::string, double> term_sums;  // of the loss's terms, where it has several
};

// What is written; null members are left out.
struct CheckpointContent {
  const Config* config = nullptr;
  const std::vector<data::ClassInfo>* classes = nullptr;
  const RunState* state = nullptr;
  const layers::Module* model = nullptr;
  const Optimizer* optimizer = nullptr;
  const WeightAverage* average = nullptr;
};

// Replaces `path` as a whole or not at all; the old file is renamed to `keep` unless that is empty.
// Error(io).
void save_checkpoint(const std::string& path, const CheckpointContent& content, const std::string& keep = "");

struct StoredCheckpoint {
  TensorFile file;
  Config config;
  RunState state;
  std::vector<data::ClassInfo> classes;
};

// The classes in the metadata "atrous.classes". Error(checkpoint).
std::vector<data::ClassInfo> classes_from_text(const std::string& text, const std::string& origin);
// Checkpoints before set names were stored have the names of data.class_names alone, which may be unknown to
// their data set: these classes are matched by number then (class_match.h).
void note_given_names(std::vector<data::ClassInfo>& classes, const std::vector<std::string>& class_names);

// Error(checkpoint) if the file is torn, changed, or no checkpoint; Error(io) if it cannot be read.
StoredCheckpoint read_checkpoint(const std::string& path);

// The first of `paths` that exists and is whole. Each broken one is reported to `message`. Empty if none
// exists; Error(checkpoint) if all that exist are broken.
std::optional<StoredCheckpoint> read_newest_checkpoint(
    const std::vector<std::string>& paths, const std::function<void(const std::string&)>& message);

// Copies the stored tensors into the model. `average` may be null.
void restore(const StoredCheckpoint& stored, layers::Module& model, Optimizer& optimizer,
             WeightAverage* average);

// The part of a checkpoint that predict and eval need.
template <class Kind>
struct Loaded {
  Config config;
  std::shared_ptr<Kind> model;  // weights loaded, in eval mode
  std::vector<data::ClassInfo> classes;
  std::string weights = {};  // the file they came from
};
using LoadedNetwork = Loaded<layers::Model>;
using LoadedModel = Loaded<layers::SegmentationModel>;

// Opens a checkpoint that `train` wrote; of a run's folder, its checkpoints/best.safetensors. If
// `config_path` is not empty, that config is used instead of the stored one (for weights files without one).
// Error(checkpoint) names what is missing, wrong or damaged in the file, or that there is none; Error(config)
// what is wrong in `config_path` or `overrides`; Error(diverged) weights that are NaN or Inf. A stored `math`
// that the device cannot do becomes f32, with a note on stderr.
LoadedNetwork load_network(const std::string& weights_path, const std::string& config_path = "",
                           const std::vector<std::string>& overrides = {});
// Typed variants: Error(config) for a network of another kind.
LoadedModel load_model(const std::string& weights_path, const std::string& config_path = "",
                       const std::vector<std::string>& overrides = {});

}  // namespace atrous::train
