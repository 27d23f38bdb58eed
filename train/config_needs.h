// The conditions under which options of a config are used (`unless` in the tables of fields). Each function
// returns nothing if its options are used, else what uses them and what the config has instead.
#pragma once

#include "train/config_schema.h"

namespace atrous::train::schema {

// Of the kind of network. With a config without a network, semantic models are assumed.
std::optional<Need> needs_semantic_model(const Config& c);
std::optional<Need> needs_detection_model(const Config& c);
// Semantic models, and networks that classify whole images: by the network, without one by the
// data set.
std::optional<Need> needs_pixel_labels(const Config& c);
std::optional<Need> needs_classifier(const Config& c);
std::optional<Need> needs_aux_head(const Config& c);
std::optional<Need> needs_norm_layer(const Config& c);
// As needs_semantic_model, for options that detection models have under another key.
inline auto semantic_else(const char* key_of_detection_models) {
  return [key_of_detection_models](const Config& c) {
    std::optional<Need> need = needs_semantic_model(c);
    if (need) need->instead = key_of_detection_models;
    return need;
  };
}

// As needs_pixel_labels, for options that detection models have under another key.
inline auto pixel_labels_else(const char* key_of_detection_models) {
  return [key_of_detection_models](const Config& c) {
    std::optional<Need> need = needs_pixel_labels(c);
    if (need && nets::is_detector(c.model.name)) need->instead = key_of_detection_models;
    return need;
  };
}

// Of the data set.
std::optional<Need> needs_lists(const Config& c);
std::optional<Need> needs_image_files(const Config& c);
std::optional<Need> needs_validation(const Config& c);
std::optional<Need> needs_label_maps(const Config& c);
std::optional<Need> needs_instances(const Config& c);
std::optional<Need> needs_coco_annotations(const Config& c);

// Of other options.
std::optional<Need> needs_class_view(const Config& c);
std::optional<Need> needs_resized_crop(const Config& c);
std::optional<Need> needs_plain_crop(const Config& c);
std::optional<Need> needs_crop(const Config& c);
std::optional<Need> needs_elastic(const Config& c);
std::optional<Need> needs_warmup(const Config& c);
std::optional<Need> needs_weighted_loss(const Config& c);

}  // namespace atrous::train::schema
