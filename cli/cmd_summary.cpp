// `atrous summary`: layers, parameters, cost and memory of a network, from the graph of its forward pass on
// device meta (layers/network_graph.h).
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/device_runtime.h"
#include "core/terminal.h"
#include "core/text.h"
#include "layers/network_graph.h"
#include "layers/receptive_field.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "train/config.h"
#include "train/optimizer.h"

namespace atrous::cli {
namespace {

using nlohmann::ordered_json;

struct Options {
  std::string config, input_size;
  std::vector<std::string> set;
  int64_t batch = 0;
  bool receptive_field = false;
  Report report;
};

struct Memory {
  int64_t weights = 0, activations = 0, gradients = 0, optimizer = 0;
  int64_t total() const { return weights + activations + gradients + optimizer; }
};

struct Summary {
  std::string network;
  Shape input;
  layers::Region region;                     // that the logits describe
  layers::DetectionModel::Regions detected;  // of detection networks: proposals and masks; else 0
  int64_t classes = 0, output_stride = 0, macs = 0;
  std::optional<layers::LayerField> field;  // of one label; none for detection models
  int64_t parameters = 0, trainable = 0, buffers = 0, buffer_elements = 0;
  std::vector<layers::LayerRow> layers;
  std::vector<std::optional<layers::LayerField>> layer_fields;  // empty unless requested
  Memory inference, training;
  int64_t training_batch = 0;
};

int64_t bytes_of(const std::vector<layers::NamedParameter>& parameters) {
  int64_t bytes = 0;
  for (const auto& p : parameters) bytes += static_cast<int64_t>(p.variable.value().bytes());
  return bytes;
}

// The peak of a pass on meta: with the tape it is all that the real pass would keep.
int64_t peak_of(layers::Model& model, const Shape& input) {
  const int64_t before = device_allocator_stats(Device::meta).bytes_in_use;
  reset_device_peak_memory(Device::meta);
  const layers::RecordedPass pass = layers::record_pass(model, input);
  return device_allocator_stats(Device::meta).peak_in_use - before;
}

struct Fields {
  std::optional<layers::LayerField> of_label;
  std::vector<std::optional<layers::LayerField>> of_layers;
};

Fields fields_at(layers::Model& model, const Shape& input, bool layers_too) {
  const layers::RecordedPass pass = layers::record_pass(model, input);
  if (pass.output < 0) return {};
  const layers::ReceptiveField field(pass.graph, pass.input);
  Fields fields{field.of(pass.output), {}};
  if (!layers_too) return fields;
  for (const layers::LayerRow& row : layers::layer_rows(model, pass.graph))
    fields.of_layers.push_back(field.of(row.value));
  return fields;
}

// Fields that the borders of `input` cut off are taken from larger images, as far as that helps: the bins of
// an adaptive pool grow with the image.
Fields fields_of(layers::Model& model, const Shape& input, bool layers_too) {
  constexpr int64_t largest = 8192;
  const auto is_cut_off = [](const std::optional<layers::LayerField>& f) {
    return f && f->clipped && !f->whole;
  };
  Fields fields = fields_at(model, input, layers_too);
  int64_t height = input[1], width = input[2];
  while ((is_cut_off(fields.of_label) || std::ranges::any_of(fields.of_layers, is_cut_off)) &&
         std::min(height, width) < largest) {
    height = std::min(largest, 2 * height);
    width = std::min(largest, 2 * width);
    const Fields larger = fields_at(model, {1, height, width, input[3]}, layers_too);
    const auto take = [&](std::optional<layers::LayerField>& to,
                          const std::optional<layers::LayerField>& from) {
      if (is_cut_off(to) && from && !is_cut_off(from)) to = from;
    };
    take(fields.of_label, larger.of_label);
    ATROUS_ASSERT(larger.of_layers.size() == fields.of_layers.size());
    for (size_t i = 0; i < fields.of_layers.size(); ++i) take(fields.of_layers[i], larger.of_layers[i]);
  }
  return fields;
}

Summary summarise(const train::Config& config, int64_t height, int64_t width, int64_t batch,
                  bool layer_fields) {
  const layers::BuildDeviceGuard on_meta(Device::meta);
  const auto model = nets::build_network(config.model);
  Summary s;
  s.network = model->kind();
  s.input = {1, height, width, model->in_channels()};
  s.classes = model->num_classes();
  s.output_stride = model->output_stride();
  const auto parameters = model->parameters();
  for (const auto& p : parameters) {
    s.parameters += p.variable.value().numel();
    if (p.variable.requires_grad()) s.trainable += p.variable.value().numel();
  }
  for (const auto& b : model->buffers()) {
    ++s.buffers;
    s.buffer_elements += b.tensor.numel();
  }
  model->eval();
  {
    // With the tape, because without it batch norm is folded into the convolutions.
    const layers::RecordedPass pass = layers::record_pass(*model, s.input);
    s.region = pass.result.region;
    if (const auto* detector = dynamic_cast<layers::DetectionModel*>(model.get()))
      s.detected = detector->regions(/*training=*/false);
    s.layers = layers::layer_rows(*model, pass.graph);
    s.macs = pass.macs();
  }
  {
    Fields fields = fields_of(*model, s.input, layer_fields);
    s.field = fields.of_label;
    s.layer_fields = std::move(fields.of_layers);
  }
  const int64_t weights = bytes_of(parameters);
  {
    const NoGradGuard no_tape;
    s.inference = {
        .weights = weights, .activations = peak_of(*model, s.input), .gradients = 0, .optimizer = 0};
  }
  model->train();
  s.training_batch = batch;
  const int64_t kept = peak_of(*model, s.input.with(0, batch));
  // The backward pass holds at most the gradients of a layer's input and output besides what the tape holds.
  int64_t largest = 0;
  for (const auto& l : s.layers)
    largest = std::max(largest, (l.input.numel() + l.output.numel()) * 4 * batch);
  s.training = {.weights = weights,
                .activations = kept + largest,
                .gradients = s.trainable * 4,
                .optimizer = std::ssize(train::form_of(config.optimizer).moments) * s.trainable * 4};
  return s;
}

ordered_json list(const Shape& shape) {
  return std::vector<int64_t>(shape.begin(), shape.end());
}
// N,H,W,C as the files' N,C,H,W.
ordered_json image_list(const Shape& s) {
  return s.rank() == 4 ? ordered_json{s[0], s[3], s[1], s[2]} : list(s);
}

ordered_json to_json(const Memory& m) {
  return {{"weights", m.weights},
          {"activations", m.activations},
          {"gradients", m.gradients},
          {"optimizer", m.optimizer},
          {"total", m.total()}};
}

ordered_json to_json(const layers::LayerField& f) {
  if (f.whole) return {{"whole_image", true}};
  ordered_json j = {
      {"whole_image", false}, {"smallest", f.smallest}, {"largest", f.largest}, {"clipped", f.clipped}};
  if (!f.clipped) j.update({{"jump", f.jump}, {"start", f.start}});
  return j;
}

// "531 pixels", "188 to 204 pixels by position", "the whole image"
std::string text_of(const layers::LayerField& f) {
  if (f.whole) return "the whole image";
  std::string text = f.smallest == f.largest
                         ? fmt::format("{0}x{0} pixels", f.largest)
                         : fmt::format("{0}x{0} to {1}x{1} pixels, by position", f.smallest, f.largest);
  if (f.clipped) text += ", at this image size";
  return text;
}

ordered_json to_json(const Summary& s, const train::Config& config) {
  ordered_json j = ordered_json::object();
  j["model"] = config.model.name;
  j["network"] = s.network;
  j["input"] = image_list(s.input);
  const bool detects = s.detected.boxes > 0;
  if (detects) {
    j["regions"] = {{"boxes", s.detected.boxes}, {"masks", s.detected.masks}};
  } else {
    j["output"] = {1, s.classes, s.region.height, s.region.width};
  }
  j["parameters"] = s.parameters;
  j["trainable_parameters"] = s.trainable;
  j["buffers"] = s.buffers;
  j["buffer_elements"] = s.buffer_elements;
  j["macs"] = s.macs;
  if (s.field) j["receptive_field"] = to_json(*s.field);
  j["output_stride"] = s.output_stride;
  j["memory"] = {{"inference", to_json(s.inference)},
                 {"training", to_json(s.training)},
                 {"training_batch", s.training_batch}};
  j["state_dict"] = ordered_json::array();
  const auto model = nets::build_network(config.model);
  model->visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Tensor& t = parameter ? parameter->value() : *buffer;
    j["state_dict"].push_back({{"name", name},
                               {"shape", t.rank() == 4 ? image_list(t.shape()) : list(t.shape())},
                               {"dtype", name_of(t.dtype())},
                               {"kind", parameter ? "parameter" : "buffer"}});
  });
  j["layers"] = ordered_json::array();
  for (size_t i = 0; i < s.layers.size(); ++i) {
    const layers::LayerRow& l = s.layers[i];
    j["layers"].push_back({{"name", l.name},
                           {"kind", l.kind},
                           {"arguments", l.arguments},
                           {"input", image_list(l.input)},
                           {"output", image_list(l.output)},
                           {"parameters", l.parameters},
                           {"macs", l.macs}});
    if (i < s.layer_fields.size() && s.layer_fields[i])
      j["layers"].back()["receptive_field"] = to_json(*s.layer_fields[i]);
  }
  return j;
}

