#include "train/trainer.h"

#include <algorithm>
#include <chrono>

#include "core/allocator.h"
#include "core/atomic_file.h"
#include "kernels/common/dispatch.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/class_weights.h"
#include "train/plan.h"
#include "train/report.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/schedule.h"
#include "train/signals.h"
#include "train/step.h"
#include "train/validation.h"

namespace atrous::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void say(const std::string& text) {
  fmt::print(stderr, "{}\n", text);
}

// What the steps since the last line of the log add up to.
class StepMeter {
 public:
  explicit StepMeter(const BatchSource& batches) : batches_(batches) { restart(); }
  void restart() {
    sum_ = StepResult{};
    steps_ = 0;
    start_ = Clock::now();
    wait_ = batches_.wait_seconds();
  }
  void add(const StepResult& step) {
    sum_.loss += step.loss;
    sum_.images += step.images;
    sum_.lr = step.lr;
    sum_.gradient_norm = step.gradient_norm;
    ++steps_;
  }
  StepRecord record(int64_t step, double epoch) const {
    const double seconds = std::max(1e-9, seconds_since(start_));
    return {step,
            epoch,
            sum_.loss / static_cast<double>(steps_),
            sum_.lr,
            sum_.gradient_norm,
            static_cast<double>(sum_.images) / seconds,
            (batches_.wait_seconds() - wait_) / seconds};
  }

 private:
  const BatchSource& batches_;
  StepResult sum_;
  int64_t steps_ = 0;
  Clock::time_point start_;
  double wait_ = 0;
};

int64_t count_parameters(const layers::SegmentationModel& model) {
  int64_t count = 0;
  for (const layers::NamedParameter& p : model.parameters()) count += p.variable.value().numel();
  return count;
}

void announce(const Config& c, const DataSets& sets, const Plan& plan, int64_t parameters,
              const RunState& state) {
  if (sets.train) say(sets.train->describe() + "\n" + sets.val->describe());
  for (size_t i = 0; i < state.class_weights.size(); ++i)
    say(fmt::format("class weight {:.3f}  {}", state.class_weights[i], sets.classes[i].name));
  const std::string batch = sets.train ? fmt::format("{:.1f} steps per epoch, batches of {}",
                                                     plan.steps_per_epoch, c.data.batch_size)
                                       : "given batches";
  say(fmt::format("{}: {} parameters; {} steps, {}{}", c.model.name, parameters, plan.total_steps, batch,
                  c.train.accumulate > 1 ? fmt::format(", {} per step", c.train.accumulate) : ""));
}

}  // namespace

RunResult run_training(const Config& config, const RunOptions& options) {
  check_trainable(config);
  const SignalGuard signals;
  const auto start = Clock::now();
  std::optional<RunFolder> folder;
  if (!options.dry_run) folder.emplace(options.out_dir, options.resume);

  // What is trained, on what, and how far it has come.
  const DataSets sets = open_datasets(config);
  const Plan plan = make_plan(config, sets);
  kernels::set_exact_sums(config.exact);
  const auto model = nets::make_model(config.model, config.seed);
  model->train();
  Optimizer optimizer(config.optimizer, model->parameters(), model->backbone_prefix());
  std::optional<WeightAverage> average;
  if (config.train.ema_decay > 0) average.emplace(*model, config.train.ema_decay);
  RunState state;
  std::optional<StoredCheckpoint> stored;
  if (folder && options.resume) stored = read_newest_checkpoint({folder->last(), folder->previous()}, say);
  if (stored) {
    check_same_config(stored->config, config, options.allow_change);
    restore(*stored, *model, optimizer, average ? &*average : nullptr);
    state = stored->state;
    stored.reset();
    say(fmt::format("resumed at step {}", state.step));
  } else {
    state.class_weights =
        class_weights(config.train.class_weights, sets.train.get(), config.model.num_classes);
  }
  RunResult result;
  result.parameters = count_parameters(*model);
  announce(config, sets, plan, result.parameters, state);

  const layers::LossOptions loss{config.train.losses, state.class_weights, config.train.aux_weight};
  const int64_t accumulate = config.train.accumulate;
  BatchSource batches(config, sets.train.get(), state.step * accumulate, plan.total_steps * accumulate);
  const auto step_once = [&] {
    const double lr = learning_rate(config.schedule, config.optimizer.lr, state.step, plan.total_steps);
    return train_step(*model, optimizer, batches, loss, accumulate, config.seed, state.step, lr);
  };
  if (options.dry_run) {
    result.last_loss = step_once().loss;
    result.peak_memory_bytes = allocator_stats().peak_in_use;
    return result;
  }

  write_file_atomically(folder->file("config.json"), to_json(config));
  RunLog log(folder->path(), state.step, plan.total_steps);
  const auto save_last = [&] {
    check_weights_finite(*model);
    save_checkpoint(folder->last(),
                    {&config, &sets.classes, &state, model.get(), &optimizer, average ? &*average : nullptr},
                    folder->previous());
  };
  const auto validate_now = [&] {
    if (average) average->swap();
    const std::optional<bool> best = validate(config, *model, *sets.val, sets.classes, state, *folder, log);
    if (best && *best)
      save_checkpoint(folder->best(), {&config, &sets.classes, nullptr, model.get(), nullptr, nullptr});
    if (average) average->swap();
    if (best) write_report(folder->path());
  };

  StepMeter meter(batches);
  bool unsaved = false;
  for (;;) {
    // Events of the step just done. They come before the next step, so that a run that was stopped among them
    // makes up for them.
    const bool out_of_time =
        config.train.max_minutes > 0 && seconds_since(start) >= 60 * config.train.max_minutes;
    const bool last = state.step >= plan.total_steps || out_of_time;
    if (!SignalGuard::stop_requested() && sets.val && state.step > state.last_validation &&
        (last || state.step % plan.validate_every == 0)) {
      validate_now();
      meter.restart();  // validation is not part of the speed of training
      unsaved = true;
    }
    result.signal = SignalGuard::stop_requested();
    const bool patience_ended = config.train.patience > 0 && state.stale_validations >= config.train.patience;
    const bool stop = last || patience_ended || result.signal;
    const bool due = stop || state.step % plan.checkpoint_every == 0 || SignalGuard::take_save_request();
    if (due && unsaved) {
      save_last();
      unsaved = false;
    }
    if (stop) {
      if (patience_ended && !last)
        log.message(fmt::format("stopped early: no better mIoU in {} validations", config.train.patience));
      break;
    }

    const StepResult step = step_once();
    if (state.step == 0) {
      if (const std::string warning = first_loss_warning(config, step.loss); !warning.empty())
        log.message(warning);
    }
    ++state.step;
    unsaved = true;
    if (average) average->update(state.step);

    result.last_loss = step.loss;
    meter.add(step);
    log.progress(state.step, step.loss);
    if (state.step % config.train.log_every == 0 || state.step == plan.total_steps) {
      log.step(meter.record(state.step, static_cast<double>(state.step) / plan.steps_per_epoch));
      meter.restart();
    }
  }

  result.steps = state.step;
  result.best_miou = state.best.empty() ? 0 : state.best.at("miou");
  result.interrupted = result.signal != 0;
  result.peak_memory_bytes = allocator_stats().peak_in_use;
  write_report(folder->path());
  if (result.interrupted) {
    log.message(
        fmt::format("stopped by a signal at step {}; everything is saved, --resume goes on", state.step));
  } else {
    const Verdict verdict = check_expectations(config, state);
    for (const std::string& line : verdict.lines) log.message(line);
    result.expectation_met = verdict.met;
  }
  return result;
}

}  // namespace atrous::train
