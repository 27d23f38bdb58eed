// PASCAL-Context (Mottaghi et al., CVPR 2014): VOC 2010 images, everything in them labelled.
//
// The authors publish 459 raw labels; papers use the 59 most frequent as classes. Class order here is that of
// the raw numbers, which is alphabetical, as in the Detail API and the PNG files made with it. (Older lists
// of names begin with VOC's 20 classes; they do not fit those files.)
#include "data/sets/files.h"
#include "data/sets/sets.h"
#include "data/sets/voc.h"

namespace atrous::data {
namespace {

using files::fs::path;

constexpr const char* bases[] = {"", "VOC2010", "VOCdevkit/VOC2010"};

constexpr int64_t raw_labels = 459;
struct Class {
  int raw;  // number among the 459
  const char* name;
};
constexpr Class table[] = {
    {2, "aeroplane"}, {9, "bag"},        {18, "bed"},     {19, "bedclothes"}, {22, "bench"},
    {23, "bicycle"},  {25, "bird"},      {31, "boat"},    {33, "book"},       {34, "bottle"},
    {44, "building"}, {45, "bus"},       {46, "cabinet"}, {59, "car"},        {65, "cat"},
    {68, "ceiling"},  {72, "chair"},     {80, "cloth"},   {85, "computer"},   {98, "cow"},
    {104, "cup"},     {105, "curtain"},  {113, "dog"},    {115, "door"},      {144, "fence"},
    {158, "floor"},   {159, "flower"},   {162, "food"},   {187, "grass"},     {189, "ground"},
    {207, "horse"},   {220, "keyboard"}, {232, "light"},  {258, "motorbike"}, {259, "mountain"},
    {260, "mouse"},   {284, "person"},   {295, "plate"},  {296, "platform"},  {308, "pottedplant"},
    {324, "road"},    {326, "rock"},     {347, "sheep"},  {349, "shelves"},   {354, "sidewalk"},
    {355, "sign"},    {360, "sky"},      {366, "snow"},   {368, "sofa"},      {397, "table"},
    {415, "track"},   {416, "train"},    {420, "tree"},   {424, "truck"},     {427, "tvmonitor"},
    {440, "wall"},    {445, "water"},    {454, "window"}, {458, "wood"}};

// Each of the raw numbers 0 to 459: a class, or `rest`.
std::string raw_map(int64_t first_class, const std::string& rest) {
  std::string map;
  size_t next = 0;
  for (int raw = 0; raw <= raw_labels; ++raw) {
    const bool is_class = next < std::size(table) && table[next].raw == raw;
    map += fmt::format("{}{}:{}", raw ? "," : "", raw,
                       is_class ? std::to_string(first_class + static_cast<int64_t>(next)) : rest);
    next += is_class;
  }
  return map;
}

std::vector<ClassInfo> context_classes(bool with_background) {
  std::vector<ClassInfo> classes;
  if (with_background) classes.push_back({"background", {0, 0, 0}});
  for (const Class& c : table)
    classes.push_back({c.name, default_color(static_cast<int64_t>(classes.size()) + !with_background)});
  return classes;
}

SplitPlan plan_context(const DataOptions& options, const std::string& split, bool with_background) {
  const path base = files::find_base(options.root, bases, "JPEGImages");
  const path root = options.root;
  // The authors' archive has the raw labels in trainval/; PNG files with 0 to 59 have mmsegmentation's
  // layout.
  const bool is_png = files::fs::is_directory(root / base / "SegmentationClassContext");
  path labels = base / (is_png ? "SegmentationClassContext" : "trainval");
  if (!is_png && !files::fs::is_directory(root / labels)) labels = "trainval";
  ATROUS_CHECK(
      files::fs::is_directory(root / labels), ErrorKind::data,
      "[data.root] the labels must lie in SegmentationClassContext (PNG, 0 to 59) or trainval (the 459 raw "
      "labels as .mat or 16-bit PNG). Got neither in {}. Unpack the annotations there.",
      (root / base).string());
  const bool is_mat = !is_png && files::stems_in(root / labels, ".png").empty();

  path list = base / "ImageSets/SegmentationContext" / list_name(options, split);
  if (!files::fs::is_regular_file(root / list) &&
      files::fs::is_regular_file(root / base / list_name(options, split)))
    list = base / list_name(options, split);
  SplitPlan plan =
      plan_voc_list(options, list, {base / "JPEGImages", labels, is_mat ? ".mat" : ".png"}, true);
  plan.global_ids = true;
  plan.wide_labels = !is_png;
  plan.classes = context_classes(with_background);
  const int64_t first_class = with_background ? 1 : 0;
  const std::string rest = with_background ? "0" : "ignore";
  plan.label_map = is_png ? fmt::format("0:{},1-59:{}", rest, first_class) : raw_map(first_class, rest);
  return plan;
}

}  // namespace

std::vector<ClassInfo> pascal_context59_classes() {
  return context_classes(false);
}
std::vector<ClassInfo> pascal_context60_classes() {
  return context_classes(true);
}

SplitPlan plan_pascal_context59(const DataOptions& options, const std::string& split) {
  return plan_context(options, split, false);
}

SplitPlan plan_pascal_context60(const DataOptions& options, const std::string& split) {
  return plan_context(options, split, true);
}

}  // namespace atrous::data
