// `atrous data check|show|sets|make-shapes`: inspecting data before training on it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/augment.h"
#include "data/check.h"
#include "data/check_folders.h"
#include "data/check_instances.h"
#include "data/class_loader.h"
#include "data/image_folders.h"
#include "data/image_io.h"
#include "data/loader.h"
#include "data/sets/instance_sets.h"
#include "data/sets/sets.h"
#include "data/shapes.h"
#include "eval/instance_pictures.h"
#include "eval/pictures.h"
#include "train/config.h"

namespace atrous::cli {
namespace {

// The data set: given by a config, or by the few settings that matter.
struct Source {
  std::string config;
  std::vector<std::string> overrides;
  std::string dataset, root, label_map;
  int64_t classes = 0;
  int64_t channels = 0;

  void add_options(CLI::App& command) {
    auto* file = command.add_option("--config", config, "Config; its `data` section describes the set")
                     ->type_name("FILE");
    command
        .add_option(
            "--set", overrides,
            "Set or override a config key, e.g. data.val_list=my.txt; also without a config (repeatable)")
        ->type_name("KEY=VALUE");
    command
        .add_option("--dataset", dataset, "Without a config: a name from `atrous data sets` (default: list)")
        ->excludes(file);
    command.add_option("--root", root, "Without a config: folder of the set")
        ->type_name("DIR")
        ->excludes(file);
    command.add_option("--classes", classes, "Without a config: number of classes (default: the set's own)")
        ->excludes(file);
    command
        .add_option("--channels", channels,
                    "Without a config: channels of an image (default: the set's own, else 3)")
        ->excludes(file);
    command.add_option("--label-map", label_map, "Without a config: file value to class, e.g. 0:0,255:1")
        ->excludes(file);
  }

