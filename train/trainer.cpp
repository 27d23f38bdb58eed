#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/allocator.h"
#include "core/atomic_file.h"
#include "core/device_runtime.h"
#include "core/terminal.h"
#include "eval/validation_metrics.h"
#include "layers/finite.h"
#include "train/checkpoint.h"
#include "train/class_source.h"
#include "train/math.h"
#include "train/plan.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/schedule.h"
#include "train/signals.h"
#include "train/step.h"
#include "train/task.h"

namespace atrous::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void say(const std::string& text) {
  print_to(stderr, "{}\n", text);
}

// The speed since the last restart.
class SpeedMeter {
 public:
  explicit SpeedMeter(const Task& task) : task_(task) { restart(); }
  void restart() {
    images_ = 0;
    start_ = Clock::now();
    wait_ = task_.wait_seconds();
  }
  void add(int64_t images) { images_ += images; }
  void read(StepRecord& record) const {
    const double seconds = std::max(1e-9, seconds_since(start_));
    record.images_per_second = static_cast<double>(images_) / seconds;
    record.data_wait = (task_.wait_seconds() - wait_) / seconds;
  }

 private:
  const Task& task_;
  int64_t images_ = 0;
  Clock::time_point start_;
  double wait_ = 0;
};

int64_t count_parameters(const layers::Module& model) {
  int64_t count = 0;
  for (const layers::NamedParameter& p : model.parameters()) count += p.variable.value().numel();
  return count;
}

int64_t peak_memory(Device device) {
  return device == Device::cpu ? allocator_stats().peak_in_use : device_allocator_stats(device).peak_in_use;
}

void announce(const Config& c, const Task& task, const Plan& plan, int64_t parameters, Device device) {
  for (const std::string& line : task.describe()) say(line);
  const std::string batch = task.training_images() > 0 ? fmt::format("{:.1f} steps per epoch, batches of {}",
                                                                     plan.steps_per_epoch, c.data.batch_size)
                                                       : "given batches";
  say(fmt::format("{}: {} parameters; {} steps, {}{}; on {} with math {}", nets::describe(c.model),
                  parameters, plan.total_steps, batch,
                  c.train.accumulate > 1 ? fmt::format(", {} per step", c.train.accumulate) : "",
                  name_of(device), c.math));
}

void add_losses(const StepResult& step, RunState& state) {
  state.loss_sum += step.loss;
  ++state.loss_steps;
  for (const auto& [name, value] : step.terms) state.term_sums[name] += value;
}

// Means since the last line of the log, which begin anew.
void take_losses(const StepResult& step, RunState& state, StepRecord& record) {
  const auto steps = static_cast<double>(state.loss_steps);
  record.loss = state.loss_sum / steps;
  for (const auto& term : step.terms)
    record.terms.emplace_back(term.first, state.term_sums[term.first] / steps);
  state.loss_sum = 0;
  state.loss_steps = 0;
  state.term_sums.clear();
}

bool is_best(const Validation& v, const char* main_score, const RunState& state) {
  const std::map<std::string, double> scores(v.scores.begin(), v.scores.end());
  return !v.scored || state.best.empty() ||
         eval::is_better(eval::better_of(main_score), scores.at(main_score), state.best.at(main_score));
}

// Takes the scores of a validation over into the state and the files of the run.
void record_validation(const Validation& v, bool best, RunState& state, const RunFolder& folder,
                       RunLog& log) {
  if (state.last_validation == 0) {
    for (const std::string& warning : v.warnings) log.message(warning);
  }
  state.last_validation = state.step;
  state.stale_validations = best ? 0 : state.stale_validations + 1;
  if (best) {
    state.best_step = state.step;
    state.best = std::map<std::string, double>(v.scores.begin(), v.scores.end());
    JsonValue file = JsonValue::make_object();
    file["step"] = JsonValue::of(state.step);
    for (const auto& [key, value] : v.best.object) file[key] = value;
    write_file_atomically(folder.file("best.json"), to_text(file) + "\n");
  }
  log.validation(state.step, v, best);
}

}  // namespace