// The columns behind a layer.
std::string columns_of(const layers::LayerField& f) {
  if (f.whole) return fmt::format("  {:>15}", "whole image");
  const std::string size =
      f.smallest == f.largest ? std::to_string(f.largest) : fmt::format("{} to {}", f.smallest, f.largest);
  if (f.clipped) return fmt::format("  {:>15} (at this image size)", size);
  return fmt::format("  {:>15} {:>6.4g} {:>8.4g}", size, f.jump, f.start);
}

// 31038283 -> "31,038,283"
std::string grouped(int64_t value) {
  const std::string digits = std::to_string(value);
  std::string s;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) s += ',';
    s += digits[i];
  }
  return s;
}

void print(std::FILE* out, const Summary& s) {
  size_t width = 5;
  for (const auto& l : s.layers) width = std::max(width, l.name.size());
  const bool fields = !s.layer_fields.empty();
  print_to(out, "{:<{}}  {:<16} {:<34} {:>18} {:>13} {:>10}{}\n", "layer", width, "kind", "arguments",
           "output (HxWxC)", "parameters", "MMACs", fields ? "  receptive field   jump    start" : "");
  for (size_t i = 0; i < s.layers.size(); ++i) {
    const layers::LayerRow& l = s.layers[i];
    const std::string size = l.output.rank() == 4
                                 ? fmt::format("{}x{}x{}", l.output[1], l.output[2], l.output[3])
                                 : l.output.str();
    print_to(out, "{:<{}}  {:<16} {:<34} {:>18} {:>13} {:>10}{}\n", l.name, width, l.kind, l.arguments, size,
             l.parameters ? grouped(l.parameters) : "",
             l.macs ? fmt::format("{:.1f}", static_cast<double>(l.macs) / 1e6) : "",
             i < s.layer_fields.size() && s.layer_fields[i] ? columns_of(*s.layer_fields[i]) : "");
  }
  const auto line = [&](const char* name, const std::string& value) {
    print_to(out, "{:<16} {}\n", name, value);
  };
  print_to(out, "\n");
  line("network", s.network);
  line("input", fmt::format("{}x{}, {} channels", s.input[1], s.input[2], s.input[3]));
  const bool detects = s.detected.boxes > 0;
  line("output", detects ? fmt::format("at most {} objects of {} classes, from {} proposals",
                                       s.detected.masks, s.classes - 1, s.detected.boxes)
                         : fmt::format("{}x{}, {} classes", s.region.height, s.region.width, s.classes));
  line("parameters", s.trainable == s.parameters
                         ? grouped(s.parameters)
                         : fmt::format("{} ({} trained)", grouped(s.parameters), grouped(s.trainable)));
  line("buffers", fmt::format("{} tensors, {} elements", s.buffers, grouped(s.buffer_elements)));
  line("MACs", fmt::format("{} ({:.2f} G)", grouped(s.macs), static_cast<double>(s.macs) / 1e9));
  if (s.field) line("receptive field", text_of(*s.field));
  line("output stride", fmt::format("{}", s.output_stride));
  line("inference", fmt::format("{} (weights {}, activations {}), one image", bytes_text(s.inference.total()),
                                bytes_text(s.inference.weights), bytes_text(s.inference.activations)));
  line("training", fmt::format("{} (weights {}, activations {}, gradients {}, optimiser {}), batch {}",
                               bytes_text(s.training.total()), bytes_text(s.training.weights),
                               bytes_text(s.training.activations), bytes_text(s.training.gradients),
                               bytes_text(s.training.optimizer), s.training_batch));
}

