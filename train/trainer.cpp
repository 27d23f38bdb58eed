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
#include "train/backbone_freeze.h"
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
  void watch(const Task& task) { task_ = &task; }
  void restart() {
    images_ = 0;
    start_ = Clock::now();
    wait_ = task_->wait_seconds();
  }
  void add(int64_t images) { images_ += images; }
  void read(StepRecord& record) const {
    const double seconds = std::max(1e-9, seconds_since(start_));
    record.images_per_second = static_cast<double>(images_) / seconds;
    record.data_wait = (task_->wait_seconds() - wait_) / seconds;
  }

 private:
  const Task* task_ = nullptr;
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

// Means since the last line of the log; resets the sums.
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

// Stores the scores of a validation in the state and the files of the run.
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

// Error(config) for both kinds at once, or a mean of more steps than there are.
std::optional<AverageOptions> averaging_of(const TrainOptions& o, int64_t total_steps) {
  if (o.average_last_steps == 0) {
    if (o.ema_decay == 0) return std::nullopt;
    return AverageOptions{.decay = o.ema_decay};
  }
  ATROUS_CHECK(o.ema_decay == 0, ErrorKind::config,
               "[train] one of ema_decay and average_last_steps may be given. Got {} and {}. Leave one out.",
               o.ema_decay, o.average_last_steps);
  ATROUS_CHECK(o.average_last_steps <= total_steps, ErrorKind::config,
               "[train.average_last_steps] must be at most the steps of the run, {}. Got {}.", total_steps,
               o.average_last_steps);
  return AverageOptions{.first_step = total_steps - o.average_last_steps + 1};
}

// The mean of a checkpoint must be of the same steps. (One that begins later begins anew.)
void check_mean(const AverageOptions& averaging, const TrainOptions& stored, RunState& state) {
  const bool was_mean = stored.average_last_steps > 0, is_mean = averaging.decay == 0;
  const int64_t steps = is_mean ? std::max<int64_t>(0, state.step - averaging.first_step + 1) : 0;
  ATROUS_CHECK(
      was_mean == is_mean && (steps == 0 || steps == state.averaged_steps), ErrorKind::config,
      "[train.average_last_steps] a resumed run must average the same steps. Got a checkpoint of step {} "
      "whose average is {}, where this config's is {}. Keep train.ema_decay, average_last_steps and the "
      "length of the run, or let the mean begin after that step.",
      state.step, was_mean ? fmt::format("the mean of {} steps", state.averaged_steps) : "exponential",
      is_mean ? fmt::format("the mean of {} steps", steps) : "exponential");
  if (steps == 0) state.averaged_steps = 0;
}

// A run: its task, its progress, and the files that it leaves.
class Run {
 public:
  Run(const Config& config, const RunOptions& options);

  // One step, whose result is not kept.
  RunResult dry_run() {
    result_.last_loss = optimise().loss;
    result_.peak_memory_bytes = peak_memory(options_.device);
    return result_;
  }

  RunResult train() {
    speed_.restart();
    for (;;) {
      // Events of the step just done. They come before the next step, so that a run that was stopped among
      // them does them when it is resumed.
      if (!stop_asked() && validation_is_due()) validate();
      const bool done = stop_asked() || is_complete() || patience_ended();
      if (done || checkpoint_is_due()) save();
      if (done) break;

      const StepResult step = optimise();
      count(step);
      log(step);
      if (options_.on_step) options_.on_step(state_.step);
    }
    return finish();
  }

 private:
  // The steps of the loop, in order.
  bool stop_asked();
  bool validation_is_due() const;
  void validate();
  bool is_complete() const { return state_.step >= plan_.total_steps; }
  bool patience_ended() const;
  bool checkpoint_is_due() const;
  void save();
  StepResult optimise();
  void count(const StepResult& step);
  void log(const StepResult& step);
  RunResult finish();

  std::optional<StoredCheckpoint> stored_checkpoint() const;
  CheckpointContent content(bool to_resume);

