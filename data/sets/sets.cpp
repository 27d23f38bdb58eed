#include "data/sets/sets.h"

#include <algorithm>

#include "data/instances.h"
#include "data/sets/instance_sets.h"

namespace atrous::data {

const std::vector<NamedSet>& named_sets() {
  static const std::vector<NamedSet> table = {
      {"list", "list files with `image label` per line, classes from classes.json", plan_list, true},
      {"shapes", "the generated set of `atrous data make-shapes`", plan_shapes},
      {"camvid", "CamVid as in the SegNet tutorial, 11 classes", plan_camvid},
      {"camvid32", "CamVid's original colour labels, 31 classes", plan_camvid32},
      {"voc2012", "PASCAL VOC 2012, 21 classes", plan_voc2012, true, voc2012_classes},
      {"voc2012_aug", "VOC 2012 with SBD's labels for training (10,582 images)", plan_voc2012_aug, true,
       voc2012_classes},
      {"pascal_context59", "PASCAL-Context, 59 classes, background ignored", plan_pascal_context59, true,
       pascal_context59_classes},
      {"pascal_context60", "PASCAL-Context, 59 classes and background", plan_pascal_context60, true,
       pascal_context60_classes},
      {"cityscapes", "Cityscapes fine annotations, 19 classes", plan_cityscapes, false, cityscapes_classes},
      {"ade20k", "ADE20K SceneParsing, 150 classes", plan_ade20k, false, ade20k_classes},
      {"cocostuff171", "COCO-Stuff 164k, the 171 classes that occur", plan_cocostuff171, false,
       cocostuff171_classes},
      {"cocostuff182", "COCO-Stuff 164k, numbered as published", plan_cocostuff182, false,
       cocostuff182_classes},
      {"oxford_pets", "Oxford-IIIT Pet trimaps: pet, background, border", plan_oxford_pets},
      {"oxford_pets_binary", "the same with pet and border as one class", plan_oxford_pets_binary},
      {"loveda", "LoveDA land cover, 7 classes", plan_loveda, true},
      {"isbi2012", "ISBI 2012 membranes, 2 classes, one channel", plan_isbi2012},
      {"crackforest", "CrackForest road cracks, 2 classes", plan_crackforest},
      {"pennfudan_person", "Penn-Fudan pedestrians, 2 classes", plan_pennfudan_person},
  };
  return table;
}

std::vector<std::string> set_names() {
  std::vector<std::string> names;
  for (const NamedSet& set : named_sets()) names.push_back(set.name);
  return names;
}

bool takes_lists(const std::string& name) {
  const std::vector<NamedSet>& sets = named_sets();
  const auto set = std::ranges::find(sets, name, &NamedSet::name);
  // For instance sets, a list option names the annotation file (COCO) or a list of plan_list.
  return set != sets.end() ? set->takes_lists : takes_instance_lists(name);
}

std::vector<ClassInfo> class_table(const DataOptions& options) {
  std::vector<ClassInfo> classes;
  for (const NamedSet& set : named_sets()) {
    // Lists and generated sets are defined by their folder.
    const bool needs_folder = set.name == "list" || set.name == "shapes";
    if (set.name != options.dataset || (needs_folder && options.root.empty())) continue;
    try {
      SplitPlan plan;
      if (set.classes && options.root.empty())
        plan.classes = set.classes();
      else
        plan = set.plan(options, "val");
      classes = set_classes(options, plan);
    } catch (const Error&) {
      // Files that contradict each other give no names.
    }
  }
  if (is_instance_set(options.dataset) && !options.root.empty()) {
    try {
      return open_instance_dataset(options, "val", 0, 0)->classes();
    } catch (const Error&) {
    }
  }
  if (!classes.empty()) return classes;
  classes.resize(options.class_names.size());
  for (size_t k = 0; k < classes.size(); ++k) classes[k].name = options.class_names[k];
  return classes;
}

}  // namespace atrous::data
