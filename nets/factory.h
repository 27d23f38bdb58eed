// From the `model` section of a config to a network.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/detection_model.h"
#include "layers/segmentation_model.h"
#include "nets/backbone.h"
#include "nets/model_options.h"

namespace atrous::nets {

// Networks of all kinds.
std::vector<std::string> model_names();
// An option that the network of `options` ignores: which networks use it, and which one this is, as in
// messages.
struct IgnoredOption {
  std::string users;    // "network \"deeplabv1\" or \"deeplabv2\""
  std::string network;  // "network \"unet\""
};
// Nothing if the network takes the option of that key, set or not, or if there is no such network.
std::optional<IgnoredOption> ignored_option(const ModelOptions& options, std::string_view key);
// Whether it is a detection model (layers::DetectionModel) and not a semantic one
// (layers::SegmentationModel).
bool is_detector(const std::string& model_name);
// Whether it classifies whole images: a layers::SegmentationModel whose labels_pixels() is false.
bool is_classifier(const std::string& model_name);

// The network with uninitialised parameters: enough for names, shapes and traces. Applies `freeze`.
std::shared_ptr<layers::Model> build_network(const ModelOptions& options);
// Builds the network and initialises it from `seed` (counter-based: bit-identical everywhere). Loads
// `options.weights` and `options.backbone_weights` if set and reports what was loaded, missing and mis-shaped
// to stderr. Error(config) for a bad combination.
std::shared_ptr<layers::Model> make_network(const ModelOptions& options, uint64_t seed);

// Typed variants; Error(config) for a network of the other kind.
std::shared_ptr<layers::SegmentationModel> build_model(const ModelOptions& options);
std::shared_ptr<layers::SegmentationModel> make_model(const ModelOptions& options, uint64_t seed);
std::shared_ptr<layers::DetectionModel> build_detector(const ModelOptions& options);
std::shared_ptr<layers::DetectionModel> make_detector(const ModelOptions& options, uint64_t seed);
// `network` as the type that it has; Error(config) if it is of the other kind.
std::shared_ptr<layers::SegmentationModel> as_segmentation(const std::shared_ptr<layers::Model>& network);
std::shared_ptr<layers::DetectionModel> as_detector(const std::shared_ptr<layers::Model>& network);

}  // namespace atrous::nets
