// Every config field, declared once (those of `model` in config_fields_model.cpp). docs/config.md is made
// from these tables.
#include <fmt/ranges.h>

#include "data/image_folders.h"
#include "data/instances.h"
#include "data/sets/sets.h"
#include "eval/validation_metrics.h"
#include "train/config_choices.h"
#include "train/config_needs.h"

namespace atrous::train::schema {
namespace {

std::vector<std::string> dataset_choices() {
  std::vector<std::string> names = data::set_names();
  for (const std::string& name : data::instance_set_names()) names.push_back(name);
  names.emplace_back(data::image_folders_name);
  names.push_back(given_tensors);
  return names;
}

}  // namespace

template <>
const Fields<data::DataOptions>& fields() {
  using O = data::DataOptions;
  static const Fields<O> table = {
      choice("dataset", &O::dataset, dataset_choices(),
             "Data set, see [data.md](data.md). `tensors` replays stored batches: `root` is a safetensors "
             "file with `images` (f32 [steps,N,C,H,W], already normalised) and `labels` (u8 or i64 "
             "[steps,N,H,W], 255: ignored); no augmentation, no validation"),
      text("root", &O::root, "Folder of the data set"),
      unless(needs_lists, text("train_list", &O::train_list,
                               "Sets with lists: file with `image label` per line, relative to `root`; VOC "
                               "and PASCAL-Context: name of the file of ids in their own folder of lists; "
                               "COCO annotations: the JSON file")),
      unless(needs_lists, text("val_list", &O::val_list, "The same for validation")),
      unless(needs_lists, text("test_list", &O::test_list, "The same for testing")),
      unless(needs_semantic_model,
             unless(needs_label_maps,
                    text("label_map", &O::label_map,
                         "File value to class: `0:0,1:1,255:ignore`, `1-9:0` for 1:0, 2:1 and so "
                         "on, `1-9:=1` for all of them class 1, for RGB labels "
                         "`#ff0000:0,#000000:ignore`, or `identity`; empty: the set's own"))),
      texts("class_names", &O::class_names, "Names of the classes; empty: the set's own"),
      unless(
          needs_image_files,
          texts("class_map", &O::class_map,
                "Renames classes of the data set to those of the model: `theirs:ours`, or `theirs:ignore` to "
                "exclude one; classes mapped to the same name are one class. A colon in a name is written "
                "`\\:`")),
      unless(needs_image_files, flag("allow_overlap", &O::allow_overlap,
                                     "Allow an image to be in both the training and the validation split, "
                                     "for example to test whether a network can overfit one image")),
      unless(needs_label_maps,
             flag("map_unknown_to_ignore", &O::map_unknown_to_ignore,
                  "Ignore label values that are not in the map. Otherwise they are an error")),
      unless(
          needs_image_files,
          choice(
              "exif", &O::exif,
              "Orientation tag (EXIF) of image files, JPEG and PNG: turn the image, or read it as stored")),
      unless(
          needs_image_files,
          choice(
              "alpha", &O::alpha,
              "Images with an alpha channel: error, drop the channel, or keep it as an additional channel")),
      unless(needs_image_files,
             choice("sixteen_bit", &O::sixteen_bit,
                    "Images with 16 bits per sample: error, or reduce them to the upper byte")),
      unless(
          needs_coco_annotations,
          choice(
              "category_ids", &O::category_ids,
              "Instance data sets with COCO annotations: labels are the categories numbered from 1, or their "
              "ids in the file (91 classes with gaps for COCO, as in torchvision's weights)")),
      unless(needs_coco_annotations,
             choice("crowds", &O::crowds,
                    "Annotations with `iscrowd` 1: `ignore` excludes them from training and, as COCO does, "
                    "from scores (a detection that matches one is neither right nor wrong); `objects` treats "
                    "each as one object, for tools that write 1 everywhere")),
      unless(needs_instances,
             flag("keep_empty_images", &O::keep_empty_images,
                  "Instance data sets: also train on images without objects (or with crowds only)")),
      unless(
          needs_instances,
          whole("aspect_ratio_bins", &O::aspect_ratio_bins, 0, 16,
                "Instance data sets: images are batched by aspect ratio, in 2k + 2 bins of width / height; "
                "torchvision's recipe has 3. 0: no grouping")),
      unless(needs_image_files, whole("cache_mb", &O::cache_mb, 0, 1 << 20,
                                      "Decoded and resized samples that the loader keeps in memory, in MiB")),
      unless(needs_image_files,
             whole("workers", &O::workers, 0, 256,
                   "Loader threads; 0 loads in the training thread. Does not change results")),
      whole("batch_size", &O::batch_size, 1, 65536, "Images per batch"),
      unless(needs_image_files,
             whole("image_height", &O::image_height, 0, side,
                   "Images are resized to this height before augmentation and evaluation; 0: kept")),
      unless(needs_image_files,
             whole("image_width", &O::image_width, 0, side,
                   "The same for the width. Scores are always computed at the label's own size")),
      unless(semantic_else("model.detection.mean"),
             numbers("mean", &O::mean, -1e6, 1e6,
                     "Per channel, for values in [0, 1]; empty: ImageNet's for 3 channels, 0.5 otherwise")),
      unless(semantic_else("model.detection.std"),
             numbers("std", &O::std, 0, 1e6, "Standard deviation per channel; empty: as for `mean`")),
  };
  return table;
}

template <>
const Fields<data::AugmentOptions>& fields() {
  using O = data::AugmentOptions;
  static const Fields<O> table = {
      whole("crop_height", &O::crop_height, 0, side,
            "Random crop, padded where the image is smaller; 0: no crop (classification: `eval.crop`)"),
      whole("crop_width", &O::crop_width, 0, side, "Width of the crop"),
      unless(needs_plain_crop,
             number("scale_min", &O::scale_min, 0, 100,
                    "Random scale before the crop, uniform in [`scale_min`, `scale_max`]", true)),
      unless(needs_plain_crop,
             number("scale_max", &O::scale_max, 0, 100, "Upper end of the random scale", true)),
      unless(needs_resized_crop,
             number("area_min", &O::area_min, 0, 1,
                    "Classification: the crop is a random part of the image, resized to the crop; its "
                    "share of the image's area is uniform in [`area_min`, `area_max`]",
                    true)),
      unless(needs_resized_crop,
             number("area_max", &O::area_max, 0, 1, "Upper end of the area's share", true)),
      unless(needs_resized_crop,
             number("aspect_min", &O::aspect_min, 0, 100,
                    "Classification: width / height of that part, log-uniform in [`aspect_min`, "
                    "`aspect_max`]",
                    true)),
      unless(needs_resized_crop,
             number("aspect_max", &O::aspect_max, 0, 100, "Upper end of that ratio", true)),
      unless(needs_plain_crop,
             unless(needs_crop,
                    flag("scale_to_crop", &O::scale_to_crop,
                         "The random scale is relative to the size at which the image just fits into "
                         "the crop (large scale jitter: 0.1 to 2), not to its own size"))),
      number("flip_horizontal", &O::flip_horizontal, 0, 1, "Probability of a left-right flip"),
      number("flip_vertical", &O::flip_vertical, 0, 1, "Probability of an upside-down flip"),
      number("rotate_degrees", &O::rotate_degrees, 0, 180, "Rotation, uniform in [-d, d]"),
      flag("rotate_quarter_turns", &O::rotate_quarter_turns, "Additionally 0, 90, 180 or 270 degrees"),
      number("elastic_sigma", &O::elastic_sigma, 0, 1000,
             "Elastic deformation: standard deviation of the grid's displacements in pixels"),
      unless(needs_elastic,
             whole("elastic_grid", &O::elastic_grid, 2, 64, "Points per side of the displacement grid")),
      number("brightness", &O::brightness, 0, 1, "Colour jitter: factor uniform in [1 - v, 1 + v]"),
      number("contrast", &O::contrast, 0, 1, "The same for the contrast"),
      number("saturation", &O::saturation, 0, 1, "The same for the saturation"),
      number("hue", &O::hue, 0, 0.5, "Hue shift, as a fraction of the colour circle"),
      number("blur_sigma_max", &O::blur_sigma_max, 0, 100, "Gaussian blur, sigma uniform in [0, max]"),
      choice("border", &O::border, "Outside the image: mean colour with ignored label, or mirrored"),
  };
  return table;
}

template <>
const Fields<ParameterGroup>& fields() {
  using O = ParameterGroup;
  static const Fields<O> table = {
      text("prefix", &O::prefix, "Beginning of the parameters' names; empty: any"),
      text("suffix", &O::suffix, "End of the parameters' names, e.g. `.bias`; empty: any"),
      number("lr_factor", &O::lr_factor, 0, 1e6, "Factor of the learning rate"),
      number("weight_decay_factor", &O::weight_decay_factor, 0, 1e6, "Factor of the weight decay"),
  };
  return table;
}

template <>
const Fields<OptimizerOptions>& fields() {
  using O = OptimizerOptions;
  static const Fields<O> table = with_options_of<O>(
      "name", &O::name,
      {
          choice("name", &O::name, "Update rule, with PyTorch's formulas"),
          number("lr", &O::lr, 0, 1e30, "Learning rate at the start of the schedule", true),
          number("momentum", &O::momentum, 0, 1, "momentum"),
          flag("nesterov", &O::nesterov, "Nesterov momentum"),
          number("beta1", &O::beta1, 0, 0.999999, "decay of the first moment"),
          number("beta2", &O::beta2, 0, 0.99999999, "decay of the second moment"),
          number("eps", &O::eps, 0, 1, "added to the denominator", true),
          number("alpha", &O::alpha, 0, 0.99999999, "decay of the mean square"),
          number("weight_decay", &O::weight_decay, 0, 1e3, "L2 penalty (adamw: decoupled decay)"),
          flag("decay_norm_and_bias", &O::decay_norm_and_bias,
               "false: no decay on biases and normalisation parameters (rank 1)"),
          number("backbone_lr_factor", &O::backbone_lr_factor, 0, 1e30,
                 "Learning rate of the backbone relative to `lr`"),
          number("layer_decay", &O::layer_decay, 0, 1,
                 "The rate falls by this factor from layer to layer of the backbone, from its last to its "
                 "first, on top of `backbone_lr_factor`; 1: all the same",
                 true),
          whole("freeze_backbone_steps", &O::freeze_backbone_steps, 0, big,
                "The backbone does not change in the first steps of a run; it runs as in inference, with "
                "the stored statistics of its norms"),
          section_list(
              "groups", &O::groups,
              "Per-parameter overrides, matched by name; the factors of all matching groups multiply"),
          number("clip_norm", &O::clip_norm, 0, 1e9,
                 "Gradients are scaled down to this global norm; 0: no clipping"),
      });
  return table;
}

template <>
const Fields<ScheduleOptions>& fields() {
  using O = ScheduleOptions;
  static const Fields<O> table = with_options_of<O>(
      "name", &O::name,
      {
          choice("name", &O::name,
                 "Learning rate over steps: `poly` is (1 - step/steps)^power, `step` multiplies by gamma at "
                 "each milestone, `exponential` falls by the same factor every step, to `min_lr`"),
          number("power", &O::power, 0, 100, "exponent", true),
          wholes("milestones", &O::milestones, 1, "steps at which the rate is multiplied by `gamma`"),
          number("gamma", &O::gamma, 0, 1, "factor", true),
          number("min_lr", &O::min_lr, 0, 1e30, "the rate at the end"),
          whole("warmup_steps", &O::warmup_steps, 0, big, "Linear warm-up over this many steps"),
          unless(needs_warmup, number("warmup_factor", &O::warmup_factor, 0, 1,
                                      "Fraction of the rate at the first warm-up step")),
      });
  return table;
}

template <>
const Fields<layers::LossTerm>& fields() {
  using O = layers::LossTerm;
  static const Fields<O> table = with_options_of<O>(
      "kind", &O::kind,
      {
          choice("kind", &O::kind, "Loss of this term"),
          number("weight", &O::weight, 0, 1e6, "Factor of this term", true),
          number("label_smoothing", &O::label_smoothing, 0, 0.999,
                 "share of the target that is spread over all classes, as PyTorch does"),
          number("keep_fraction", &O::keep_fraction, 0, 1, "fraction of pixels kept, the hardest ones", true),
          whole("min_kept", &O::min_kept, 0, big, "minimum number of pixels kept"),
          number("gamma", &O::gamma, 0, 100, "exponent"),
          number("smooth", &O::smooth, 0, 1e9, "added to numerator and denominator"),
          flag("squared", &O::squared, "squared probabilities in the denominator"),
      });
  return table;
}

template <>
const Fields<TrainOptions>& fields() {
  using O = TrainOptions;
  static const Fields<O> table = {
      whole("epochs", &O::epochs, 0, big,
            "Length of the run in passes over the data. Exactly one of `epochs` and `max_steps`"),
      whole("max_steps", &O::max_steps, 0, big, "Length of the run in optimiser steps"),
      number(
          "max_minutes", &O::max_minutes, 0, 1e6,
          "Save and stop after this many minutes, as on a signal; `--resume` continues the run. 0: no limit"),
      whole("accumulate", &O::accumulate, 1, 65536, "Batches per optimiser step"),
      number("ema_decay", &O::ema_decay, 0, 0.99999999,
             "Exponential moving average of the weights, used for validation and `best.safetensors`; 0: off"),
      whole("average_last_steps", &O::average_last_steps, 0, big,
            "Mean of the weights after each of the last steps of the run, used likewise from its first step "
            "on; 0: off. Excludes `ema_decay`"),
      whole("log_every", &O::log_every, 1, big, "Steps per line of metrics.jsonl"),
      unless(needs_validation,
             whole("validate_every", &O::validate_every, 0, big,
                   "Steps per validation; 0: once per epoch (each step, if an epoch is shorter than one)")),
      whole("checkpoint_every", &O::checkpoint_every, 0, big,
            "Steps per checkpoint. Checkpoints are also written before and after each validation and at the "
            "end"),
      unless(needs_validation,
             whole("patience", &O::patience, 0, big,
                   "Stop after this many validations without a better main score (mIoU, AP, top-1); 0: off")),
      unless(needs_semantic_model,
             unless(needs_weighted_loss,
                    text("class_weights", &O::class_weights,
                         "`none`, `median_frequency`, `sqrt_median_frequency` (computed from the training "
                         "labels), or numbers `1,2.5,...`"))),
      unless(needs_aux_head,
             number("aux_weight", &O::aux_weight, 0, 1e3,
                    "Weight of the auxiliary heads' losses; of googlenet 0.3 unless it is given")),
      unless(needs_semantic_model,
             section_list("losses", &O::losses,
                          "Semantic models: weighted sum of losses; empty: one cross-entropy")),
      unless(needs_validation, whole("sample_images", &O::sample_images, 0, 64,
                                     "Number of validation images whose predictions are saved as pictures")),
  };
  return table;
}

template <>
const Fields<eval::CrfOptions>& fields() {
  using O = eval::CrfOptions;
  static const Fields<O> table = [] {
    Fields<O> all = {
        flag<O>("enabled", &O::enabled,
                "Refine predictions with a dense CRF (docs/crf.md): `eval`, `predict` and the validations of "
                "`train`, which take longer then"),
        whole<O>("iterations", &O::iterations, 0, eval::crf_most_iterations, "Mean-field updates"),
    };
    for (const eval::CrfNumber& n : eval::crf_numbers())
      all.push_back(number<O>(n.key, n.member, n.low, n.high, n.help, n.low_open));
    all.push_back(choice<O, layers::CrfNormalization>(
        "normalization", &O::normalization,
        "Normalisation of a kernel K with row sums n: D K D with D = n^-1/2, K / n, 1 / n K, or K"));
    all.push_back(choice<O, layers::CrfSpatial>("spatial", &O::spatial,
                                                "How the spatial kernel is summed: exactly, or approximated "
                                                "on a lattice as in pydensecrf, which is faster on CPUs"));
    all.push_back(whole<O>("max_memory", &O::max_memory, 1, 1 << 24,
                           "MiB that the CRF may take; an image that needs more is refined in parts"));
    return all;
  }();
  return table;
}

template <>
const Fields<eval::InferenceOptions>& fields() {
  using O = eval::InferenceOptions;
  const auto semantic = [](Field<O> field) { return unless(needs_pixel_labels, std::move(field)); };
  static const Fields<O> table = {
      unless(pixel_labels_else("model.detection.min_size"),
             numbers("scales", &O::scales, 0, 16, "Probabilities are averaged over these image scales")),
      unless(needs_semantic_model, flag("flip", &O::flip, "Average with the mirrored image")),
      unless(needs_class_view, whole("short_side", &O::short_side, 1, side,
                                     "Classification: the shorter side is resized to this length")),
      unless(needs_class_view, whole("crop", &O::crop, 1, side,
                                     "Classification: side of the centre crop that the network sees")),
      semantic(
          whole("window_height", &O::window_height, 0, side, "Sliding window; 0: the whole image at once")),
      semantic(whole("window_width", &O::window_width, 0, side, "Width of the window")),
      semantic(number("window_overlap", &O::window_overlap, 0, 0.95,
                      "Overlap of neighbouring windows as a fraction")),
      semantic(choice("window_blend", &O::window_blend,
                      "How overlapping windows are averaged: \"gaussian\" weights fall off towards the edges "
                      "of a window, \"mean\" weights are equal")),
      semantic(section("crf", &O::crf, "Dense CRF as post-processing")),
      unless(needs_detection_model,
             number("min_score", &O::min_score, 0, 1,
                    "Detection models, which use no other option of this section: minimum score for drawn "
                    "detections")),
  };
  return table;
}

namespace {

// Metrics that `expected` may name.
std::vector<std::string> expected_metrics() {
  return eval::validation_keys();
}

Field<Config> expected_field() {
  Field<Config> f{"expected", Type::targets, "",
                  "Targets `{\"miou\": [0.60, 0.02]}`: value and tolerance below. The run exits with 1 if "
                  "its best validation scores less"};
  f.read = [](Config& c, const JsonValue& v, const std::string& path) {
    if (v.kind != JsonValue::Kind::object)
      detail::wrong_type(v, path, "an object such as {\"miou\": [0.60, 0.02]}");
    c.expected.clear();
    const std::vector<std::string> known = expected_metrics();
    for (const auto& [metric, target] : v.object) {
      if (std::ranges::find(known, metric) == known.end()) detail::unknown_key(target, path, metric, known);
      const std::string at = detail::child(path, metric);
      for (const JsonValue& e : detail::read_list(target, at, "a pair [value, tolerance]")) {
        c.expected[metric].push_back(detail::read_number(e, at, 0, 1, false, "0 to 1"));
      }
      if (c.expected[metric].size() != 2) detail::wrong_type(target, at, "a pair [value, tolerance]");
    }
  };
  f.write = [](const Config& c) {
    JsonValue out = JsonValue::make_object();
    for (const auto& [metric, target] : c.expected) out[metric] = JsonValue::of(target);
    return out;
  };
  return f;
}

Field<Config> seed_field() {
  Field<Config> f{"seed", Type::whole, ">= 0",
                  "Seed of all random numbers: weights, shuffling, augmentation, dropout"};
  f.read = [](Config& c, const JsonValue& v, const std::string& path) {
    c.seed =
        static_cast<uint64_t>(detail::read_whole(v, path, 0, std::numeric_limits<int64_t>::max(), ">= 0"));
  };
  f.write = [](const Config& c) { return JsonValue::of(static_cast<int64_t>(c.seed)); };
  return f;
}

}  // namespace

template <>
const Fields<Config>& fields() {
  static const Fields<Config> table = {
      section("model", &Config::model,
              "The network. A config with only this section is enough for `forward` and `summary`"),
      section("data", &Config::data, "The data set and how its files are read"),
      unless(needs_image_files, section("augment", &Config::augment, "Random changes of training images")),
      section("optimizer", &Config::optimizer, "The update of the parameters"),
      section("schedule", &Config::schedule, "The learning rate as a function of the step number"),
      section("train", &Config::train, "Length of the run, losses, validation, checkpoints"),
      section("eval", &Config::eval, "Inference for validation, `eval` and `predict`"),
      seed_field(),
      flag("exact", &Config::exact,
           "Convolutions are summed as defined. If false, 3x3 convolutions may use Winograd's algorithm, "
           "which is 2-3x faster and has rounding errors about ten times as large (1e-6 to 1e-5 of the "
           "largest value)"),
      choice("math", &Config::math,
             "Arithmetic. f32: exact f32 everywhere. tf32 (GPU and simulator): convolutions may round their "
             "factors to 10 bits of mantissa. bf16: on a GPU (and on the simulator) activations and their "
             "gradients are bf16, on the CPU convolutions round both factors of their products to bf16; "
             "parameters, statistics, sums and losses stay f32"),
      expected_field(),
  };
  return table;
}

}  // namespace atrous::train::schema
