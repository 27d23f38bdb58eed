// Oxford-IIIT Pet (Parkhi et al., CVPR 2012): trimaps of 37 breeds of cats and dogs.
#include "data/sets/files.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

constexpr const char* bases[] = {"", "oxford-iiit-pet"};

// The set has a list for training and validation and one for testing. Every tenth image of the first, counted
// from its first line, is for validation, as in segmentation_models_pytorch.
constexpr size_t validation_period = 10;

SplitPlan plan_pets(const DataOptions& options, const std::string& split) {
  const path base = files::find_base(options.root, bases, "annotations/trimaps");
  const path list =
      path(options.root) / base / "annotations" / (split == "test" ? "test.txt" : "trainval.txt");
  SplitPlan plan;
  plan.global_ids = true;
  if (!files::fs::is_regular_file(list)) {
    plan.missing = files::not_there(list);
    return plan;
  }
  const std::vector<ListEntry> listed = files::read_ids(list, &plan.faults);
  for (size_t i = 0; i < listed.size(); ++i) {
    const bool is_val = i % validation_period == 0;
    if (split != "test" && is_val != (split == "val")) continue;
    ListEntry& e = plan.entries.emplace_back(listed[i]);
    e.image = (base / "images" / (e.id + ".jpg")).string();
    e.label = (base / "annotations/trimaps" / (e.id + ".png")).string();
  }
  return plan;
}

}  // namespace

SplitPlan plan_oxford_pets(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_pets(options, split);
  plan.classes = {{"pet", {220, 60, 20}}, {"background", {0, 0, 0}}, {"border", {255, 220, 60}}};
  plan.label_map = "1-3:0";
  return plan;
}

SplitPlan plan_oxford_pets_binary(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_pets(options, split);
  plan.classes = {{"background", {0, 0, 0}}, {"pet", {220, 60, 20}}};
  plan.label_map = "1:1,2:0,3:1";
  return plan;
}

}  // namespace atrous::data