RunResult run_training(const Config& config, const RunOptions& options) {
  check_trainable(config);
  const std::string config_text = to_json(config);  // what cannot be kept shows before anything is read
  check_math(config, options.device,
             options.resume ? "Use --device cuda or sim, or --set math=f32 --allow-change math"
                            : "Use --device cuda or sim, or --set math=f32 or bf16");
  std::optional<SignalGuard> signals;
  if (!options.dry_run) signals.emplace();  // a dry run has nothing to save: a signal ends it at once
  const auto start = Clock::now();
  std::optional<RunFolder> folder;
  if (!options.dry_run) folder.emplace(options.out_dir, options.resume);

  // What is trained, on what, and how far it has come.
  std::optional<StoredCheckpoint> stored;
  if (folder && options.resume) stored = read_newest_checkpoint({folder->last(), folder->previous()}, say);
  if (stored) check_same_config(stored->config, config, options.allow_change);
  // A damaged last checkpoint must not replace the good one before it.
  bool keep_last = !stored || stored->file.origin == folder->last();
  const layers::BuildDeviceGuard build_on(options.device);
  // The weights that a run started from are not needed, and may be gone, once there is a checkpoint.
  std::optional<data::ClassList> classes;
  if (stored)
    classes = class_list(stored->classes, config, fmt::format("the checkpoint ({})", stored->file.origin));
  const auto task = make_task(config, /*weights_follow=*/stored.has_value(), classes ? &*classes : nullptr);
  const Plan plan = make_plan(config, task->training_images());
  layers::Model& model = task->model();
  use_math(config, model);
  model.train();
  Optimizer optimizer(
      config.optimizer, model.parameters(), [&](const std::string& name) { return model.in_backbone(name); },
      /*bf16_copies=*/model.compute_dtype() == DType::bf16);
  std::optional<WeightAverage> average;
  if (config.train.ema_decay > 0) average.emplace(model, config.train.ema_decay);
  RunState state;
  if (stored) {
    restore(*stored, model, optimizer, average ? &*average : nullptr);
    state = stored->state;
    stored.reset();
    say(fmt::format("resumed at step {}", state.step));
  }
  const int64_t accumulate = config.train.accumulate;
  task->begin(state, state.step * accumulate, plan.total_steps * accumulate);
  RunResult result;
  result.main_score = task->main_score();
  result.parameters = count_parameters(model);
  announce(config, *task, plan, result.parameters, options.device);

  const auto step_once = [&] {
    const double lr = learning_rate(config.schedule, config.optimizer.lr, state.step, plan.total_steps);
    return train_step(
        optimizer, [&] { return task->next(); }, accumulate, state.step, lr);
  };
  if (options.dry_run) {
    result.last_loss = step_once().loss;
    result.peak_memory_bytes = peak_memory(options.device);
    return result;
  }

  write_file_atomically(folder->file("config.json"), config_text);
  RunLog log(folder->path(), state.step, state.last_validation, plan.total_steps, options.device);
  bool unsaved = false;
  const auto save_last = [&] {
    if (!unsaved) return;
    // Such weights must not replace a good checkpoint.
    layers::check_weights_finite(model, "train", "Nothing was saved; lower optimizer.lr.");
    save_checkpoint(folder->last(),
                    {&config, &task->classes(), &state, &model, &optimizer, average ? &*average : nullptr},
                    keep_last ? folder->previous() : "");
    keep_last = true;
    unsaved = false;
  };
  const auto validate_now = [&] {
    if (average) average->swap();
    const std::optional<Validation> found = task->validate(state.step, *folder, log);
    const bool best = found && is_best(*found, task->main_score(), state);
    // Weights before their scores: best.json never speaks of weights that are not there.
    if (best) save_checkpoint(folder->best(), {&config, &task->classes(), nullptr, &model, nullptr, nullptr});
    if (average) average->swap();
    if (!found) return;
    record_validation(*found, best, state, *folder, log);
    unsaved = true;
    write_report(folder->path());
  };

  SpeedMeter speed(*task);
  for (;;) {
    // Events of the step just done. They come before the next step, so that a run that was stopped among them
    // makes up for them.
    const bool last = state.step >= plan.total_steps;
    const auto stop_asked = [&] {
      result.signal = SignalGuard::stop_requested();
      result.timed_out = !result.signal && !last && config.train.max_minutes > 0 &&
                         seconds_since(start) >= 60 * config.train.max_minutes;
      return result.signal || result.timed_out;
    };
    if (!stop_asked() && task->training_images() > 0 && state.step > state.last_validation &&
        (last || state.step % plan.validate_every == 0)) {
      save_last();  // a validation that fails loses nothing
      validate_now();
      save_last();
      speed.restart();  // validation is not part of the speed of training
    }
    const bool patience_ended = config.train.patience > 0 && state.stale_validations >= config.train.patience;
    const bool stop = stop_asked() || last || patience_ended;
    if (stop || state.step % plan.checkpoint_every == 0 || SignalGuard::take_save_request()) save_last();
    if (stop) {
      if (patience_ended && !last)
        log.message(fmt::format("stopped early: no better {} in {} validations", task->main_score(),
                                config.train.patience));
      break;
    }

    const StepResult step = step_once();
    if (state.step == 0) {
      if (const std::string warning = task->first_loss_warning(step.loss); !warning.empty())
        log.message(warning);
    }
    ++state.step;
    unsaved = true;
    if (average) average->update(state.step);

    add_losses(step, state);
    result.last_loss = state.loss_sum / static_cast<double>(state.loss_steps);
    speed.add(step.images);
    log.progress(state.step, *result.last_loss);
    if (state.step % config.train.log_every == 0 || state.step == plan.total_steps) {
      StepRecord record{.step = state.step,
                        .epoch = static_cast<double>(state.step) / plan.steps_per_epoch,
                        .lr = step.lr,
                        .gradient_norm = step.gradient_norm};
      take_losses(step, state, record);
      speed.read(record);
      log.step(record);
      speed.restart();
    }
    if (options.on_step) options.on_step(state.step);
  }

  result.steps = state.step;
  if (!state.best.empty()) result.best_score = state.best.at(task->main_score());
  result.interrupted = result.signal != 0;
  result.peak_memory_bytes = peak_memory(options.device);
  write_report(folder->path());
  if (result.interrupted || result.timed_out) {
    log.message(fmt::format("stopped by {} at step {} of {}; everything is saved, --resume continues",
                            result.signal ? "a signal" : "train.max_minutes", state.step, plan.total_steps));
  } else {
    const Verdict verdict = check_expectations(config, state);
    for (const std::string& line : verdict.lines) log.message(line);
    result.expectation_met = verdict.met;
  }
  return result;
}

}  // namespace atrous::train
