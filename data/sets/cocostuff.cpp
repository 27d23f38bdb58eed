// COCO-Stuff 164k (Caesar et al., CVPR 2018): things and stuff of COCO 2017 as one PNG per image.
//
// The pixel maps (stuffthingmaps_trainval2017.zip) hold the category number less one, 0 to 181, and 255 for
// unlabelled. Eleven of the 182 categories were never annotated; without them there are 171.
#include <algorithm>

#include "data/sets/files.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

constexpr const char* names[] = {"person",
                                 "bicycle",
                                 "car",
                                 "motorcycle",
                                 "airplane",
                                 "bus",
                                 "train",
                                 "truck",
                                 "boat",
                                 "traffic light",
                                 "fire hydrant",
                                 "street sign",
                                 "stop sign",
                                 "parking meter",
                                 "bench",
                                 "bird",
                                 "cat",
                                 "dog",
                                 "horse",
                                 "sheep",
                                 "cow",
                                 "elephant",
                                 "bear",
                                 "zebra",
                                 "giraffe",
                                 "hat",
                                 "backpack",
                                 "umbrella",
                                 "shoe",
                                 "eye glasses",
                                 "handbag",
                                 "tie",
                                 "suitcase",
                                 "frisbee",
                                 "skis",
                                 "snowboard",
                                 "sports ball",
                                 "kite",
                                 "baseball bat",
                                 "baseball glove",
                                 "skateboard",
                                 "surfboard",
                                 "tennis racket",
                                 "bottle",
                                 "plate",
                                 "wine glass",
                                 "cup",
                                 "fork",
                                 "knife",
                                 "spoon",
                                 "bowl",
                                 "banana",
                                 "apple",
                                 "sandwich",
                                 "orange",
                                 "broccoli",
                                 "carrot",
                                 "hot dog",
                                 "pizza",
                                 "donut",
                                 "cake",
                                 "chair",
                                 "couch",
                                 "potted plant",
                                 "bed",
                                 "mirror",
                                 "dining table",
                                 "window",
                                 "desk",
                                 "toilet",
                                 "door",
                                 "tv",
                                 "laptop",
                                 "mouse",
                                 "remote",
                                 "keyboard",
                                 "cell phone",
                                 "microwave",
                                 "oven",
                                 "toaster",
                                 "sink",
                                 "refrigerator",
                                 "blender",
                                 "book",
                                 "clock",
                                 "vase",
                                 "scissors",
                                 "teddy bear",
                                 "hair drier",
                                 "toothbrush",
                                 "hair brush",
                                 "banner",
                                 "blanket",
                                 "branch",
                                 "bridge",
                                 "building-other",
                                 "bush",
                                 "cabinet",
                                 "cage",
                                 "cardboard",
                                 "carpet",
                                 "ceiling-other",
                                 "ceiling-tile",
                                 "cloth",
                                 "clothes",
                                 "clouds",
                                 "counter",
                                 "cupboard",
                                 "curtain",
                                 "desk-stuff",
                                 "dirt",
                                 "door-stuff",
                                 "fence",
                                 "floor-marble",
                                 "floor-other",
                                 "floor-stone",
                                 "floor-tile",
                                 "floor-wood",
                                 "flower",
                                 "fog",
                                 "food-other",
                                 "fruit",
                                 "furniture-other",
                                 "grass",
                                 "gravel",
                                 "ground-other",
                                 "hill",
                                 "house",
                                 "leaves",
                                 "light",
                                 "mat",
                                 "metal",
                                 "mirror-stuff",
                                 "moss",
                                 "mountain",
                                 "mud",
                                 "napkin",
                                 "net",
                                 "paper",
                                 "pavement",
                                 "pillow",
                                 "plant-other",
                                 "plastic",
                                 "platform",
                                 "playingfield",
                                 "railing",
                                 "railroad",
                                 "river",
                                 "road",
                                 "rock",
                                 "roof",
                                 "rug",
                                 "salad",
                                 "sand",
                                 "sea",
                                 "shelf",
                                 "sky-other",
                                 "skyscraper",
                                 "snow",
                                 "solid-other",
                                 "stairs",
                                 "stone",
                                 "straw",
                                 "structural-other",
                                 "table",
                                 "tent",
                                 "textile-other",
                                 "towel",
                                 "tree",
                                 "vegetable",
                                 "wall-brick",
                                 "wall-concrete",
                                 "wall-other",
                                 "wall-panel",
                                 "wall-stone",
                                 "wall-tile",
                                 "wall-wood",
                                 "water-other",
                                 "waterdrops",
                                 "window-blind",
                                 "window-other",
                                 "wood"};
constexpr int64_t categories = std::size(names);
static_assert(categories == 182);

// Category numbers, from 1, that no image has.
constexpr int64_t never_annotated[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91};

bool occurs(int64_t value) {
  return std::find(std::begin(never_annotated), std::end(never_annotated), value + 1) ==
         std::end(never_annotated);
}

// The first of the usual folders that exists; the first of all if none does.
path pick(const std::string& root, std::initializer_list<const char*> folders, const std::string& split) {
  for (const char* folder : folders) {
    if (files::fs::is_directory(path(root) / folder / split)) return path(folder) / split;
  }
  return path(*folders.begin()) / split;
}

std::vector<ClassInfo> stuff_classes(bool all_categories) {
  std::vector<ClassInfo> classes;
  for (int64_t value = 0; value < categories; ++value) {
    if (all_categories || occurs(value))  // black is for values without a class
      classes.push_back({names[value], default_color(static_cast<int64_t>(classes.size()) + 1)});
  }
  return classes;
}

SplitPlan plan_cocostuff(const DataOptions& options, const std::string& split, bool all_categories) {
  constexpr const char* train_ids = "_labelTrainIds.png";
  const std::string folder = split + "2017";
  const path images = pick(options.root, {"images", ""}, folder);
  const path labels =
      pick(options.root, {"annotations", "stuffthingmaps", "stuffthingmaps_trainval2017"}, folder);
  SplitPlan plan;
  plan.global_ids = true;
  plan.classes = stuff_classes(all_categories);
  int64_t k = 0;
  for (int64_t value = 0; value < categories; ++value) {
    if (all_categories || occurs(value)) plan.label_map += fmt::format("{}:{},", value, k++);
  }
  plan.label_map += "255:ignore";
  if (!files::fs::is_directory(path(options.root) / images)) {
    plan.missing = files::not_there(path(options.root) / images);
    return plan;
  }
  if (split == "test") {
    files::add_pairs(plan, options.root, {images, ".jpg", "", ""});
    return plan;
  }
  // mmsegmentation's converter writes files with the 171 classes beside the pixel maps.
  const bool converted = !all_categories && files::fs::is_directory(path(options.root) / labels) &&
                         !files::stems_in(path(options.root) / labels, train_ids).empty();
  if (converted) plan.label_map = "0-170:0,255:ignore";
  files::add_pairs(plan, options.root, {images, ".jpg", labels, converted ? train_ids : ".png"});
  return plan;
}

}  // namespace

std::vector<ClassInfo> cocostuff171_classes() {
  return stuff_classes(false);
}
std::vector<ClassInfo> cocostuff182_classes() {
  return stuff_classes(true);
}

SplitPlan plan_cocostuff171(const DataOptions& options, const std::string& split) {
  return plan_cocostuff(options, split, false);
}

SplitPlan plan_cocostuff182(const DataOptions& options, const std::string& split) {
  return plan_cocostuff(options, split, true);
}

}  // namespace atrous::data
