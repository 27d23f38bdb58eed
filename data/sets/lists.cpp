// Sets that come with list files, `image label` per line.
#include <algorithm>

#include "data/sets/files.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

using files::Named;

// The entries of the split's list.
SplitPlan plan_from_list(const DataOptions& options, const std::string& split,
                         const std::string& strip_prefix = "") {
  SplitPlan plan;
  const std::string& name = list_name(options, split);
  ATROUS_CHECK(!name.empty(), ErrorKind::config,
               "[data] there is no list for the {} split. Set data.{}_list.", split, split);
  ATROUS_CHECK(split == "test" || options.allow_overlap || options.train_list != options.val_list,
               ErrorKind::data,
               "[data] train and val must be different lists. Got `{}` for both. Name another, or set "
               "data.allow_overlap=true to test whether a network overfits.",
               name);
  const files::fs::path path = files::fs::path(options.root) / name;
  if (files::fs::is_regular_file(path)) {
    plan.entries = read_list(path.string(), split == "test", strip_prefix, options.root, &plan.faults);
  } else {
    plan.missing = fmt::format("{} (data.{}_list)", files::not_there(path), split);
  }
  return plan;
}

void use_class_table(SplitPlan& plan, const ClassTable& table) {
  plan.classes = table.classes;
  for (size_t k = 0; k < table.ids.size(); ++k) {
    plan.label_map += fmt::format("{}{}:{}", k ? "," : "", table.ids[k], k);
  }
  const int64_t ignored = table.ignore_index.value_or(ignore_label);
  const bool is_class = std::find(table.ids.begin(), table.ids.end(), ignored) != table.ids.end();
  if (!is_class) plan.label_map += fmt::format(",{}:ignore", ignored);
}

constexpr Named camvid_classes[] = {{"sky", 0x808080},         {"building", 0x800000}, {"pole", 0xc0c080},
                                    {"road", 0x804080},        {"pavement", 0x3c28de}, {"tree", 0x808000},
                                    {"sign_symbol", 0xc08080}, {"fence", 0x404080},    {"car", 0x400080},
                                    {"pedestrian", 0x404000},  {"bicyclist", 0x0080c0}};

// label_colors.txt of the original set; Void (black) is ignored.
constexpr Named camvid32_classes[] = {{"Animal", 0x408040},
                                      {"Archway", 0xc00080},
                                      {"Bicyclist", 0x0080c0},
                                      {"Bridge", 0x008040},
                                      {"Building", 0x800000},
                                      {"Car", 0x400080},
                                      {"CartLuggagePram", 0x4000c0},
                                      {"Child", 0xc08040},
                                      {"Column_Pole", 0xc0c080},
                                      {"Fence", 0x404080},
                                      {"LaneMkgsDriv", 0x8000c0},
                                      {"LaneMkgsNonDriv", 0xc00040},
                                      {"Misc_Text", 0x808040},
                                      {"MotorcycleScooter", 0xc000c0},
                                      {"OtherMoving", 0x804040},
                                      {"ParkingBlock", 0x40c080},
                                      {"Pedestrian", 0x404000},
                                      {"Road", 0x804080},
                                      {"RoadShoulder", 0x8080c0},
                                      {"Sidewalk", 0x0000c0},
                                      {"SignSymbol", 0xc08080},
                                      {"Sky", 0x808080},
                                      {"SUVPickupTruck", 0x4080c0},
                                      {"TrafficCone", 0x000040},
                                      {"TrafficLight", 0x004040},
                                      {"Train", 0xc04080},
                                      {"Tree", 0x808000},
                                      {"Truck_Bus", 0xc080c0},
                                      {"Tunnel", 0x400040},
                                      {"VegetationMisc", 0xc0c000},
                                      {"Wall", 0x40c000}};

}  // namespace

SplitPlan plan_list(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_from_list(options, split);
  const files::fs::path table = files::fs::path(options.root) / "classes.json";
  if (files::fs::exists(table)) use_class_table(plan, read_class_table(table.string()));
  return plan;
}

SplitPlan plan_shapes(const DataOptions& options, const std::string& split) {
  const bool is_generated = files::fs::exists(files::fs::path(options.root) / "classes.json");
  ATROUS_CHECK(is_generated, ErrorKind::data,
               "[data.root] {} holds no generated set: classes.json is missing. Make one with `atrous data "
               "make-shapes --out {}`.",
               options.root, options.root);
  return plan_list(options, split);
}

SplitPlan plan_camvid(const DataOptions& options, const std::string& split) {
  // The lists of the SegNet tutorial hold absolute paths.
  SplitPlan plan = plan_from_list(options, split, "/SegNet/CamVid/");
  plan.classes = files::classes_of(camvid_classes);
  plan.label_map = "0-10:0,11:ignore";
  return plan;
}

SplitPlan plan_camvid32(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_from_list(options, split);
  plan.classes = files::classes_of(camvid32_classes);
  plan.label_map = "#000000:ignore";
  for (size_t k = 0; k < plan.classes.size(); ++k)
    plan.label_map += fmt::format(",{}:{}", hex(plan.classes[k].color), k);
  return plan;
}

SplitPlan plan_isbi2012(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_from_list(options, split);
  plan.classes = {{"membrane", {0, 0, 0}}, {"cell", {255, 255, 255}}};
  plan.label_map = "0:0,255:1";
  plan.in_channels = 1;
  return plan;
}

SplitPlan plan_crackforest(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_from_list(options, split);
  plan.classes = {{"background", {0, 0, 0}}, {"crack", {255, 80, 0}}};
  // The .mat files that the set is published with hold MATLAB's numbers, from 1: background, crack, areas
  // that cracks enclose, and cracks apart from the others, which not every picture has marked.
  const bool original = !plan.entries.empty() && plan.entries[0].label.ends_with(".mat");
  plan.label_map = original ? "1:0,2:1,3:0,4:ignore" : "0:0,1:1,255:ignore";
  return plan;
}

SplitPlan plan_pennfudan_person(const DataOptions& options, const std::string& split) {
  SplitPlan plan = plan_from_list(options, split);
  plan.classes = {{"background", {0, 0, 0}}, {"person", {220, 20, 60}}};
  plan.label_map = "0:0,1-254:=1";  // value k is person number k
  return plan;
}

}  // namespace atrous::data
