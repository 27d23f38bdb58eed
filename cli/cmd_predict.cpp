// `atrous predict`: label images and overlays of photographs.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/classification.h"
#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/image_arguments.h"
#include "cli/inference_flags.h"
#include "cli/instances.h"
#include "cli/predictions.h"
#include "cli/progress.h"
#include "core/error.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/pictures.h"
#include "train/checkpoint.h"

namespace atrous::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string config, weights, out, class_names;
  std::optional<int64_t> top;
  std::string device = "cpu";
  std::vector<std::string> overrides, inputs;
  bool resume = false;
  InferenceFlags inference;
  Report report;
};

struct Job {
  std::string image;
  std::string labels;   // OUT/<name>.png
  std::string overlay;  // OUT/overlays/<name>.png
  std::string objects;  // OUT/objects/<name>.json, of detection models

  // Written last: its presence means that all is done.
  const std::string& last() const { return objects.empty() ? labels : objects; }
};

// One name per file, whatever path leads to it.
std::string canonical(const std::string& path) {
  std::error_code error;
  const fs::path name = fs::weakly_canonical(path, error);
  return error ? fs::path(path).lexically_normal().string() : name.string();
}

// A result must not replace a photograph, neither its own nor another's.
void check_inputs_survive(const std::vector<Job>& jobs) {
  std::map<std::string, std::string> images;
  for (const Job& job : jobs) images.emplace(canonical(job.image), job.image);
  for (const Job& job : jobs) {
    for (const std::string& output : {job.labels, job.overlay, job.objects}) {
      if (output.empty()) continue;
      const auto image = images.find(canonical(output));
      ATROUS_CHECK(image == images.end(), ErrorKind::usage,
                   "[predict] results must not replace images. The result \"{}\" of \"{}\" is the image "
                   "\"{}\". Choose another folder for --out.",
                   output, job.image, image->second);
    }
  }
}

// The name of each result: the image's name without its extension; with it if another image differs from
// it in the extension alone.
std::vector<std::string> result_names(const std::vector<std::string>& images) {
  std::map<std::string, std::set<std::string>> by_stem;
  for (const std::string& image : images)
    by_stem[fs::path(image).stem().string()].insert(fs::path(image).filename().string());
  std::vector<std::string> names;
  for (const std::string& image : images) {
    const std::string stem = fs::path(image).stem().string();
    names.push_back(
        shortened_name(by_stem[stem].size() > 1 ? fs::path(image).filename().string() : stem, 250));
  }
  return names;
}

std::vector<Job> plan(const std::vector<std::string>& images, const std::string& out, bool objects) {
  std::vector<Job> jobs;
  std::map<std::string, std::string> by_name;
  const std::vector<std::string> names = result_names(images);
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string &image = images[i], &name = names[i];
    const auto [other, fresh] = by_name.emplace(name, image);
    ATROUS_CHECK(fresh, ErrorKind::usage,
                 "[predict] results are named after their images, so names must differ. Got \"{}\" and "
                 "\"{}\". Predict them into different folders.",
                 other->second, image);
    jobs.push_back({image, fmt::format("{}/{}.png", out, name), fmt::format("{}/overlays/{}.png", out, name),
                    objects ? fmt::format("{}/objects/{}.json", out, name) : ""});
  }
  check_inputs_survive(jobs);
  return jobs;
}

// Lists the results that are not named by the stems of their images.
void note_names_with_endings(const std::vector<Job>& jobs) {
  int64_t count = 0;
  const Job* first = nullptr;
  for (const Job& job : jobs) {
    if (fs::path(job.labels).stem() == shortened_name(fs::path(job.image).stem().string(), 250)) continue;
    if (count++ == 0) first = &job;
  }
  if (count > 0) {
    print_to(stderr, "note: {} from others only in the extension, which the results keep: {}\n",
             count == 1 ? "1 image differs" : fmt::format("{} images differ", count), first->labels);
  }
}

