// `atrous crf-search`: finds the parameters of a dense CRF that score best on a validation set.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/inference_flags.h"
#include "cli/progress.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "core/text.h"
#include "eval/crf_search.h"
#include "eval/report/semantic_json.h"
#include "eval/semantic_metrics.h"
#include "train/checkpoint.h"
#include "train/class_source.h"
#include "train/plan.h"
#include "train/signals.h"

namespace atrous::cli {
namespace {

namespace fs = std::filesystem;

struct Options : ScoredNetwork {
  std::string output, params, metric = "miou";
  std::string grid = eval::crf_usual_grid;
  std::string device = "cpu";
  int64_t images = 100, rounds = 1, cache_memory = 2048, max_memory = eval::CrfOptions{}.max_memory;
  InferenceFlags inference;
  Report report;
};

constexpr size_t shown_metrics = 3;  // of eval::crf_metrics

// Valid names for --metric.
std::vector<std::string> searchable() {
  std::vector<std::string> keys;
  for (const eval::SemanticMetric* m : eval::crf_metrics(2)) keys.push_back(m->key);
  return keys;
}

std::string number(const std::optional<double>& v) {
  return v ? fmt::format("{:.4f}", *v) : "-";
}

JsonValue scores_of(const eval::SemanticScores& s) {
  JsonValue j = JsonValue::make_object();
  for (const eval::SemanticMetric* m : eval::crf_metrics(shown_metrics)) j[m->key] = JsonValue::of(s[m->key]);
  return j;
}

std::string table_json(const Options& o, const eval::CrfSearchResult& r, bool complete) {
  JsonValue j = JsonValue::make_object();
  j["weights"] = JsonValue::of(o.weights);
  j["split"] = JsonValue::of(o.split);
  j["images"] = JsonValue::of(r.images);
  j["metric"] = JsonValue::of(o.metric);
  j["grid"] = JsonValue::of(o.grid);
  j["rounds"] = JsonValue::of(o.rounds);
  j["complete"] = JsonValue::of(complete);
  j["before"] = scores_of(r.before.scores);
  JsonValue rows;
  rows.kind = JsonValue::Kind::array;
  const auto row_of = [](const eval::CrfTrial& trial) {
    JsonValue row = eval::crf_to_json(trial.options);
    row["round"] = JsonValue::of(trial.round);
    for (const auto& [key, value] : scores_of(trial.scores).object) row[key] = value;
    return row;
  };
  for (const eval::CrfTrial& trial : r.trials) rows.array.push_back(row_of(trial));
  j["trials"] = rows;
  j["best"] = r.best < 0 ? JsonValue{} : row_of(r.trials[static_cast<size_t>(r.best)]);
  return to_text(j) + "\n";
}

// The best first. `most`: rows; 0 for all.
std::string table_markdown(const Options& o, const eval::CrfSearchResult& r, size_t most) {
  std::vector<const eval::CrfTrial*> order;
  for (const eval::CrfTrial& trial : r.trials) order.push_back(&trial);
  const eval::Better better = eval::semantic_metric(o.metric).better;
  std::stable_sort(order.begin(), order.end(), [&](auto* a, auto* b) {
    return eval::is_better(better, a->scores[o.metric].value(), b->scores[o.metric].value());
  });
  if (most > 0) order.resize(std::min(order.size(), most));
  std::string head = "| iterations |", line = "|---|";
  for (const eval::CrfNumber& n : eval::crf_numbers()) {
    head += fmt::format(" {} |", n.key);
    line += "---|";
  }
  for (const eval::SemanticMetric* m : eval::crf_metrics(shown_metrics)) {
    head += fmt::format(" {} |", m->title);
    line += "---|";
  }
  std::string out = head + "\n" + line + "\n";
  const auto scores = [](const eval::SemanticScores& s) {
    std::string cells;
    for (const eval::SemanticMetric* m : eval::crf_metrics(shown_metrics))
      cells += fmt::format(" {} |", number(s[m->key]));
    return cells + "\n";
  };
  out += "| without CRF |";
  for (size_t i = 0; i < eval::crf_numbers().size(); ++i) out += "  |";
  out += scores(r.before.scores);
  for (const eval::CrfTrial* t : order) {
    out += fmt::format("| {} |", t->options.iterations);
    for (const eval::CrfNumber& n : eval::crf_numbers()) out += fmt::format(" {:g} |", t->options.*n.member);
    out += scores(t->scores);
  }
  return out;
}

std::string markdown_path(const Options& o) {
  return fs::path(o.output).replace_extension(".md").string();
}

void print_best(const Options& o, const eval::CrfSearchResult& r) {
  if (r.best < 0) return;
  const eval::CrfTrial& best = r.trials[static_cast<size_t>(r.best)];
  const double without = r.before.scores[o.metric].value(), with = best.scores[o.metric].value();
  print_to(o.report.table(), "\n{} of {}: {:.4f} without CRF, {:.4f} with the best of {} ({:+.4f})\n",
           o.metric, counted(r.images, "image"), without, with, r.trials.size(), with - without);
  if (!eval::is_better(eval::semantic_metric(o.metric).better, with, without))
    print_to(o.report.table(), "No parameters tried are better than no CRF.\n");
  print_to(o.report.table(), "--crf {}\n", eval::crf_text(best.options));
}

void run_search(const Options& o) {
  const Device device = chosen_device(o.device);
  eval::CrfSearchOptions search;
  search.base = eval::parse_crf(o.params, {}, "--params");
  search.base.max_memory = o.max_memory;
  search.grid = eval::parse_crf_grid(o.grid, "--grid");
  search.rounds = o.rounds;
  search.images = o.images;
  search.metric = o.metric;
  search.cache_bytes = o.cache_memory << 20;
  ATROUS_CHECK(
      markdown_path(o) != o.output, ErrorKind::usage,
      "[--output] is the JSON table; a Markdown table with the extension .md is written next to it. Got "
      "\"{}\". Name it e.g. crf.json.",
      o.output);
  const fs::path folder = fs::path(o.output).parent_path();
  search.temporary_folder = folder.empty() ? "." : folder.string();
  if (!folder.empty()) make_output_folder(folder.string(), "--output");

  const layers::BuildDeviceGuard build_on(device);
  const train::LoadedModel loaded = train::load_model(o.weights, o.config, o.overrides);
  const train::Config& config = loaded.config;
  const data::ClassList meant = train::class_list(loaded.classes, config, "the checkpoint");
  const auto dataset =
      data::open_dataset(config.data, o.split, config.model.num_classes, config.model.in_channels, &meant);
  print_to(stderr, "{}\n", dataset->describe());
  eval::InferenceOptions inference = o.inference.apply(config.eval);
  inference.crf.enabled = false;  // the search runs the CRFs itself

  const train::SignalGuard signals;
  auto progress = std::make_unique<Progress>("predict", "images");
  bool trying = false;
  eval::CrfSearchHooks hooks;
  hooks.predicted = [&](int64_t done, int64_t total) { progress->update(done, total); };
  hooks.tried = [&](int64_t done, int64_t total) {
    if (!trying || done == 1) {
      progress.reset();
      progress = std::make_unique<Progress>("crf", "trials on an image");
      trying = true;
    }
    progress->update(done, total);
  };
  const auto write = [&](const eval::CrfSearchResult& r, bool complete) {
    write_file_atomically(o.output, table_json(o, r, complete));
    write_file_atomically(markdown_path(o), table_markdown(o, r, 0));
  };
  // Not before the first trials: a run that fails or is stopped until then leaves an existing table as it is.
  hooks.rows = [&](const eval::CrfSearchResult& r) {
    if (!r.trials.empty()) write(r, false);
  };
  hooks.stop = [] { return train::SignalGuard::stop_requested() != 0; };
  const eval::CrfSearchResult result =
      eval::search_crf(*loaded.model, *dataset, config.data, inference, search, hooks);
  progress.reset();
  if (!result.stopped) write(result, true);
  print_to(o.report.table(), "{}", table_markdown(o, result, 10));
  print_best(o, result);
  o.report.write_json(table_json(o, result, !result.stopped));
  if (!result.stopped) return;
  if (result.trials.empty()) {
    print_to(stderr, "stopped before any trial was finished; {} is not written\n", o.output);
  } else {
    print_to(stderr, "stopped; {} has the {} trials that were finished\n", o.output, result.trials.size());
  }
  throw CLI::RuntimeError(128 + train::SignalGuard::stop_requested());
}

}  // namespace

void add_crf_search_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("crf-search", "Finds the parameters of a dense CRF that score best on a data set");
  command->footer(
      "atrous crf-search --weights runs/camvid/checkpoints/best.safetensors --images 100 --output crf.json");
  auto o = std::make_shared<Options>();
  o->add_options(*command);
  command
      ->add_option("--output", o->output,
                   "The table (JSON); the same as Markdown is written next to it. An existing table is "
                   "replaced when the first trials are done")
      ->required();
  command->add_option("--grid", o->grid, "Values to try: KEY=FIRST:LAST:STEP or KEY=VALUE, comma-separated")
      ->capture_default_str();
  command->add_option("--params", o->params, "Parameters that are not in the grid, as for `crf`")
      ->type_name("KEY=VALUE,...");
  command
      ->add_option("--rounds", o->rounds, "Each further round tries half the step on either side of the best")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command
      ->add_option("--metric", o->metric,
                   fmt::format("Score to maximise: {}", fmt::join(searchable(), " or ")))
      ->check(CLI::IsMember(searchable()))
      ->capture_default_str();
  command->add_option("--images", o->images, "Number of images, spread over the split; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command
      ->add_option("--cache-memory", o->cache_memory,
                   "MiB of predictions kept in memory; the rest goes to a temporary file beside --output")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command->add_option("--max-memory", o->max_memory, "Memory limit of the CRF of one image in MiB")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  add_device_option(*command, o->device);
  o->inference.add_options(*command);
  o->report.add_option(*command);
  command->callback([o] { with_memory_advice([&] { run_search(*o); }); });
}

}  // namespace atrous::cli
