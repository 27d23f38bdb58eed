// `atrous import-weights` and `export-weights`: between other programs' weights and checkpoints of this one.
// Both hold the same names and layouts; a checkpoint also says which network and classes it is for.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/safetensors.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/sets/sets.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "nets/start_weights.h"
#include "train/checkpoint.h"
#include "train/class_source.h"

namespace atrous::cli {
namespace {

using nlohmann::ordered_json;

struct Import {
  std::string config, input, output;
  std::vector<std::string> set;
  bool partial = false, backbone = false;
  Report report;
};

ordered_json to_json(const nets::ImportReport& r) {
  ordered_json renamed = ordered_json::array(), misshaped = ordered_json::array();
  for (const auto& [from, to] : r.renamed) renamed.push_back({{"from", from}, {"to", to}});
  for (const layers::MisShaped& m : r.load.misshaped) {
    misshaped.push_back({{"name", m.name}, {"in_file", m.in_file.str()}, {"in_model", m.in_model.str()}});
  }
  return {{"loaded", r.load.loaded},
          {"renamed", renamed},
          {"folded", r.load.folded},
          {"misshaped", misshaped},
          {"missing", r.load.missing},
          {"not_needed", r.load.unexpected},
          {"prefix", r.load.stripped_prefix},
          {"complete", r.load.complete()},
          {"notes", r.notes}};
}

void import_weights(const Import& o) {
  check_other_file("import-weights", o.input, o.output);
  const train::Config config = train::load_config(o.config, o.set);
  // Recipes name files to start from; here --input replaces them.
  const auto model = nets::make_network(nets::without_start_weights(config.model), config.seed);
  const nets::ImportReport report =
      nets::import_weights(*model, o.input, {.where = "import-weights", .backbone_only = o.backbone});
  print_to(o.report.table(), "{}\n{}\n", o.input, report.str());
  ATROUS_CHECK(report.load.complete() || o.partial || o.backbone, ErrorKind::checkpoint,
               "[import-weights {}] the file must fit the network exactly. Got {} tensors missing, {} of "
               "another shape, {} that the network does not have; nothing was written. Check model.name, "
               "num_classes, backbone and aux_loss, or add --partial to take what fits.",
               o.input, report.load.missing.size(), report.load.misshaped.size() + report.load.folded.size(),
               report.load.unexpected.size());
  std::vector<data::ClassInfo> classes = data::class_table(config.data);
  if (classes.size() != static_cast<size_t>(config.model.num_classes))
    classes.clear();  // of another label map
  // The last layers of a checkpoint have its own classes, in its own order.
  if (const auto stored = train::start_classes(config, o.input); stored && !o.backbone) {
    classes = stored->classes;
  } else if (!classes.empty() && !o.backbone) {
    print_to(stderr, "note: the file names no classes; by number they are called as in data.dataset {}\n",
             config.data.dataset);
  }
  train::save_checkpoint(o.output, {.config = &config, .classes = &classes, .model = model.get()});
  o.report.write_json(to_json(report).dump(2));
}

struct Export {
  std::string weights, output, config;
  bool backbone = false;
};

void export_weights(const Export& o) {
  check_other_file("export-weights", o.weights, o.output);
  const train::LoadedNetwork loaded = train::load_network(o.weights, o.config, {"math=f32"});
  NamedTensors tensors = layers::state_dict(*loaded.model);
  if (o.backbone) {
    const std::string prefix = loaded.model->backbone_prefix();
    ATROUS_CHECK(loaded.model->has_backbone(), ErrorKind::usage,
                 "[export-weights] --backbone needs a network with a backbone. Got {}. Leave it out.",
                 loaded.model->kind());
    std::erase_if(tensors, [&](const auto& t) { return !loaded.model->in_backbone(t.first); });
    for (auto& [name, t] : tensors) name.erase(0, prefix.size());
  }
  int64_t bytes = 0;
  for (const auto& [name, t] : tensors) bytes += static_cast<int64_t>(t.bytes());
  write_safetensors(o.output, tensors, {{"format", "pt"}});  // the framework whose layout the tensors have
  print_to(stdout, "{}: {} tensors, {}\n", o.output, tensors.size(), bytes_text(bytes));
}

}  // namespace

void add_import_weights_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("import-weights", "Converts another program's weights file into a checkpoint");
  command->footer(
      "atrous import-weights --config configs/voc2012/deeplabv3_resnet50.json --input "
      "deeplabv3_resnet50_coco.pth --output deeplabv3.safetensors");
  auto o = std::make_shared<Import>();
  command
      ->add_option("--config", o->config,
                   "Config; its model section, and the class names of its data section")
      ->required();
  command
      ->add_option("--input", o->input,
                   "Weights (safetensors, or PyTorch's .pth, .pt, .bin, .ckpt; FILE#NAME takes one of "
                   "several dictionaries) "
                   "of torchvision, segmentation_models_pytorch or a paper's code")
      ->required();
  command->add_option("--output", o->output, "The checkpoint to write")->required();
  command->add_option("--set", o->set, "Overrides a config key: a.b.c=value")->allow_extra_args(false);
  command->add_flag("--partial", o->partial,
                    "Load what fits; the rest is initialised from the config's seed");
  command->add_flag("--backbone", o->backbone,
                    "Load only the backbone, also from a classification network's file");
  o->report.add_option(*command);
  command->callback([o] { import_weights(*o); });
}

void add_export_weights_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export-weights", "Exports a checkpoint's weights for other programs");
  command->footer(
      "atrous export-weights --weights runs/voc/checkpoints/best.safetensors --output "
      "for_torchvision.safetensors");
  auto o = std::make_shared<Export>();
  command->add_option("--weights", o->weights, "Checkpoint or weights file")->required();
  command
      ->add_option("--output", o->output,
                   "Safetensors with only the network's state_dict, with PyTorch's names and layout")
      ->required();
  command->add_option("--config", o->config, "Config, for weights files that do not hold one");
  command->add_flag("--backbone", o->backbone,
                    "Only the backbone, without its prefix, as a classification network names it");
  command->callback([o] { export_weights(*o); });
}

}  // namespace atrous::cli