  // The options are the first overrides of an empty config, so that a --set replaces them as it would replace
  // values in a file.
  train::Config resolve() const {
    if (!config.empty()) return train::load_config(config, overrides);
    std::vector<std::string> settings;
    const auto give = [&](const char* key, const std::string& value) {
      if (!value.empty()) settings.push_back(fmt::format("{}={}", key, value));
    };
    give("data.dataset", dataset);
    give("data.root", root);
    give("data.label_map", label_map);
    if (channels > 0) give("model.in_channels", std::to_string(channels));
    settings.insert(settings.end(), overrides.begin(), overrides.end());
    // 0: the set's default.
    const std::string text = fmt::format(R"({{"model": {{"num_classes": {}}}}})", classes);
    const char* origin = "the command line";
    train::Config out = train::parse_config(text, origin, settings);
    ATROUS_CHECK(!out.data.root.empty(), ErrorKind::usage,
                 "[data] name the data set. Got neither --config nor --root. Give one of them.");
    const JsonValue given = train::config_json(text, origin, settings);
    const JsonValue* model = given.find("model");
    if (!model || !model->find("in_channels")) out.model.in_channels = 0;
    return out;
  }
};

void add_check(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand("check",
                                            "Reads every image with its labels or objects, lists errors and "
                                            "likely mistakes; exit code 4 if there are errors");
  command->footer(
      "atrous data check --config configs/camvid/unet_small.json --set data.root=/data/camvid\n"
      "atrous data check --root /data/mine --classes 3\n"
      "atrous data check --root /data/mine --classes 2 --set data.label_map=0:0,255:1 --set "
      "data.exif=ignore");
  const auto source = std::make_shared<Source>();
  const auto report = std::make_shared<Report>();
  const auto splits = std::make_shared<std::vector<std::string>>();
  source->add_options(*command);
  report->add_option(*command);
  command
      ->add_option("--split", *splits,
                   "Only this split (repeatable); default: train, val, and test if it exists")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->allow_extra_args(false);
  command->callback([source, report, splits] {
    const train::Config config = source->resolve();
    const auto tell = [&](const auto& result) {
      write_text(report->table(), result.table());
      report->write_json(result.json());
      if (result.errors() > 0) throw CLI::RuntimeError(static_cast<int>(ErrorKind::data));
    };
    if (data::is_instance_set(config.data.dataset)) {
      tell(data::check_instances(config.data, config.model.num_classes, config.model.in_channels, *splits));
    } else if (data::is_classification_set(config.data.dataset)) {
      tell(data::check_folders(config.data, config.model.num_classes, config.model.in_channels, *splits));
    } else {
      tell(data::check_data(config.data, config.model.num_classes, config.model.in_channels, *splits));
    }
  });
}

void add_sets(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand("sets", "Lists the built-in data sets");
  command->footer("atrous data sets");
  command->callback([] {
    print_to(stdout, "semantic data sets:\n");
    for (const data::NamedSet& set : data::named_sets())
      print_to(stdout, "  {:<20}{}\n", set.name, set.summary);
    print_to(stdout, "instance data sets:\n");
    for (const data::InstanceSet& set : data::instance_sets())
      print_to(stdout, "  {:<20}{}\n", set.name, set.summary);
    print_to(stdout, "classification data sets:\n  {:<20}{}\n", data::image_folders_name,
             "train/<class>/* and val/<class>/*: a folder of images per class");
  });
}

// f32 [H, W, C] in [0, 1] as bytes.
Tensor to_bytes(const Tensor& image) {
  Tensor out = Tensor::empty(image.shape(), DType::u8);
  for (int64_t i = 0; i < image.numel(); ++i) {
    out.data<uint8_t>()[i] = static_cast<uint8_t>(image.data<float>()[i] * 255 + 0.5f);
  }
  return out;
}

void show(const train::Config& config, const std::string& split, const std::string& folder, int64_t count) {
  const auto dataset =
      data::open_dataset(config.data, split, config.model.num_classes, config.model.in_channels);
  print_to(stderr, "{}\n", dataset->describe());
  make_new_folder(folder);
  const eval::Palette palette = eval::palette_of(dataset->classes());
  data::AugmentOptions as_the_loader_does = config.augment;
  as_the_loader_does.border_color = data::loader_border_color(config.data, dataset->in_channels());
  const int64_t shown = std::min(count, dataset->size());
  for (int64_t i = 0; i < shown; ++i) {
    const int64_t index = i * dataset->size() / shown;  // spread over the set
    data::Sample sample =
        resize_sample(dataset->load(index), config.data.image_height, config.data.image_width, true);
    Rng rng(config.seed, static_cast<uint64_t>(index));
    const data::Sample changed = augment(sample, as_the_loader_does, rng);
    const Tensor image = to_bytes(changed.image);
    std::vector<Tensor> pictures;
    const auto add = [&](const Tensor& picture, const Tensor& label, const std::string& what) {
      const Tensor nothing = Tensor::full({picture.dim(0), picture.dim(1)}, data::ignore_label, DType::u8);
      pictures.push_back(eval::with_heading(eval::overlay(picture, nothing, palette), what));
      if (!label.defined()) return;
      const Tensor overlay =
          eval::with_legend(eval::overlay(picture, label, palette), label, dataset->classes(), palette);
      pictures.push_back(eval::with_heading(overlay, what + ", labels"));
    };
    add(sample.image, sample.label, "image");
    add(image, changed.label, "augmented");
    const std::string path = fmt::format("{}/{:03}.png", folder, i);
    data::write_png(path, eval::side_by_side(pictures));
    print_to(stdout, "{} {}\n", path, sample.image_path);
  }
}

// Each sample as annotated, and as the network's input after augmentation.
void show_objects(const train::Config& config, const std::string& split, const std::string& folder,
                  int64_t count) {
  const auto dataset =
      data::open_instance_dataset(config.data, split, config.model.num_classes, config.model.in_channels);
  print_to(stderr, "{}\n", dataset->describe());
  make_new_folder(folder);
  data::AugmentOptions as_the_loader_does = config.augment;
  as_the_loader_does.border_color = data::loader_border_color(config.data, dataset->in_channels());
  const int64_t shown = std::min(count, dataset->size());
  for (int64_t i = 0; i < shown; ++i) {
    const int64_t index = i * dataset->size() / shown;  // spread over the set
    const data::InstanceSample stored = dataset->load(index);
    data::InstanceSample changed = stored;
    changed.instances = data::training_targets(stored.instances);
    Rng rng(config.seed, static_cast<uint64_t>(index));
    changed = augment(resize_sample(changed, config.data.image_height, config.data.image_width),
                      as_the_loader_does, rng);
    const std::string path = fmt::format("{}/{:03}.png", folder, i);
    data::write_png(
        path, eval::side_by_side({
                  eval::with_heading(eval::draw_instances(stored.image, stored.instances, dataset->classes()),
                                     "as annotated"),
                  eval::with_heading(
                      eval::draw_instances(to_bytes(changed.image), changed.instances, dataset->classes()),
                      "augmented, targets"),
              }));
    print_to(stdout, "{} {}\n", path, stored.image_path);
  }
}

// Each image as stored, as the network sees it in evaluation, and after augmentation.
void show_classes(const train::Config& config, const std::string& split, const std::string& folder,
                  int64_t count) {
  const auto dataset =
      data::open_image_folders(config.data, split, config.model.num_classes, config.model.in_channels);
  print_to(stderr, "{}\n", dataset->describe());
  make_new_folder(folder);
  data::AugmentOptions as_the_loader_does =
      data::class_augmentation(config.augment, config.data, config.eval.crop);
  as_the_loader_does.border_color = data::loader_border_color(config.data, dataset->in_channels());
  const int64_t shown = std::min(count, dataset->size());
  for (int64_t i = 0; i < shown; ++i) {
    const int64_t index = i * dataset->size() / shown;  // spread over the set
    data::ClassifiedImage stored = dataset->load(index);
    const std::string& name = dataset->classes()[static_cast<size_t>(stored.label)].name;
    const Tensor view =
        data::center_view(stored.image, config.data, config.eval.short_side, config.eval.crop);
    const Tensor whole = stored.image;
    stored.image = data::resized(whole, config.data);
    const Tensor changed = data::augmented_image(stored, as_the_loader_does, config.seed, 0, index);
    const std::string path = fmt::format("{}/{:03}.png", folder, i);
    data::write_png(path, eval::side_by_side({
                              eval::with_heading(eval::as_picture(whole), name),
                              eval::with_heading(eval::as_picture(view), "evaluation"),
                              eval::with_heading(eval::as_picture(to_bytes(changed)), "augmented"),
                          }));
    print_to(stdout, "{} {}\n", path, stored.image_path);
  }
}

void add_show(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand(
      "show", "Pictures of samples before and after augmentation, labels or objects drawn on them");
  command->footer(
      "atrous data show --config configs/camvid/unet_small.json --set data.root=/data/camvid --out look "
      "--count 8");
  struct Options {
    Source source;
    std::string split = "train", out;
    int64_t count = 8;
  };
  const auto options = std::make_shared<Options>();
  options->source.add_options(*command);
  command->add_option("--out", options->out, "Folder for the pictures, new or empty")
      ->type_name("DIR")
      ->required();
  command->add_option("--split", options->split, "train, val or test")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "val", "test"}));
  command->add_option("--count", options->count, "Number of samples, spread over the split")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1000000}));
  command->callback([options] {
    const train::Config config = options->source.resolve();
    const auto draw = data::is_instance_set(config.data.dataset)         ? show_objects
                      : data::is_classification_set(config.data.dataset) ? show_classes
                                                                         : show;
    draw(config, options->split, options->out, options->count);
  });
}

