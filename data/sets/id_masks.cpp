// Sets whose masks are pictures of numbers: 0 is background, every other value one object (Penn-Fudan,
// nuclei). All objects are of one class, and none overlap.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/parallel.h"
#include "data/sets/coco_classes.h"
#include "data/sets/files.h"
#include "data/sets/instance_sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

// One pass for the windows of all objects, one over each window for its pixels: hundreds of nuclei cost no
// more than two readings of the picture.
template <class T>
std::map<int64_t, Mask> masks_in(const T* ids, int64_t height, int64_t width, const std::string& file) {
  struct Window {
    int64_t left, top, right, bottom;
  };
  std::vector<Window> windows(size_t{1} << 16, Window{width, height, 0, 0});
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      Window& w = windows[static_cast<size_t>(ids[y * width + x])];
      w = {std::min(w.left, x), std::min(w.top, y), std::max(w.right, x + 1), y + 1};
    }
  }
  int64_t objects = 0, pixels = 0;
  for (size_t id = 1; id < windows.size(); ++id) {
    const Window& w = windows[id];
    if (w.right == 0) continue;
    ++objects;
    pixels += (w.right - w.left) * (w.bottom - w.top);
  }
  ATROUS_CHECK(pixels <= max_window_pixels, ErrorKind::data,
               "[mask {}] the boxes around the objects of an image may have at most {} pixels together. Got "
               "{} in {} objects. Is each value one object?",
               file, max_window_pixels, pixels, objects);
  std::map<int64_t, Mask> masks;
  for (size_t id = 1; id < windows.size(); ++id) {
    const Window& w = windows[id];
    if (w.right == 0) continue;
    Mask& mask = masks[static_cast<int64_t>(id)];
    mask = {.x0 = w.left, .y0 = w.top, .width = w.right - w.left, .height = w.bottom - w.top};
    mask.pixels.reserve(static_cast<size_t>(mask.width * mask.height));
    for (int64_t y = w.top; y < w.bottom; ++y) {
      for (int64_t x = w.left; x < w.right; ++x)
        mask.pixels.push_back(static_cast<size_t>(ids[y * width + x]) == id);
    }
  }
  return masks;
}

class IdMasks final : public InstanceFiles {
 public:
  IdMasks(Parts parts, int64_t label) : InstanceFiles(std::move(parts)), label_(label) {}

  int64_t image_id(int64_t index) const override { return index + 1; }

  CocoAnnotations annotations() const override {
    std::vector<Instances> objects(static_cast<size_t>(size()));
    parallel_for(size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) objects[static_cast<size_t>(i)] = instances(i);
    });
    CocoAnnotations all{.path = parts_.root,
                        .images = {},
                        .categories = {{1, parts_.classes[static_cast<size_t>(label_)].name}},
                        .annotations = {}};
    for (int64_t i = 0; i < size(); ++i) {
      const Instances& o = objects[static_cast<size_t>(i)];
      all.images.push_back({image_id(i), entry(i).image, o.height, o.width});
      for (size_t k = 0; k < o.masks.size(); ++k) {
        CocoAnnotation& a = all.annotations.emplace_back();
        a.id = o.ids[k];
        a.image = i;
        a.has_box = true;
        a.mask = rle_of(o.masks[k], o.height, o.width);
        a.box = rle_box(a.mask);
        a.area = o.areas[k];
      }
    }
    return all;
  }

  Instances boxes(int64_t index) const override {
    Instances out = instances(index);
    out.masks.clear();
    return out;
  }

  Instances instances(int64_t index) const override {
    const std::string file = path_of(entry(index).label);
    ATROUS_CHECK(!entry(index).label.empty(), ErrorKind::data,
                 "[data] {} has no mask in the {} list. Add it.", entry(index).image, parts_.split);
    const LabelFile label = read_label_file(file, parts_.image.limits, parts_.image.apply_exif);
    ATROUS_CHECK(
        !label.is_rgb, ErrorKind::data,
        "[mask {}] values must be numbers of objects, in one channel of 8 or 16 bits. Got RGB colours. "
        "Convert the mask.",
        file);
    const Tensor& ids = label.values;
    const std::map<int64_t, Mask> masks = ids.dtype() == DType::u8
                                              ? masks_in(ids.data<uint8_t>(), ids.dim(0), ids.dim(1), file)
                                              : masks_in(ids.data<int32_t>(), ids.dim(0), ids.dim(1), file);
    ATROUS_CHECK(!(masks.size() == 1 && masks.begin()->first == 255), ErrorKind::data,
                 "[mask {}] every object needs its own number. Got only 0 and 255, which do not distinguish "
                 "objects. Number the objects, or use the masks as labels of a semantic set.",
                 file);
    Instances out{.height = ids.dim(0), .width = ids.dim(1)};
    out.boxes = Tensor::empty({static_cast<int64_t>(masks.size()), 4});
    int64_t i = 0;
    for (const auto& [id, mask] : masks) {
      // Smallest and largest pixel of the mask, the edges of those pixels included.
      const auto bounds = mask.bounds();
      for (size_t k = 0; k < 4; ++k) out.box(i)[k] = static_cast<float>(bounds[k]);
      out.labels.push_back(static_cast<int32_t>(label_));
      out.crowd.push_back(0);
      out.ids.push_back(id_mask_object(image_id(index), id));
      out.areas.push_back(static_cast<double>(mask.area()));
      out.masks.push_back(mask);
      ++i;
    }
    return out;
  }

 private:
  int64_t label_;  // of all objects
};

