#include "train/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/validation_metrics.h"

namespace atrous::train {

Plan make_plan(const Config& c, int64_t training_images) {
  Plan plan;
  const double images_per_step = static_cast<double>(c.data.batch_size * c.train.accumulate);
  const double images = training_images > 0 ? static_cast<double>(training_images) : images_per_step;
  plan.steps_per_epoch = images / images_per_step;
  plan.total_steps = c.train.max_steps;
  if (c.train.epochs > 0)
    plan.total_steps =
        static_cast<int64_t>(std::ceil(static_cast<double>(c.train.epochs) * plan.steps_per_epoch));
  plan.validate_every = c.train.validate_every;
  if (plan.validate_every == 0)
    plan.validate_every = std::max<int64_t>(1, std::llround(plan.steps_per_epoch));
  plan.checkpoint_every = c.train.checkpoint_every;
  // Given batches are not validated, and a pass over them is the run.
  if (plan.checkpoint_every == 0)
    plan.checkpoint_every = training_images > 0 ? plan.validate_every : plan.total_steps;
  return plan;
}

void check_trainable(const Config& c) {
  ATROUS_CHECK(!c.model.name.empty() && c.model.num_classes > 0, ErrorKind::config,
               "[config] training needs model.name and model.num_classes. Got \"{}\" and {}. Add them.",
               c.model.name, c.model.num_classes);
  const eval::TaskKind task = task_kind(c);
  for (const auto& [metric, target] : c.expected) {
    const std::vector<std::string> keys = eval::validation_keys(task);
    ATROUS_CHECK(std::ranges::find(keys, metric) != keys.end(), ErrorKind::config,
                 "[expected] {} is no score of {}. Give one of {}.", metric, c.model.name,
                 fmt::join(keys, ", "));
  }
  ATROUS_CHECK(task != eval::TaskKind::semantic || c.model.num_classes <= 255, ErrorKind::config,
               "[config] label maps hold at most 255 classes. Got model.num_classes = {}. Merge some.",
               c.model.num_classes);
  ATROUS_CHECK(
      (c.train.epochs > 0) != (c.train.max_steps > 0), ErrorKind::config,
      "[config] exactly one of train.epochs and train.max_steps must be set. Got {} and {}. Set one.",
      c.train.epochs, c.train.max_steps);
  ATROUS_CHECK(!c.data.root.empty(), ErrorKind::config,
               "[config] training needs data.root. Got none. Add --set data.root=FOLDER.");
  ATROUS_CHECK(
      c.data.dataset != given_tensors || c.train.max_steps > 0, ErrorKind::config,
      "[config] a run on given tensors needs train.max_steps. Got train.epochs = {}. Set train.max_steps.",
      c.train.epochs);
}

void check_same_config(const Config& stored, const Config& now, const std::vector<std::string>& allowed) {
  // These determine paths, speed and logging, not the results.
  static const std::vector<std::string> free = {
      "data.root",       "data.workers",           "data.cache_mb",       "train.max_minutes",
      "train.log_every", "train.checkpoint_every", "train.sample_images", "expected"};
  std::string changed;
  for (const std::string& key : changed_keys(stored, now)) {
    const auto among = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), key) != list.end();
    };
    if (!among(free) && !among(allowed)) changed += (changed.empty() ? "" : ", ") + key;
  }
  ATROUS_CHECK(changed.empty(), ErrorKind::config,
               "[resume] the config must be that of the run. Got other values for: {}. Add --allow-change "
               "KEY for each that you mean, or start a new run with model.weights.",
               changed);
}

Verdict check_expectations(const Config& c, const RunState& state) {
  Verdict verdict;
  for (const auto& [metric, target] : c.expected) {
    const auto found = state.best.find(metric);
    const bool scored = found != state.best.end();
    const eval::Better better = eval::better_of(metric);
    const bool ok = scored && eval::meets(better, found->second, target[0], target[1]);
    verdict.lines.push_back(fmt::format("{}: {} {}, expected at {} {:.4f} {} {:.4f}",
                                        ok ? "passed" : "FAILED", metric,
                                        scored ? fmt::format("{:.4f}", found->second) : "was not scored",
                                        better == eval::Better::higher ? "least" : "most", target[0],
                                        better == eval::Better::higher ? "-" : "+", target[1]));
    verdict.met = verdict.met && ok;
  }
  return verdict;
}

}  // namespace atrous::train
