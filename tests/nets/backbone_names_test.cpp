// Which tensors of a network are its backbone's: learning rates, starting weights and export depend on it.
#include <catch2/catch.hpp>

#include "tiny_models.h"

using namespace atrous;

namespace {

struct Split {
  std::vector<std::string> backbone, head;
};

Split split_names(const layers::SegmentationModel& model) {
  Split split;
  for (const auto& p : model.parameters()) {
    (model.in_backbone(p.name) ? split.backbone : split.head).push_back(p.name);
  }
  return split;
}

std::shared_ptr<layers::SegmentationModel> build(const std::string& model) {
  return nets::build_model(nets_test::tiny_options(model));
}

}  // namespace

TEST_CASE("what makes the classes is never the backbone's") {
  for (const char* text : nets_test::tiny_models) {
    INFO(text);
    nets::ModelOptions options = nets_test::tiny_options(text);
    options.num_classes = 29;  // a width that nothing else has
    const auto model = nets::build_model(options);
    const Split split = split_names(*model);
    CHECK(model->has_backbone() == !split.backbone.empty());
    CHECK_FALSE(split.head.empty());
    for (const auto& p : model->parameters()) {
      if (p.variable.value().dim(0) == 29) CHECK_FALSE(model->in_backbone(p.name));
    }
  }
}

TEST_CASE("networks on a named backbone have it, the others have none") {
  for (const char* text : nets_test::tiny_models) {
    INFO(text);
    const std::string model = text;
    if (model.find("\"backbone\"") != std::string::npos) CHECK(build(model)->has_backbone());
    if (model.find("fc_densenet") != std::string::npos) CHECK_FALSE(build(model)->has_backbone());
  }
  CHECK_FALSE(build(R"({"name": "unet", "base_width": 2, "depth": 3})")->has_backbone());
}

TEST_CASE("PSPNet: stem and layer1 to layer4 are the backbone, though their names have no prefix") {
  const auto model = build(R"({"name": "pspnet", "backbone": "resnet18", "width_multiplier": 0.0625,
                               "aux_loss": true})");
  CHECK(model->backbone_prefix().empty());
  const Split split = split_names(*model);
  for (const std::string& name : split.backbone) CHECK(name.starts_with("layer"));
  for (const std::string& name : split.head) {
    INFO(name);
    CHECK((name.starts_with("ppm.") || name.starts_with("cls.") || name.starts_with("aux.")));
  }
}