  const Config& config_;
  const RunOptions& options_;
  const Clock::time_point start_ = Clock::now();
  const std::string config_text_;  // text that JSON cannot hold is an error before anything is read
  std::optional<SignalGuard> signals_;
  std::optional<RunFolder> folder_;  // none in a dry run, as signals_ and log_
  const layers::BuildDeviceGuard build_on_;
  std::unique_ptr<Task> task_;
  Plan plan_;
  std::optional<Optimizer> optimizer_;
  std::optional<BackboneFreeze> freeze_;
  std::optional<WeightAverage> average_;
  RunState state_;
  std::optional<RunLog> log_;
  SpeedMeter speed_;
  RunResult result_;
  bool unsaved_ = false;   // steps or scores that no checkpoint has
  bool keep_last_ = true;  // keep the last checkpoint as the previous one at the next save
};

Run::Run(const Config& config, const RunOptions& options)
    : config_(config), options_(options), config_text_(to_json(config)), build_on_(options.device) {
  check_math(config, options.device,
             options.resume ? "Use --device cuda or sim, or --set math=f32 --allow-change math"
                            : "Use --device cuda or sim, or --set math=f32 or bf16");
  if (!options.dry_run) {
    signals_.emplace();
    folder_.emplace(options.out_dir, options.resume);
  }
  std::optional<StoredCheckpoint> stored = stored_checkpoint();
  std::optional<data::ClassList> classes;
  if (stored) {
    // A damaged last checkpoint must not replace the good one before it.
    keep_last_ = stored->file.origin == folder_->last();
    classes = class_list(stored->classes, config, fmt::format("the checkpoint ({})", stored->file.origin));
  }
  // Once there is a checkpoint, the weights that a run started from are not needed, and may be deleted.
  task_ = make_task(config, /*weights_follow=*/stored.has_value(), classes ? &*classes : nullptr);
  plan_ = make_plan(config, task_->training_images());
  layers::Model& model = task_->model();
  use_math(config, model);
  model.train();
  optimizer_.emplace(
      config.optimizer, model.parameters(), [&](const std::string& name) { return model.in_backbone(name); },
      /*bf16_copies=*/model.compute_dtype() == DType::bf16);
  freeze_.emplace(model, config.optimizer.freeze_backbone_steps);
  const std::optional<AverageOptions> averaging = averaging_of(config.train, plan_.total_steps);
  if (averaging) average_.emplace(model, *averaging);
  if (stored) {
    restore(*stored, model, *optimizer_, average_ ? &*average_ : nullptr);
    state_ = stored->state;
    if (averaging) check_mean(*averaging, stored->config.train, state_);
    stored.reset();  // its memory
    say(fmt::format("resumed at step {}", state_.step));
  }
  const int64_t accumulate = config.train.accumulate;
  task_->begin(state_, state_.step * accumulate, plan_.total_steps * accumulate);
  speed_.watch(*task_);
  result_.main_score = task_->main_score();
  result_.parameters = count_parameters(model);
  announce(config, *task_, plan_, result_.parameters, options.device);
  if (options.dry_run) return;
  write_file_atomically(folder_->file("config.json"), config_text_);
  log_.emplace(folder_->path(), state_.step, state_.last_validation, plan_.total_steps, options.device);
}

// The checkpoint of the run to be resumed, if it has one.
std::optional<StoredCheckpoint> Run::stored_checkpoint() const {
  if (!folder_ || !options_.resume) return std::nullopt;
  std::optional<StoredCheckpoint> stored =
      read_newest_checkpoint({folder_->last(), folder_->previous()}, say);
  if (stored) check_same_config(stored->config, config_, options_.allow_change);
  return stored;
}

CheckpointContent Run::content(bool to_resume) {
  CheckpointContent all{&config_, &task_->classes(), nullptr, &task_->model(), nullptr, nullptr};
  if (!to_resume) return all;
  all.state = &state_;
  all.optimizer = &*optimizer_;
  all.average = average_ ? &*average_ : nullptr;
  return all;
}

bool Run::stop_asked() {
  result_.signal = SignalGuard::stop_requested();
  result_.timed_out = !result_.signal && !is_complete() && config_.train.max_minutes > 0 &&
                      seconds_since(start_) >= 60 * config_.train.max_minutes;
  return result_.signal || result_.timed_out;
}

