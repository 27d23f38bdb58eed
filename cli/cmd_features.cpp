// `atrous features`: the outputs of layers of a network for images, as safetensors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/image_arguments.h"
#include "cli/progress.h"
#include "core/safetensors.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/augment.h"
#include "data/image_io.h"
#include "eval/evaluate_instances.h"
#include "eval/network_pass.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "nets/published_weights.h"
#include "train/checkpoint.h"

namespace atrous::cli {
namespace {

struct Options {
  std::string config, weights, output;
  std::string device = "cpu";
  std::vector<std::string> layers, overrides, inputs;
  bool pool = false;
};

// The outputs of the layers for one image, by layer; a layer that runs several times has as many.
using Outputs = std::map<std::string, std::vector<Tensor>>;

const layers::Module& layer_of(const layers::Model& model, const std::string& name) {
  const layers::Module* found = name.empty() ? nullptr : model.find(name);
  if (found) return *found;
  const std::vector<std::string> names = model.paths();
  const std::string nearest = nearest_word(name, names);
  fail(ErrorKind::usage, "[features] --layer must be a module of the network. Got \"{}\".{} It has: {}", name,
       nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest), fmt::join(names, ", "));
}

// f32 in host memory as files hold it, without the axis of a batch of one. A copy: what runs behind the layer
// may overwrite its memory.
Tensor for_file(const Tensor& output) {
  const Tensor t = layers::to_file_layout(output.to(DType::f32).to(Device::cpu).clone());
  if (t.rank() < 2 || t.dim(0) != 1) return t;
  const Shape& s = t.shape();
  return t.reshape(Shape(std::span(s.begin() + 1, static_cast<size_t>(s.rank() - 1))));
}

// The mean of each channel over all positions: [C].
Tensor pooled(const Tensor& features, const std::string& layer) {
  ATROUS_CHECK(features.rank() == 3 || features.rank() == 1, ErrorKind::usage,
               "[features] --pool takes the mean of a map [C, H, W]. Got {} from \"{}\". Leave it out.",
               features.describe(), layer);
  if (features.rank() == 1) return features;
  const Tensor mean = Tensor::empty({features.dim(0)});
  const int64_t positions = features.dim(1) * features.dim(2);
  for (int64_t c = 0; c < features.dim(0); ++c) {
    double sum = 0;
    for (int64_t p = 0; p < positions; ++p)
      sum += static_cast<double>(features.data<float>()[c * positions + p]);
    mean.data<float>()[c] = static_cast<float>(sum / static_cast<double>(positions));
  }
  return mean;
}

// As `predict` runs it: whole images, or the view that a classifier gets.
void run_network(const train::LoadedNetwork& network, const Tensor& image) {
  const NoGradGuard no_grad;
  layers::Model& model = *network.model;
  const data::DataOptions& data = network.config.data;
  if (auto* detector = dynamic_cast<layers::DetectionModel*>(&model)) {
    detector->detect({eval::as_detector_input(image)});
    return;
  }
  const eval::InferenceOptions& view = network.config.eval;
  const Tensor input = nets::is_classifier(network.config.model.name)
                           ? data::normalize(data::center_view(image, data, view.short_side, view.crop), data)
                           : eval::network_input(image, data, 1);
  const Shape& s = input.shape();
  dynamic_cast<layers::SegmentationModel&>(model).forward(
      Variable(model.input_of(input.reshape({1, s[0], s[1], s[2]}))));
}

Outputs outputs_of(const Options& o, const train::LoadedNetwork& network, const std::string& file) {
  layers::Model& model = *network.model;
  const Tensor image = data::load_image(file, network.config.data, model.in_channels());
  Outputs outputs;
  std::exception_ptr error;  // of a hook, which must not throw
  std::vector<std::unique_ptr<OutputHook>> hooks;
  for (const std::string& layer : o.layers) {
    hooks.push_back(layer_of(model, layer).on_output([&outputs, &error, layer](const Variable& output) {
      try {
        if (!error) outputs[layer].push_back(for_file(output.value()));
      } catch (...) {
        error = std::current_exception();
      }
    }));
  }
  run_network(network, image);
  if (error) std::rethrow_exception(error);
  for (const std::string& layer : o.layers) {
    ATROUS_CHECK(outputs.contains(layer), ErrorKind::usage,
                 "[features] \"{}\" computes nothing in inference (a list of modules, dropout, an auxiliary "
                 "head). Choose a module inside of it, or another one.",
                 layer);
  }
  return outputs;
}

// Collects what is written: without pooling a tensor per layer and image, with it a matrix per layer.
class Collection {
 public:
  explicit Collection(bool pool) : pool_(pool) {}
  void add(const std::string& image, const Outputs& outputs) {
    for (const auto& [layer, calls] : outputs) {
      for (size_t i = 0; i < calls.size(); ++i) {
        const std::string name = i == 0 ? layer : fmt::format("{}#{}", layer, i + 1);
        if (pool_)
          rows_[name].push_back(pooled(calls[i], name));
        else
          maps_.emplace_back(name + "/" + image, calls[i]);
      }
    }
    images_.push_back(image);
  }
  void write(const std::string& path) const {
    NamedTensors tensors = maps_;
    for (const auto& [name, rows] : rows_) tensors.emplace_back(name, matrix(name, rows));
    const nlohmann::json names = images_;
    write_safetensors(path, tensors,
                      {{"images", names.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)}});
    for (const auto& [name, tensor] : tensors) print_to(stdout, "{}  {}\n", name, tensor.describe());
  }
  bool empty() const { return images_.empty(); }