void add_make_shapes(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand(
      "make-shapes", "Generates a data set: images, labels, instance masks, COCO annotations");
  command->footer("atrous data make-shapes --out runs/shapes --train 200 --val 40 --size 96x128");
  struct Options {
    data::ShapesOptions shapes;
    std::string out, size;
    bool folders = false;
  };
  const auto options = std::make_shared<Options>();
  data::ShapesOptions& shapes = options->shapes;
  options->size = fmt::format("{}x{}", shapes.height, shapes.width);
  command->add_option("--out", options->out, "Folder of the set, new or empty")->type_name("DIR")->required();
  command->add_option("--train", shapes.train, "Training images")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, data::max_shapes_images));
  command->add_option("--val", shapes.val, "Validation images")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, data::max_shapes_images));
  command->add_option("--size", options->size, "Height and width")->type_name("HxW")->capture_default_str();
  command->add_option("--seed", shapes.seed, "The same seed makes the same set")->capture_default_str();
  command->add_option("--classes", shapes.classes, "Classes, background included: 2 to 8")
      ->capture_default_str();
  command->add_flag("--folders", options->folders,
                    "A classification set instead: one shape per image, in train/<class> and val/<class>; "
                    "there is no background class");
  command->callback([options] {
    const Size size = parse_size(options->size, "--size");
    options->shapes.height = size.height;
    options->shapes.width = size.width;
    data::check_shapes(options->shapes);
    make_new_folder(options->out);
    const auto write = options->folders ? data::write_shape_folders : data::write_shapes;
    write(options->out, options->shapes);
    print_to(stdout, "{}: {} train and {} of {} x {}, {} classes\n", options->out, options->shapes.train,
             counted(options->shapes.val, "val image"), size.width, size.height,
             options->shapes.classes - (options->folders ? 1 : 0));
  });
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("data", "Checks, shows and generates data sets");
  command->footer("atrous data check --config configs/camvid/unet_small.json --set data.root=/data/camvid");
  command->require_subcommand(1);
  add_check(*command);
  add_show(*command);
  add_sets(*command);
  add_make_shapes(*command);
}

}  // namespace atrous::cli
