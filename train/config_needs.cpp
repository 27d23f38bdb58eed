#include "train/config_needs.h"

#include <algorithm>

#include "data/class_loader.h"
#include "data/image_folders.h"
#include "data/instances.h"
#include "data/sets/sets.h"

namespace atrous::train::schema {
namespace {

std::optional<Need> unless_set(bool fits, const char* wanted, const Config& c) {
  if (fits) return std::nullopt;
  return Need{wanted, fmt::format("data.dataset \"{}\"", c.data.dataset)};
}

std::optional<Need> unless_model(bool fits, const char* wanted, const Config& c) {
  if (fits) return std::nullopt;
  return Need{wanted, fmt::format("model.name \"{}\"", c.model.name)};
}

std::optional<Need> unless_option(bool fits, const char* wanted, const char* got) {
  if (fits) return std::nullopt;
  return Need{wanted, got};
}

bool classifies(const Config& c) {
  return c.model.name.empty() ? data::is_classification_set(c.data.dataset)
                              : nets::is_classifier(c.model.name);
}

// What the network sees in training is a resized part of the image.
bool has_resized_crop(const Config& c) {
  return classifies(c) && data::class_augmentation(c.augment, c.data, c.eval.crop).resized_crop;
}

bool has_image_files(const Config& c) {
  return c.data.dataset != given_tensors;
}

}  // namespace

std::optional<Need> needs_semantic_model(const Config& c) {
  return unless_model(!nets::is_detector(c.model.name), "semantic models", c);
}
std::optional<Need> needs_detection_model(const Config& c) {
  return unless_model(nets::is_detector(c.model.name), "detection (instance) models", c);
}
std::optional<Need> needs_pixel_labels(const Config& c) {
  if (std::optional<Need> need = needs_semantic_model(c)) return need;
  return unless_model(!classifies(c), "semantic models", c);
}
std::optional<Need> needs_classifier(const Config& c) {
  return unless_model(classifies(c), "networks that classify images", c);
}
std::optional<Need> needs_class_view(const Config& c) {
  if (std::optional<Need> need = needs_classifier(c)) return need;
  return unless_option(c.data.image_height == 0, "images without data.image_height", "data.image_height");
}
std::optional<Need> needs_resized_crop(const Config& c) {
  if (std::optional<Need> need = needs_classifier(c)) return need;
  return unless_option(has_resized_crop(c), "a random resized crop",
                       "data.image_height without augment.crop_height");
}
std::optional<Need> needs_plain_crop(const Config& c) {
  return unless_option(!has_resized_crop(c), "a crop that is not resized",
                       "a network that classifies images");
}
std::optional<Need> needs_aux_head(const Config& c) {
  return unless_option(c.model.aux_loss, "models with an auxiliary head", "model.aux_loss false");
}
std::optional<Need> needs_norm_layer(const Config& c) {
  // "none" is what such a network has.
  const bool fits = c.model.name != "layers" || c.model.norm == layers::NormKind::none ||
                    std::ranges::any_of(c.model.layer_list, [](const nets::LayerOptions& layer) {
                      return layer.kind == nets::LayerKind::norm;
                    });
  return unless_option(fits, "networks with norm layers", "no layer of kind \"norm\" in model.layer_list");
}

std::optional<Need> needs_lists(const Config& c) {
  return unless_set(data::takes_lists(c.data.dataset), "data sets with lists", c);
}
std::optional<Need> needs_image_files(const Config& c) {
  return unless_set(has_image_files(c), "data sets of image files", c);
}
std::optional<Need> needs_validation(const Config& c) {
  return unless_set(has_image_files(c), "runs with validation", c);
}
std::optional<Need> needs_label_maps(const Config& c) {
  return unless_set(has_image_files(c) && !data::is_instance_set(c.data.dataset) &&
                        !data::is_classification_set(c.data.dataset),
                    "data sets with label maps", c);
}
std::optional<Need> needs_instances(const Config& c) {
  return unless_set(data::is_instance_set(c.data.dataset), "instance sets", c);
}
std::optional<Need> needs_coco_annotations(const Config& c) {
  return unless_set(data::has_coco_annotations(c.data.dataset), "data sets with COCO annotations", c);
}

std::optional<Need> needs_crop(const Config& c) {
  return unless_option(c.augment.crop_height > 0, "a random crop", "augment.crop_height 0");
}
std::optional<Need> needs_elastic(const Config& c) {
  return unless_option(c.augment.elastic_sigma > 0, "elastic deformation", "augment.elastic_sigma 0");
}
std::optional<Need> needs_warmup(const Config& c) {
  return unless_option(c.schedule.warmup_steps > 0, "a warm-up", "schedule.warmup_steps 0");
}
std::optional<Need> needs_weighted_loss(const Config& c) {
  const auto weighted = [](const layers::LossTerm& term) { return takes_option(term.kind, "class_weights"); };
  if (c.train.losses.empty() || std::ranges::any_of(c.train.losses, weighted)) return std::nullopt;
  return Need{detail::any_of_text("kind", names_that_take<layers::LossKind>("class_weights")),
              "no such term in train.losses"};
}

}  // namespace atrous::train::schema
