// Cityscapes, fine annotations (Cordts et al., CVPR 2016).
#include <algorithm>

#include "data/sets/files.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

constexpr const char* bases[] = {"", "cityscapes"};
constexpr const char* image_suffix = "_leftImg8bit.png";
constexpr const char* label_suffix = "_gtFine_labelIds.png";

// In the order of their train ids. The label id is what the files hold.
struct Class {
  int label_id;
  files::Named named;
};
constexpr Class table[] = {
    {7, {"road", 0x804080}},           {8, {"sidewalk", 0xf423e8}},      {11, {"building", 0x464646}},
    {12, {"wall", 0x66669c}},          {13, {"fence", 0xbe9999}},        {17, {"pole", 0x999999}},
    {19, {"traffic light", 0xfaaa1e}}, {20, {"traffic sign", 0xdcdc00}}, {21, {"vegetation", 0x6b8e23}},
    {22, {"terrain", 0x98fb98}},       {23, {"sky", 0x4682b4}},          {24, {"person", 0xdc143c}},
    {25, {"rider", 0xff0000}},         {26, {"car", 0x00008e}},          {27, {"truck", 0x000046}},
    {28, {"bus", 0x003c64}},           {31, {"train", 0x005064}},        {32, {"motorcycle", 0x0000e6}},
    {33, {"bicycle", 0x770b20}}};
constexpr int last_label_id = 33;

SplitPlan without_files() {
  SplitPlan plan;
  plan.global_ids = true;
  std::vector<files::Named> named;
  size_t next = 0;
  for (int id = 0; id <= last_label_id; ++id) {
    const bool is_class = table[next].label_id == id;
    plan.label_map += fmt::format("{}{}:{}", id ? "," : "", id, is_class ? std::to_string(next) : "ignore");
    if (is_class) named.push_back(table[next++].named);
  }
  plan.classes = files::classes_of(named);
  return plan;
}

// Both mistakes give labels that a label map accepts in part or in full, and scores that are meaningless.
std::string objection(const LabelFile& label) {
  if (label.is_rgb || label.values.dtype() != DType::u8) return "";  // the label map refuses it
  const uint8_t* begin = label.values.data<uint8_t>();
  const uint8_t* end = begin + label.values.numel();
  if (std::all_of(begin, end, [](uint8_t v) { return v <= 18 || v == 255; }) &&
      std::find(begin, end, 255) != end) {
    return "label ids are 0 to 33, and 255 with nothing above 18 means labelTrainIds. Use the *_labelIds.png "
           "files as published, or name the files in lists and set data.dataset=list with "
           "data.label_map=identity";
  }
  if (std::all_of(begin, end, [](uint8_t v) { return v <= 3; })) {
    return "no pixel has a class (all are unlabelled, ego vehicle, border or out of the region of interest): "
           "this is the dummy ground truth of the test split, which has no labels to score";
  }
  return "";
}

// The usual reason for missing labels.
void check_label_files(const path& folder) {
  if (!files::fs::is_directory(folder) || !files::stems_in(folder, label_suffix).empty()) return;
  const bool has_train_ids = !files::stems_in(folder, "_gtFine_labelTrainIds.png").empty();
  fail(ErrorKind::data, "[data] labels of Cityscapes end in `{}`. Got none in {}. {}.", label_suffix,
       folder.string(),
       has_train_ids ? "It has *_labelTrainIds.png, which are made from them: unpack gtFine_trainvaltest.zip"
                     : "Unpack gtFine_trainvaltest.zip (not gtCoarse) into the root");
}

}  // namespace

std::vector<ClassInfo> cityscapes_classes() {
  return without_files().classes;
}

SplitPlan plan_cityscapes(const DataOptions& options, const std::string& split) {
  const path base = files::find_base(options.root, bases, "leftImg8bit");
  const path root = options.root;
  SplitPlan plan = without_files();
  plan.objection = objection;
  const path images = base / "leftImg8bit" / split;
  if (!files::fs::is_directory(root / images)) {
    plan.missing = files::not_there(root / images);
    return plan;
  }
  for (const std::string& city : files::subfolders(root / images)) {
    const path labels = split == "test" ? path() : base / "gtFine" / split / city;
    if (!labels.empty()) check_label_files(root / labels);
    files::add_pairs(plan, options.root, {images / city, image_suffix, labels, label_suffix});
  }
  return plan;
}

}  // namespace atrous::data