void run(const Options& o) {
  const train::Config config = train::load_config(o.config, o.set);
  ATROUS_CHECK(
      !o.receptive_field || !nets::is_detector(config.model.name), ErrorKind::usage,
      "[--receptive-field] the fields of a detection model depend on the boxes and on the size to "
      "which it resizes an image. Got model.name \"{}\". Leave the flag out, or summarise a semantic "
      "model with the same backbone.",
      config.model.name);
  int64_t height = config.augment.crop_height ? config.augment.crop_height : config.data.image_height;
  int64_t width = config.augment.crop_width ? config.augment.crop_width : config.data.image_width;
  if (!o.input_size.empty()) {
    const Size size = parse_size(o.input_size, "--input-size");
    height = size.height;
    width = size.width;
  } else if (nets::is_detector(config.model.name)) {
    height = 800;  // a landscape picture, resized as torchvision does
    width = 1344;
  } else if (nets::is_classifier(config.model.name) && (height <= 0 || width <= 0)) {
    const layers::BuildDeviceGuard on_meta(Device::meta);
    const layers::ImageSides sides = nets::build_model(config.model)->image_sides();
    height = width = sides.only ? sides.smallest : std::max(sides.smallest, config.eval.crop);
  } else if (height <= 0 || width <= 0) {
    height = width = config.model.padding == nets::UNetPadding::valid ? 572 : 512;
  }
  const Summary s =
      summarise(config, height, width, o.batch ? o.batch : config.data.batch_size, o.receptive_field);
  print(o.report.table(), s);
  if (o.report.wants_json()) o.report.write_json(to_json(s, config).dump(2) + "\n");
}

}  // namespace

void add_summary_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("summary", "Layers, parameters, cost and memory of a network");
  command->footer("atrous summary --config configs/camvid/unet_small.json --input-size 360x480");
  auto o = std::make_shared<Options>();
  command->add_option("--config", o->config, "Config; its model section is enough")->required();
  command->add_option("--input-size", o->input_size,
                      "HEIGHTxWIDTH; default: the config's crop or image size, else 512x512; for "
                      "classification eval.crop; for detection "
                      "models the size of the resized image, default 800x1344");
  command->add_option("--batch", o->batch, "Images per training batch; default: data.batch_size")
      ->check(CLI::Range(1, 65536));
  command->add_option("--set", o->set, "Overrides a config key: a.b.c=value")->allow_extra_args(false);
  command->add_flag("--receptive-field", o->receptive_field,
                    "Receptive field, jump and start of every layer, in pixels of the input");
  o->report.add_option(*command);
  command->callback([o] { run(*o); });
}

}  // namespace atrous::cli