 private:
  Tensor matrix(const std::string& name, const std::vector<Tensor>& rows) const {
    const int64_t width = rows[0].numel();
    const Tensor all = Tensor::empty({static_cast<int64_t>(rows.size()), width});
    for (size_t i = 0; i < rows.size(); ++i) {
      ATROUS_CHECK(
          rows.size() == images_.size() && rows[i].numel() == width, ErrorKind::usage,
          "[features] --pool needs one vector per image. \"{}\" runs a different number of times, or "
          "gives vectors of different lengths. Leave --pool out.",
          name);
      std::copy_n(rows[i].data<float>(), width, all.data<float>() + static_cast<int64_t>(i) * width);
    }
    return all;
  }

  const bool pool_;
  std::vector<std::string> images_;
  NamedTensors maps_;
  std::map<std::string, std::vector<Tensor>> rows_;
};

// Each once, in order.
std::vector<std::string> distinct(const std::vector<std::string>& all) {
  std::vector<std::string> once;
  for (const std::string& text : all) {
    if (std::ranges::find(once, text) == once.end()) once.push_back(text);
  }
  return once;
}

void run_features(Options o) {
  const layers::BuildDeviceGuard build_on(chosen_device(o.device));
  o.weights = nets::find_weights("weights", o.weights);
  o.layers = distinct(o.layers);
  check_other_file("features", o.weights, o.output);
  const std::filesystem::path folder = std::filesystem::path(o.output).parent_path();
  std::error_code unknown;
  ATROUS_CHECK(folder.empty() || std::filesystem::is_directory(folder, unknown), ErrorKind::io,
               "[features] --output must lie in a folder that exists. Got \"{}\". Make the folder first.",
               o.output);
  ImageArguments given = expand_images("features", o.inputs);
  given.files = distinct(given.files);
  const train::LoadedNetwork network = train::load_network(o.weights, o.config, o.overrides);
  network.model->eval();
  for (const std::string& layer : o.layers) layer_of(*network.model, layer);
  Collection all(o.pool);
  std::vector<std::string> refused;
  {
    Progress progress("features", "images");
    for (size_t i = 0; i < given.files.size(); ++i) {
      try {
        all.add(given.files[i], outputs_of(o, network, given.files[i]));
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::data) throw;
        print_to(stderr, "refused: {}\n", e.what());
        refused.push_back(given.files[i]);
      }
      progress.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(given.files.size()));
    }
  }
  if (!all.empty()) all.write(o.output);
  ATROUS_CHECK(refused.empty(), ErrorKind::data,
               "[features] every image must be readable. {} of {} were refused (reasons above):\n  {}",
               refused.size(), given.files.size(), fmt::join(refused, "\n  "));
}

}  // namespace

void add_features_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("features", "Writes the outputs of layers of a network for images");
  command->footer(
      "atrous features --weights runs/camvid/checkpoints/best.safetensors --layer encoder.layer4.1 --pool "
      "--output features.safetensors photos");
  auto o = std::make_shared<Options>();
  command
      ->add_option("--weights", o->weights,
                   "Checkpoint or weights file (safetensors, or PyTorch's), or the folder of a run")
      ->required();
  command
      ->add_option(
          "--layer", o->layers,
          "Module whose output is written, as `atrous summary` names it (repeatable). An unknown name "
          "prints all")
      ->allow_extra_args(false)
      ->required();
  command->add_option("--output", o->output, "Safetensors file")->required();
  command->add_flag("--pool", o->pool,
                    "Mean over all positions: one matrix [images, channels] per layer instead of a map per "
                    "image");
  command->add_option("images", o->inputs, "Image files or folders of images")->required();
  command->add_option("--config", o->config, "Config; not needed with a checkpoint, which holds its own");
  command->add_option("--set", o->overrides, "Override a config key: a.b.c=value (repeatable)")
      ->allow_extra_args(false);
  add_device_option(*command, o->device);
  command->callback([o] { run_features(*o); });
}

}  // namespace atrous::cli
