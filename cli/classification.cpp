#include "cli/classification.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/network_facts.h"
#include "cli/progress.h"
#include "core/allocator.h"
#include "core/atomic_file.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/classify.h"
#include "eval/report/classification_report.h"
#include "train/class_source.h"

namespace atrous::cli {
namespace {

using nlohmann::ordered_json;

// Names from a text file, one per line.
std::vector<std::string> names_in(const std::string& path) {
  const std::vector<uint8_t> bytes = data::read_file(path, 1 << 24);
  std::vector<std::string> names(1);
  for (const uint8_t byte : bytes) {
    if (byte == '\n') {
      names.emplace_back();
    } else if (byte != '\r') {
      names.back().push_back(static_cast<char>(byte));
    }
  }
  if (names.back().empty()) names.pop_back();
  return names;
}

void take_names(train::LoadedModel& loaded, const std::string& names_file) {
  data::ClassList list = train::class_list(loaded.classes, loaded.config, loaded.weights);
  if (!names_file.empty()) {
    const std::vector<std::string> names = names_in(names_file);
    ATROUS_CHECK(names.size() == loaded.classes.size(), ErrorKind::data,
                 "[--class-names] the file must have a line per class. Got {} in \"{}\" for {}. Correct it.",
                 counted(std::ssize(names), "line"), names_file,
                 counted(std::ssize(loaded.classes), "class", "classes"));
    if (data::has_names(list))
      print_to(stderr, "note: the classes of {} are called as in {}\n", loaded.weights, names_file);
    for (size_t k = 0; k < names.size(); ++k) loaded.classes[k].name = names[k];
    return;
  }
  if (!data::has_names(list))
    print_to(
        stderr,
        "note: {} has no class names, so classes are numbers from 0. Give --class-names FILE, a name per "
        "line, or data.class_names\n",
        loaded.weights);
}

// A field of a CSV file (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

struct Row {
  std::string image;
  std::vector<int64_t> classes;
  std::vector<double> probabilities;
};

ordered_json json_of(const Row& row, const std::vector<data::ClassInfo>& classes) {
  ordered_json top = ordered_json::array();
  for (size_t i = 0; i < row.classes.size(); ++i)
    top.push_back({{"class", row.classes[i]},
                   {"name", classes[static_cast<size_t>(row.classes[i])].name},
                   {"probability", row.probabilities[i]}});
  return {{"image", row.image}, {"top", std::move(top)}};
}

std::string csv_of(const Row& row, const std::vector<data::ClassInfo>& classes) {
  std::string lines;
  for (size_t i = 0; i < row.classes.size(); ++i)
    lines += fmt::format("{},{},{},{},{}\n", csv_field(row.image), i + 1, row.classes[i],
                         csv_field(classes[static_cast<size_t>(row.classes[i])].name), row.probabilities[i]);
  return lines;
}

// Paths need not be UTF-8.
std::string text_of(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Row classify(const std::string& path, const train::LoadedModel& loaded,
             const ClassPredictionOptions& options) {
  const Tensor image = data::load_image(path, loaded.config.data, loaded.model->in_channels());
  const std::vector<double> all =
      eval::class_probabilities(*loaded.model, image, loaded.config.data, options.inference);
  Row row{path, eval::top_classes(all, options.top), {}};
  for (const int64_t k : row.classes) row.probabilities.push_back(all[static_cast<size_t>(k)]);
  return row;
}

}  // namespace

void evaluate_classes(const train::LoadedModel& loaded, const ClassEvaluationOptions& options,
                      const Report& report) {
  const train::Config& config = loaded.config;
  const data::ClassList meant = train::class_list(loaded.classes, config, "the checkpoint");
  const auto dataset = data::open_image_folders(config.data, options.split, config.model.num_classes,
                                                config.model.in_channels, &meant);
  if (!options.report_folder.empty()) make_output_folder(options.report_folder, "--report");
  print_to(stderr, "{}\n", dataset->describe());
  const Device device = loaded.model->device();
  eval::ClassificationReport result;
  result.network = nets::describe(config.model);
  result.facts = {{"input", eval::describe_view(config.data, options.inference)},
                  {"device", name_of(device)},
                  {"math", name_of(config.math)}};
  std::ranges::copy(facts_of(config.model), std::back_inserter(result.facts));
  result.facts.insert(result.facts.end(), {{"split", options.split}, {"weights", loaded.weights}});
  eval::WorstClassified worst(options.report_folder.empty() ? 0 : options.worst);
  eval::ClassifiedHooks hooks;
  hooks.image = [&](const data::ClassifiedImage& image, std::span<const double> probabilities) {
    result.images.push_back(eval::score_of(image, probabilities));
    worst.add(result.images.back(), image.image);
  };
  double seconds = 0;
  {
    Progress progress("eval", "images");
    hooks.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
    eval::ClassificationResult scored =
        eval::evaluate(*loaded.model, *dataset, config.data, options.inference, hooks);
    result.scores = std::move(scored.scores);
    seconds = scored.seconds;
  }
  eval::print_scores(report.table(), result);
  const AllocatorStats memory = device == Device::cpu ? allocator_stats() : device_allocator_stats(device);
  print_to(stderr, "{} in {:.1f} s, peak memory {}\n", counted(result.scores.images, "image"), seconds,
           bytes_text(memory.peak_in_use));
  report.write_json(eval::scores_json(result));
  if (options.report_folder.empty()) return;
  eval::write_classification_report(options.report_folder, result, worst.images());
  print_to(stderr, "{}/report.html\n", options.report_folder);
}

void predict_classes(train::LoadedModel loaded, const ClassPredictionOptions& options, const Report& report) {
  take_names(loaded, options.names_file);
  if (!options.out.empty()) make_output_folder(options.out);
  const std::vector<data::ClassInfo>& classes = loaded.classes;
  ordered_json j{{"predictions", ordered_json::array()}};
  std::string csv = "image,place,class,name,probability\n";
  std::vector<std::string> refused;
  {
    Progress progress("predict", "images");
    for (size_t i = 0; i < options.images.size(); ++i) {
      try {
        const Row row = classify(options.images[i], loaded, options);
        print_to(report.table(), "{}\n", row.image);
        for (size_t k = 0; k < row.classes.size(); ++k)
          print_to(report.table(), "  {:.4f}  {}\n", row.probabilities[k],
                   classes[static_cast<size_t>(row.classes[k])].name);
        j["predictions"].push_back(json_of(row, classes));
        csv += csv_of(row, classes);
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::data) throw;
        print_to(stderr, "refused: {}\n", e.what());
        refused.push_back(options.images[i]);
      }
      progress.update(static_cast<int64_t>(i + 1), std::ssize(options.images));
    }
  }
  j["input"] = eval::describe_view(loaded.config.data, options.inference);
  j["weights"] = loaded.weights;
  j["refused"] = refused;
  j["left_out"] = ordered_json::parse(options.left_out);
  if (!options.out.empty()) {
    write_file_atomically(options.out + "/predictions.json", text_of(j));
    write_file_atomically(options.out + "/predictions.csv", csv);
    print_to(stderr, "{0}/predictions.json, {0}/predictions.csv\n", options.out);
  }
  report.write_json(text_of(j));
  if (refused.empty()) return;
  std::string list;
  for (const std::string& image : refused) list += "\n  " + image;
  fail(ErrorKind::data, "[predict] every image must be readable. {} of {} were refused (reasons above):{}",
       refused.size(), options.images.size(), list);
}

}  // namespace atrous::cli