// Returns the number of parts in which a CRF refined the image; 1 without one.
int64_t predict_one(const Job& job, const train::LoadedModel& loaded, const eval::InferenceOptions& inference,
                    const eval::Palette& palette) {
  const Tensor image = data::load_image(job.image, loaded.config.data, loaded.model->in_channels());
  int64_t crf_tiles = 1;
  const Tensor labels = eval::predict_labels(*loaded.model, image, loaded.config.data, inference, &crf_tiles);
  const Tensor picture =
      eval::with_legend(eval::overlay(image, labels, palette), labels, loaded.classes, palette);
  data::write_png(job.overlay, picture);
  data::write_png(job.labels, labels, palette);  // last: see Job::last
  if (crf_tiles > 1) {
    print_to(stderr, "{}: the CRF in {} tiles, to stay within {} MiB: an approximation\n", job.image,
             crf_tiles, inference.crf.max_memory);
  }
  return crf_tiles;
}

// Runs the jobs, as predict_one; options that do not fit the kind of network are refused before.
std::function<int64_t(const Job&)> worker(const Options& o, const train::LoadedNetwork& network) {
  if (nets::is_detector(network.config.model.name)) {
    o.inference.refuse("a detection model");
    const LoadedDetector detector{network.config, nets::as_detector(network.model), network.classes};
    return [detector](const Job& job) {
      predict_instances(detector, {job.image, job.labels, job.overlay, job.objects});
      return int64_t{1};
    };
  }
  const train::LoadedModel loaded{network.config, nets::as_segmentation(network.model), network.classes};
  ATROUS_CHECK(loaded.model->num_classes() <= 255, ErrorKind::config,
               "[predict] label images hold at most 255 classes. Got a model of {}. Merge some.",
               loaded.model->num_classes());
  const eval::InferenceOptions options = o.inference.apply(loaded.config.eval);
  warn_of_two_crfs(loaded.config.model, options);
  return [loaded, inference = options, palette = eval::palette_of(loaded.classes)](const Job& job) {
    return predict_one(job, loaded, inference, palette);
  };
}

// Predictions have the class names of the checkpoint.
void note_other_names(const train::LoadedNetwork& network) {
  const std::vector<std::string>& names = network.config.data.class_names;
  for (const std::string& name : names) {
    if (std::ranges::any_of(network.classes, [&](const auto& c) { return c.name == name; })) continue;
    if (!network.config.data.class_map.empty()) return;  // then they are names of the data set
    print_to(stderr, "note: data.class_names has \"{}\", but classes are called as in {}\n", name,
             network.weights);
    return;
  }
}

void classify(const Options& o, const train::LoadedNetwork& network, const std::vector<std::string>& images,
              const std::string& left_out) {
  o.inference.refuse_for_classification();
  ATROUS_CHECK(!o.resume, ErrorKind::usage,
               "[predict] --resume is for networks that write a file per image. Got {}. Leave it out.",
               network.config.model.name);
  const train::LoadedModel loaded{network.config, nets::as_segmentation(network.model), network.classes,
                                  network.weights};
  predict_classes(
      loaded,
      {images, o.out, o.class_names, o.top.value_or(5), o.inference.apply(network.config.eval), left_out},
      o.report);
}