constexpr const char* bases[] = {"", "PennFudanPed"};

// 50 of the 170 images are for validation, as in PyTorch's tutorial. There it is a random draw; here the last
// 5 of every 17 file names from either city, because neighbours often show the same scene.
bool is_validation(const std::vector<ListEntry>& all, size_t i) {
  const auto place = [&](size_t k) { return all[k].id.substr(0, all[k].id.find("Ped")); };
  const auto same = [&](const ListEntry& e) { return e.id.substr(0, e.id.find("Ped")) == place(i); };
  const auto count = static_cast<double>(std::count_if(all.begin(), all.end(), same));
  const auto later =
      static_cast<double>(std::count_if(all.begin() + static_cast<int64_t>(i) + 1, all.end(), same));
  return later < std::round(count * 5 / 17);
}

}  // namespace

SplitPlan plan_pennfudan(const DataOptions& options, const std::string& split) {
  const path root(options.root);
  const bool published = std::any_of(std::begin(bases), std::end(bases), [&](const char* base) {
    return files::fs::is_directory(root / base / "PNGImages");
  });
  if (!published) return plan_list(options, split);
  SplitPlan plan;
  if (split == "test") {
    plan.missing = "Penn-Fudan has no test split";
    return plan;
  }
  const path base = files::find_base(options.root, bases, "PNGImages");
  const std::vector<ListEntry> all =
      files::pair_folders(options.root, {base / "PNGImages", ".png", base / "PedMasks", "_mask.png"});
  for (size_t i = 0; i < all.size(); ++i) {
    if (is_validation(all, i) == (split == "val")) plan.entries.push_back(all[i]);
  }
  if (plan.entries.empty()) plan.missing = fmt::format("{} images are too few for two splits", all.size());
  return plan;
}

std::unique_ptr<InstanceDataset> open_id_masks(const InstanceSet& set, const DataOptions& options,
                                               const std::string& split, int64_t in_channels,
                                               const ClassList* classes, std::vector<std::string>* faults) {
  InstanceFiles::Parts parts = instance_parts(options, split, in_channels);
  parts.check_files = faults == nullptr;
  SplitPlan plan = checked_plan(set.plan, options, split, faults);
  parts.entries = std::move(plan.entries);
  parts.notes = std::move(plan.notes);
  // The files name no class, so the user's name replaces the set's.
  DataOptions naming = options;
  naming.category_ids = CategoryIds::contiguous;
  naming.class_names.clear();
  ATROUS_CHECK(options.class_names.empty() || options.class_names.size() == 2 || classes, ErrorKind::config,
               "[data.class_names] must name background and the objects. Got {} names.",
               options.class_names.size());
  const bool named = options.class_names.size() == 2;
  CocoAnnotations one{.path = options.root,
                      .images = {},
                      .categories = {{1, named ? options.class_names[1] : set.object}},
                      .annotations = {}};
  CategoryLabels labels =
      label_categories(one, {.options = naming, .split = split, .num_classes = 0, .classes = classes});
  if (!classes || !has_names(*classes)) {
    if (named) labels.classes[0].name = options.class_names[0];
    labels.classes[1].color = {220, 20, 60};
  }
  parts.classes = std::move(labels.classes);
  parts.category_ids = std::move(labels.category_ids);
  parts.notes.insert(parts.notes.end(), labels.notes.begin(), labels.notes.end());
  return std::make_unique<IdMasks>(std::move(parts), labels.label_of[0]);
}

}  // namespace atrous::data
