// The resolved configuration of a run. Components take the plain structs; only train/ and cli/ use this
// file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/names.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "eval/inference.h"
#include "eval/metric.h"
#include "layers/losses.h"
#include "nets/factory.h"

namespace atrous {
struct JsonValue;  // core/json_value.h
}

namespace atrous::train {

// The value of data.dataset for batches from a file (train/batches.h).
inline constexpr const char* given_tensors = "tensors";

// Per-parameter overrides, for parameters whose name has this beginning and this end (empty: any). Factors of
// all groups that contain a parameter multiply.
struct ParameterGroup {
  std::string prefix, suffix;
  double lr_factor = 1;
  double weight_decay_factor = 1;
};

// The options of each optimiser. Formulas: train/optimizer.cpp.
enum class OptimizerKind { sgd, adam, adamw, rmsprop };
constexpr auto names_of(OptimizerKind) {
  return std::to_array<Named<OptimizerKind>>({{OptimizerKind::sgd, "sgd", "momentum nesterov"},
                                              {OptimizerKind::adam, "adam", "beta1 beta2 eps"},
                                              {OptimizerKind::adamw, "adamw", "beta1 beta2 eps"},
                                              {OptimizerKind::rmsprop, "rmsprop", "momentum eps alpha"}});
}

struct OptimizerOptions {
  OptimizerKind name = OptimizerKind::sgd;
  double lr = 0.01;
  double momentum = 0.9;
  bool nesterov = false;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double alpha = 0.99;
  double weight_decay = 0;
  bool decay_norm_and_bias = true;    // false: no decay on rank-1 parameters
  double backbone_lr_factor = 1;      // learning rate of the backbone relative to lr
  double layer_decay = 1;             // factor of the rate per layer of the backbone, from the head down
  int64_t freeze_backbone_steps = 0;  // steps during which the backbone does not change
  std::vector<ParameterGroup> groups;
  double clip_norm = 0;  // 0: no clipping
};

// The options of each schedule. Formulas: train/schedule.h.
enum class ScheduleKind { constant, poly, step, cosine, exponential };
constexpr auto names_of(ScheduleKind) {
  return std::to_array<Named<ScheduleKind>>({{ScheduleKind::constant, "constant"},
                                             {ScheduleKind::poly, "poly", "power min_lr"},
                                             {ScheduleKind::step, "step", "milestones gamma"},
                                             {ScheduleKind::cosine, "cosine", "min_lr"},
                                             {ScheduleKind::exponential, "exponential", "min_lr"}});
}

struct ScheduleOptions {
  ScheduleKind name = ScheduleKind::constant;
  double power = 0.9;
  std::vector<int64_t> milestones;
  double gamma = 0.1;
  double min_lr = 0;
  int64_t warmup_steps = 0;  // linear from warmup_factor * lr
  double warmup_factor = 0.01;
};

// How `class_weights` are computed from the training labels; they may be given as numbers instead.
enum class ClassWeighting { none, median_frequency, sqrt_median_frequency };
constexpr auto names_of(ClassWeighting) {
  return std::to_array<Named<ClassWeighting>>(
      {{ClassWeighting::none, "none"},
       {ClassWeighting::median_frequency, "median_frequency"},
       {ClassWeighting::sqrt_median_frequency, "sqrt_median_frequency"}});
}

struct TrainOptions {
  int64_t epochs = 0;  // exactly one of epochs and max_steps is set
  int64_t max_steps = 0;
  double max_minutes = 0;  // save and stop after this time, to be resumed; 0: no limit
  int64_t accumulate = 1;  // batches per optimiser step
  // Weight averaging: exponential, or the mean of the last steps; 0: off. Validation and best.safetensors use
  // the average.
  double ema_decay = 0;
  int64_t average_last_steps = 0;
  int64_t log_every = 20;        // steps
  int64_t validate_every = 0;    // steps; 0: once per epoch, but at least one step apart
  int64_t checkpoint_every = 0;  // steps; 0: only at validations and at the end
  int64_t patience = 0;          // validations without improvement before stopping early; 0: off
  std::string class_weights = name_of(ClassWeighting::none);  // or numbers "1,2.5,..."
  double aux_weight = 0.4;
  std::vector<layers::LossTerm> losses;  // empty: one cross-entropy term
  int64_t sample_images = 4;             // validation images whose predictions are kept as pictures
};

// Arithmetic of a run; math.h puts it into effect.
enum class MathMode {
  f32,
  tf32,  // products of convolutions, on a device
  bf16,  // activations on a device; on the CPU products of convolutions. Parameters stay f32
};
constexpr auto names_of(MathMode) {
  return std::to_array<Named<MathMode>>(
      {{MathMode::f32, "f32"}, {MathMode::tf32, "tf32"}, {MathMode::bf16, "bf16"}});
}

struct Config {
  nets::ModelOptions model;
  data::DataOptions data;
  data::AugmentOptions augment;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  TrainOptions train;
  eval::InferenceOptions eval;
  uint64_t seed = 1;
  // Only implementations that form the sums of the definition (kernels/common/arithmetic.h).
  bool exact = false;
  MathMode math = MathMode::f32;
  // "expected": {"miou": [0.60, 0.02]}: the run fails unless the metric ends within tolerance below (above is
  // fine).
  std::map<std::string, std::vector<double>> expected;
};

// By the network; semantic without one.
eval::TaskKind task_kind(const Config& config);

// The source of a config. Unused options are errors in a user's config. In one that a run has stored with a
// program that ignored them, they are reset to their defaults unless an override gives them.
enum class ConfigFrom { user, run };

// Reads a file ("-": standard input), applies `--set a.b=value` overrides, checks everything. Error(config)
// names file, line, path and nearest known key. A config that holds only `model` is complete.
Config load_config(const std::string& path, const std::vector<std::string>& overrides,
                   ConfigFrom from = ConfigFrom::user);
Config parse_config(const std::string& json_text, const std::string& origin,
                    const std::vector<std::string>& overrides, ConfigFrom from = ConfigFrom::user);
// The JSON text with its overrides, unchecked: to see whether a key is given at all.
JsonValue config_json(const std::string& json_text, const std::string& origin,
                      const std::vector<std::string>& overrides);
// Every field, indented JSON; parse_config(to_json(c)) == c.
std::string to_json(const Config& config);
// Dotted paths of the fields that differ, e.g. "optimizer.lr".
std::vector<std::string> changed_keys(const Config& a, const Config& b);
// Reference of all fields: name, type, default, range, help. Markdown for docs/config.md.
std::string config_reference();

}  // namespace atrous::train
