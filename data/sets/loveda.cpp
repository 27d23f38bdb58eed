// LoveDA (Wang et al., NeurIPS 2021): aerial pictures of 1024 x 1024 pixels.
#include "data/sets/files.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

constexpr const char* bases[] = {"", "LoveDA", "loveDA"};

constexpr files::Named classes[] = {{"background", 0xffffff}, {"building", 0xff0000}, {"road", 0xffff00},
                                    {"water", 0x0000ff},      {"barren", 0x9f81b7},   {"forest", 0x00ff00},
                                    {"agriculture", 0xffc380}};

}  // namespace

SplitPlan plan_loveda(const DataOptions& options, const std::string& split) {
  const std::string folder = split == "train" ? "Train" : split == "val" ? "Val" : "Test";
  const path root = options.root;
  SplitPlan plan;
  plan.classes = files::classes_of(classes);
  plan.label_map = "0:ignore,1-7:0";  // 0: no data
  plan.global_ids = true;
  // Other selections are given by lists.
  if (files::fs::is_regular_file(root / list_name(options, split))) {
    plan.entries = read_list((root / list_name(options, split)).string(), split == "test", "", options.root,
                             &plan.faults);
    return plan;
  }
  path base;
  for (const char* candidate : bases) {
    if (files::fs::is_directory(root / candidate / folder)) base = candidate;
  }
  if (!files::fs::is_directory(root / base / folder)) {
    const std::string& list = list_name(options, split);
    plan.missing = fmt::format("neither the folder {} is there nor the list {} of a selection{}",
                               (root / folder).string(), (root / list).string(),
                               split == "test" ? "" : " (`image label` per line)");
    return plan;
  }
  for (const std::string& scene : files::subfolders(root / base / folder)) {  // Rural, Urban
    const path scene_folder = base / folder / scene;
    const path labels = split == "test" ? path() : scene_folder / "masks_png";
    files::add_pairs(plan, options.root, {scene_folder / "images_png", ".png", labels, ".png"});
  }
  return plan;
}

}  // namespace atrous::data