void run_predict(const Options& o) {
  const layers::BuildDeviceGuard build_on(chosen_device(o.device));
  nlohmann::ordered_json left_out = nlohmann::ordered_json::array();
  const ImageArguments given = expand_images("predict", o.inputs);
  const std::vector<std::string>& images = given.files;
  for (const auto& file : given.left_out) left_out.push_back({{"file", file.path}, {"reason", file.reason}});
  if (!o.out.empty()) plan(images, o.out, false);  // errors in the names show before the weights are read
  const train::LoadedNetwork network = train::load_network(o.weights, o.config, o.overrides);
  note_other_names(network);
  if (nets::is_classifier(network.config.model.name))
    return classify(o, network, images,
                    left_out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  ATROUS_CHECK(!o.out.empty(), ErrorKind::usage,
               "[predict] --out must name a folder for the results. Got none. Add it.");
  ATROUS_CHECK(
      o.class_names.empty() && !o.top, ErrorKind::usage,
      "[predict] --class-names and --top are for networks that classify images. Got {}. Leave them out.",
      network.config.model.name);
  const std::vector<Job> jobs = plan(images, o.out, nets::is_detector(network.config.model.name));
  note_names_with_endings(jobs);
  const std::function<int64_t(const Job&)> predict = worker(o, network);
  make_output_folder(o.out);
  make_output_folder(o.out + "/overlays");
  const bool objects = nets::is_detector(network.config.model.name);
  if (objects) make_output_folder(o.out + "/objects");

  nlohmann::ordered_json j = {{"written", nlohmann::ordered_json::array()}, {"skipped", 0}};
  std::vector<std::string> refused;
  int64_t skipped = 0;
  {
    Progress progress("predict", "images");
    for (size_t i = 0; i < jobs.size(); ++i) {
      const Job& job = jobs[i];
      std::error_code unknown;  // then the image is predicted
      if (o.resume && fs::exists(job.last(), unknown) && fs::exists(job.overlay, unknown)) {
        ++skipped;
      } else {
        try {
          const int64_t crf_tiles = predict(job);
          print_to(o.report.table(), "{}\n", objects ? job.overlay : job.labels);
          nlohmann::ordered_json written{{"image", job.image}, {"overlay", job.overlay}};
          if (fs::exists(job.labels, unknown)) written["labels"] = job.labels;
          if (!job.objects.empty()) written["objects"] = job.objects;
          if (crf_tiles > 1) written["crf_tiles"] = crf_tiles;
          j["written"].push_back(std::move(written));
        } catch (const Error& e) {
          if (e.kind() != ErrorKind::data) throw;
          print_to(stderr, "refused: {}\n", e.what());
          refused.push_back(job.image);
        }
      }
      progress.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(jobs.size()));
    }
  }
  if (objects) {
    std::vector<std::string> parts;
    for (const Job& job : jobs) {
      if (std::ranges::find(refused, job.image) == refused.end()) parts.push_back(job.objects);
    }
    j["predictions"] = o.out + "/predictions.json";
    join_predictions(o.out + "/predictions.json", parts);
    print_to(o.report.table(), "{}/predictions.json\n", o.out);
  }
  j["skipped"] = skipped;
  j["refused"] = refused;
  j["left_out"] = left_out;
  // Paths need not be UTF-8.
  o.report.write_json(j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  if (skipped > 0) print_to(stderr, "{} image(s) were already done\n", skipped);
  if (refused.empty()) return;
  std::string list;
  for (const std::string& image : refused) list += "\n  " + image;
  fail(ErrorKind::data, "[predict] every image must be readable. {} of {} were refused (reasons above):{}",
       refused.size(), jobs.size(), list);
}

}  // namespace

void add_predict_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("predict", "Writes label images and overlays of images, or their classes");
  command->footer(
      "atrous predict --weights runs/camvid/checkpoints/best.safetensors --out pictures photo.jpg "
      "folder_of_photos");
  auto o = std::make_shared<Options>();
  command
      ->add_option("--weights", o->weights,
                   "Checkpoint or weights file (safetensors, or PyTorch's), or the folder of a run")
      ->required();
  command->add_option(
      "--out", o->out,
      "Folder: <name>.png holds class indices with a palette, overlays/<name>.png the overlay. "
      "Detection models also write predictions.json (COCO format). Networks that classify images "
      "write predictions.json and predictions.csv, and need no folder");
  command
      ->add_option("--class-names", o->class_names,
                   "Classification: text file with the name of a class per line, for weights without names")
      ->type_name("FILE");
  command
      ->add_option("--top", o->top, "Classification: classes per image, the most probable first (default 5)")
      ->check(CLI::Range(int64_t{1}, int64_t{65536}));
  command->add_option("images", o->inputs, "Image files or folders of images")->required();
  command->add_option("--config", o->config, "Config; not needed with a checkpoint, which holds its own");
  command->add_option("--set", o->overrides, "Override a config key: a.b.c=value (repeatable)")
      ->allow_extra_args(false);
  command->add_flag("--resume", o->resume, "Skip images whose results exist");
  add_device_option(*command, o->device);
  o->inference.add_options(*command);
  o->inference.add_crf_option(*command);
  o->report.add_option(*command);
  command->callback([o] {
    // `--crf photo.jpg`: the parser cannot know that this is not a parameter.
    if (std::optional<std::string>& crf = o->inference.crf; crf && crf->find('=') == std::string::npos) {
      if (!crf->empty()) o->inputs.push_back(*crf);
      crf = "";
    }
    with_memory_advice([&] { run_predict(*o); });
  });
}

}  // namespace atrous::cli
