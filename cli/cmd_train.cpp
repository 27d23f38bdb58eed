// atrous train
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/error.h"
#include "core/terminal.h"
#include "core/text.h"
#include "train/trainer.h"

namespace atrous::cli {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string device = "cpu";
  bool print_reference = false;
  bool print_config = false;
  train::RunOptions run;
  Report report;
};

nlohmann::ordered_json maybe(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

nlohmann::ordered_json to_json(const train::RunResult& r, const train::Config& config, Device device) {
  return {{"schema", 1},
          {"device", name_of(device)},
          {"math", name_of(config.math)},
          {"steps", r.steps},
          {"best_" + r.main_score, maybe(r.best_score)},
          {"last_loss", maybe(r.last_loss)},
          {"interrupted", r.interrupted},
          {"signal", r.signal},
          {"timed_out", r.timed_out},
          {"expectation_met", r.expectation_met},
          {"parameters", r.parameters},
          {"peak_memory_bytes", r.peak_memory_bytes}};
}

void print(std::FILE* out, const train::RunResult& r, const Options& o) {
  const std::string memory = bytes_text(r.peak_memory_bytes);
  if (o.run.dry_run) {
    print_to(out, "dry run: {} parameters, loss of one batch {:.4f}, a training step holds {}\n",
             r.parameters, r.last_loss.value_or(0), memory);
    return;
  }
  print_to(out, "steps {}  {}  {}  peak memory {}\n{}/report.html\n", r.steps,
           r.best_score ? fmt::format("best {} {:.4f}", r.main_score, *r.best_score)
                        : fmt::format("no {}: nothing was scored", r.main_score),
           r.last_loss ? fmt::format("last loss {:.4f}", *r.last_loss) : "the run was already complete",
           memory, o.run.out_dir);
}

void run(const Options& o) {
  if (o.print_reference) {
    print_to(stdout, "{}", train::config_reference());
    return;
  }
  ATROUS_CHECK(!o.config.empty(), ErrorKind::usage,
               "[train] --config is required. Got none. Recipes are in configs/.");
  const Device device = chosen_device(o.device);
  const train::Config config = train::load_config(o.config, o.overrides);
  if (o.print_config) {
    print_to(stdout, "{}", train::to_json(config));
    return;
  }
  ATROUS_CHECK(o.run.dry_run || !o.run.out_dir.empty(), ErrorKind::usage,
               "[train] --out is required. Got none. Name a folder for the run.");
  train::RunOptions options = o.run;
  options.device = device;
  const train::RunResult result = train::run_training(config, options);
  print(o.report.table(), result, o);
  o.report.write_json(to_json(result, config, device).dump(2));
  if (result.interrupted) throw CLI::RuntimeError(128 + result.signal);
  if (!result.expectation_met) throw CLI::RuntimeError(1);
}

}  // namespace

void add_train_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Trains the network that a config describes");
  command->footer(
      "atrous train --config configs/smoke/unet_shapes.json --out runs/first    (first: atrous data "
      "make-shapes --out runs/shapes)");
  auto o = std::make_shared<Options>();
  command->add_option("--config", o->config, "JSON file, or - for standard input (docs/config.md)")
      ->type_name("FILE");
  command->add_option("--out", o->run.out_dir, "Folder of the run")->type_name("DIR");
  command->add_flag("--resume", o->run.resume,
                    "Continue the run in --out; in a folder without a run, start a new one");
  command
      ->add_option("--allow-change", o->run.allow_change,
                   "With --resume: a key that may differ from the run's config (repeatable)")
      ->type_name("KEY")
      ->allow_extra_args(false);
  command->add_option("--set", o->overrides, "Overrides a config key, e.g. optimizer.lr=0.01 (repeatable)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_device_option(*command, o->device);
  command->add_flag("--dry-run", o->run.dry_run,
                    "Build everything, run one step, print its memory use, write nothing");
  command->add_flag("--print-config", o->print_config,
                    "Print the config with all defaults and overrides, and stop");
  command->add_flag("--config-reference", o->print_reference, "Print docs/config.md, and stop");
  o->report.add_option(*command);
  command->callback([o] { run(*o); });
}

}  // namespace atrous::cli