bool Run::validation_is_due() const {
  return task_->training_images() > 0 && state_.step > state_.last_validation &&
         (is_complete() || state_.step % plan_.validate_every == 0);
}

void Run::validate() {
  save();  // a validation that fails loses no training step
  const bool averaged = average_ && average_->begun(state_.step);
  if (averaged) average_->swap();
  const std::optional<Validation> found = task_->validate(state_.step, *folder_, *log_);
  const bool best = found && is_best(*found, task_->main_score(), state_);
  // Weights before their scores: best.json never names weights that are not there.
  if (best) save_checkpoint(folder_->best(), content(/*to_resume=*/false));
  if (averaged) average_->swap();
  if (found) {
    record_validation(*found, best, state_, *folder_, *log_);
    unsaved_ = true;
    write_report(folder_->path());
  }
  save();
  speed_.restart();  // validation is not part of the speed of training
}

bool Run::patience_ended() const {
  return config_.train.patience > 0 && state_.stale_validations >= config_.train.patience;
}

bool Run::checkpoint_is_due() const {
  return state_.step % plan_.checkpoint_every == 0 || SignalGuard::take_save_request();
}

void Run::save() {
  if (!unsaved_) return;
  // Such weights must not replace a good checkpoint.
  layers::check_weights_finite(task_->model(), "train", "Nothing was saved; lower optimizer.lr.");
  save_checkpoint(folder_->last(), content(/*to_resume=*/true), keep_last_ ? folder_->previous() : "");
  keep_last_ = true;
  unsaved_ = false;
}

// Loads batches, forward and backward, updates the weights.
StepResult Run::optimise() {
  freeze_->prepare(state_.step);
  const double lr = learning_rate(config_.schedule, config_.optimizer.lr, state_.step, plan_.total_steps);
  return train_step(
      *optimizer_, [&] { return task_->next(); }, config_.train.accumulate, state_.step, lr);
}

void Run::count(const StepResult& step) {
  if (state_.step == 0) {
    if (const std::string warning = task_->first_loss_warning(step.loss); !warning.empty())
      log_->message(warning);
  }
  ++state_.step;
  unsaved_ = true;
  if (average_) average_->update(state_.step);
  if (config_.train.average_last_steps > 0 && average_->begun(state_.step)) ++state_.averaged_steps;
  add_losses(step, state_);
  result_.last_loss = state_.loss_sum / static_cast<double>(state_.loss_steps);
  speed_.add(step.images);
}

void Run::log(const StepResult& step) {
  log_->progress(state_.step, *result_.last_loss);
  if (state_.step % config_.train.log_every != 0 && !is_complete()) return;
  StepRecord record{.step = state_.step,
                    .epoch = static_cast<double>(state_.step) / plan_.steps_per_epoch,
                    .lr = step.lr,
                    .gradient_norm = step.gradient_norm};
  take_losses(step, state_, record);
  speed_.read(record);
  log_->step(record);
  speed_.restart();
}

RunResult Run::finish() {
  result_.steps = state_.step;
  if (!state_.best.empty()) result_.best_score = state_.best.at(task_->main_score());
  result_.interrupted = result_.signal != 0;
  result_.peak_memory_bytes = peak_memory(options_.device);
  if (patience_ended() && !is_complete())
    log_->message(fmt::format("stopped early: no better {} in {} validations", task_->main_score(),
                              config_.train.patience));
  write_report(folder_->path());
  if (result_.interrupted || result_.timed_out) {
    log_->message(fmt::format("stopped by {} at step {} of {}; everything is saved, --resume continues",
                              result_.signal ? "a signal" : "train.max_minutes", state_.step,
                              plan_.total_steps));
  } else {
    const Verdict verdict = check_expectations(config_, state_);
    for (const std::string& line : verdict.lines) log_->message(line);
    result_.expectation_met = verdict.met;
  }
  return result_;
}

}  // namespace

RunResult run_training(const Config& config, const RunOptions& options) {
  check_trainable(config);
  Run run(config, options);
  return options.dry_run ? run.dry_run() : run.train();
}

}  // namespace atrous::train
