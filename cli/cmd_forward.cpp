// `atrous forward`: runs a network on given tensors, forward and backward, to compare other frameworks with
// this one.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "cli/forward_detection.h"
#include "core/safetensors.h"
#include "core/terminal.h"
#include "layers/finite.h"
#include "layers/resize.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "nets/start_weights.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/math.h"

namespace atrous::cli {
namespace {

struct Options {
  std::string config, weights, input, output;
  std::string device = "cpu";
  std::vector<std::string> set;
  bool train_mode = false, backward = false, fast = false, stages = false;
};

struct Network {
  std::shared_ptr<layers::Model> model;
  uint64_t seed = 1;
};

Network load(const Options& o) {
  if (!o.weights.empty()) {
    const train::LoadedNetwork loaded = train::load_network(o.weights, o.config, o.set);
    return {loaded.model, loaded.config.seed};
  }
  ATROUS_CHECK(!o.config.empty(), ErrorKind::usage,
               "[forward] --config or --weights must say which network to run. Got neither. Give one.");
  const train::Config config = train::load_config(o.config, o.set);
  // The weights that a recipe starts from need not exist for running its network.
  if (!config.model.weights.empty() || !config.model.backbone_weights.empty())
    print_to(stderr, "note: the network is as initialised; model.weights are not read (give --weights)\n");
  auto model = nets::make_network(nets::without_start_weights(config.model), config.seed);
  train::use_math(config, *model);
  return {model, config.seed};
}

// A float32 image-shaped tensor of the input file, as N,H,W,C.
Tensor read_activation(const TensorFile& file, const std::string& name) {
  const Tensor& t = file.at(name);
  ATROUS_CHECK(t.dtype() == DType::f32 && t.rank() == 4 && t.numel() > 0, ErrorKind::data,
               "[forward {}] \"{}\" must be float32 [N, C, H, W]. Got {}.", file.origin, name, t.describe());
  return layers::from_file_layout(t);
}

// As files hold it: f32, in host memory, channels before rows and columns.
Tensor for_file(const Tensor& t) {
  return layers::to_file_layout(t.to(DType::f32).to(Device::cpu));
}

// The gradient that the file gives for an output; it must have the output's shape.
Tensor read_gradient(const TensorFile& file, const std::string& name, const Variable& output) {
  const Tensor t = read_activation(file, name);
  ATROUS_CHECK(
      t.shape() == output.shape(), ErrorKind::data,
      "[forward {}] \"{}\" must have the shape of what it is the gradient of. Got {} for {} (N, H, W, C).",
      file.origin, name, t.shape().str(), output.shape().str());
  return t.to(output.value().device()).to(output.dtype());
}

// The logits of a network at the size that they describe, as files name them.
struct Output {
  std::string name;  // "logits"; of auxiliary heads "aux", "aux2", ...
  Variable logits;
};
std::vector<Output> outputs_of(const layers::SegmentationOutput& result) {
  std::vector<Output> outputs{{"logits", layers::full_resolution_logits(result)}};
  std::vector<Variable> heads;
  if (result.aux.defined()) heads.push_back(result.aux);
  heads.insert(heads.end(), result.more_aux.begin(), result.more_aux.end());
  for (size_t i = 0; i < heads.size(); ++i) {
    layers::SegmentationOutput as_main = result;
    as_main.logits = heads[i];
    outputs.push_back(
        {i == 0 ? "aux" : fmt::format("aux{}", i + 1), layers::full_resolution_logits(as_main)});
  }
  return outputs;
}

NamedTensors run_segmentation(layers::SegmentationModel& model, const TensorFile& in, const Options& o) {
  ATROUS_CHECK(!o.stages, ErrorKind::usage,
               "[forward] --stages is for detection models. Got {}. Leave it out.", model.kind());
  const Tensor image = read_activation(in, "input");
  ATROUS_CHECK(image.channels() == model.in_channels(), ErrorKind::data,
               "[forward {}] \"input\" must have the network's {} channels. Got {}. Check model.in_channels.",
               o.input, model.in_channels(), image.channels());
  const Variable x(model.input_of(image), /*requires_grad=*/o.backward);
  std::unique_ptr<NoGradGuard> no_tape;
  if (!o.backward) no_tape = std::make_unique<NoGradGuard>();
  const layers::SegmentationOutput result = model.forward(x);
  const std::vector<Output> outputs = outputs_of(result);
  const bool finite =
      std::ranges::all_of(outputs, [](const Output& output) { return all_finite(output.logits.value()); });
  if (!finite)
    layers::fail_not_finite(
        model, {.where = "forward", .output = "the network's logits", .inputs = {&image, 1}, .repeat = [&] {
                  model.forward(x);
                }});
  NamedTensors out;
  for (const Output& output : outputs) out.emplace_back(output.name, for_file(output.logits.value()));
  if (!o.backward) return out;
  std::vector<Variable> roots;
  std::vector<Tensor> seeds;
  for (const Output& output : outputs) {
    const std::string gradient = "grad_" + output.name;
    if (!roots.empty() && !in.find(gradient)) continue;  // auxiliary heads need none
    roots.push_back(output.logits);
    seeds.push_back(read_gradient(in, gradient, output.logits));
  }
  backward(roots, seeds);
  for (const layers::NamedParameter& p : model.parameters()) {
    if (p.variable.grad().defined()) out.emplace_back("grad." + p.name, for_file(p.variable.grad()));
  }
  out.emplace_back("grad_input", for_file(x.grad()));
  return out;
}

void run(const Options& o) {
  const layers::BuildDeviceGuard build_on(chosen_device(o.device));
  std::error_code ignored;
  ATROUS_CHECK(
      !std::filesystem::equivalent(o.input, o.output, ignored), ErrorKind::usage,
      "[forward] the output must not replace the input. Got \"{}\" for both. Choose another --output.",
      o.input);
  const TensorFile in = read_safetensors(o.input);
  const Network network = load(o);
  // The outputs of this command are compared with others': rounding that flips a ReLU would change every
  // gradient behind it.
  kernels::Math math = network.model->math();
  math.exact_sums = !o.fast;
  network.model->set_math(math);
  network.model->train(o.train_mode);
  network.model->set_random_key({.seed = 1, .stream = 0});
  if (auto* detector = dynamic_cast<layers::DetectionModel*>(network.model.get())) {
    write_safetensors(
        o.output,
        run_detection(
            *detector, in,
            {.train_mode = o.train_mode, .backward = o.backward, .stages = o.stages, .seed = network.seed}));
    return;
  }
  write_safetensors(o.output, run_segmentation(*nets::as_segmentation(network.model), in, o));
}

}  // namespace

void add_forward_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("forward", "Runs a network on given tensors, forward and backward");
  command->footer(
      "atrous forward --config configs/shapes/unet_small.json --weights weights.safetensors --input "
      "in.safetensors --output out.safetensors --backward");
  auto o = std::make_shared<Options>();
  command->add_option(
      "--config", o->config,
      "Config; its model section is enough. Not needed with weights that say which network it is");
  command->add_option(
      "--weights", o->weights,
      "Weights (safetensors, or PyTorch's); without them the network is initialised from seed");
  command
      ->add_option(
          "--input", o->input,
          "Safetensors with input [N,C,H,W], normalised; with --backward also grad_logits (and "
          "grad_aux, grad_aux2). Detection models: images in [0,1], input or input.0, input.1, ...; with "
          "--train-mode also boxes.i, labels.i, masks.i")
      ->required();
  command
      ->add_option(
          "--output", o->output,
          "Safetensors file for logits (and aux); with --backward also grad.<parameter> and grad_input. "
          "Detection models: boxes.i, labels.i, scores.i, masks.i, or with --train-mode the losses")
      ->required();
  command->add_option("--set", o->set, "Overrides a config key: a.b.c=value")->allow_extra_args(false);
  add_device_option(*command, o->device);
  command->add_flag("--train-mode", o->train_mode, "Batch statistics and dropout, as in training");
  command->add_flag("--backward", o->backward, "Also computes all gradients");
  command->add_flag(
      "--fast", o->fast,
      "Also use algorithms with larger rounding errors (Winograd), as train does unless exact is set");
  command->add_flag("--stages", o->stages,
                    "Detection models: also write intermediate results, as stage.<name>");
  command->callback([o] { run(*o); });
}

}  // namespace atrous::cli
