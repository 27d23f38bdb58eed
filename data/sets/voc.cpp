// PASCAL VOC 2012 and its training set extended by SBD (Hariharan et al., ICCV 2011), on which every network
// since DeepLab v1 is trained.
#include "data/sets/voc.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "data/faults.h"
#include "data/sets/files.h"
#include "data/sets/sets.h"

namespace atrous::data {

using files::fs::path;

namespace {

constexpr const char* bases[] = {"", "VOC2012", "VOCdevkit/VOC2012"};
constexpr const char* sbd_bases[] = {"sbd", "SBD", "sbd/benchmark_RELEASE/dataset",
                                     "SBD/benchmark_RELEASE/dataset", "benchmark_RELEASE/dataset"};

constexpr const char* class_names[] = {
    "background", "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",
    "car",        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",
    "motorbike",  "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};

SplitPlan voc_plan() {
  SplitPlan plan;
  plan.classes = voc2012_classes();
  plan.label_map = "0-20:0,255:ignore";
  plan.global_ids = true;
  return plan;
}

bool is_file(const DataOptions& options, const path& relative) {
  return files::fs::is_regular_file(path(options.root) / relative);
}

// SBD's folder with img/, cls/, train.txt and val.txt, relative to the root; empty if it does not exist.
path find_sbd(const DataOptions& options) {
  for (const char* candidate : sbd_bases) {
    if (files::fs::is_directory(path(options.root) / candidate / "cls")) return candidate;
  }
  return {};
}

// The list of the extended training set: the configured one, else the usual names. Empty: none.
path find_aug_list(const DataOptions& options, const path& base) {
  std::vector<path> candidates;
  if (options.train_list != DataOptions{}.train_list) {
    candidates = {base / "ImageSets/Segmentation" / options.train_list, path(options.train_list)};
  } else {
    for (const char* name :
         {"ImageSets/Segmentation/trainaug.txt", "ImageSets/Segmentation/train_aug.txt",
          "ImageSets/SegmentationAug/train_aug.txt", "list/train_aug.txt", "train_aug.txt"})
      candidates.push_back(base / name);
  }
  for (const path& list : candidates) {
    if (is_file(options, list)) return list;
  }
  ATROUS_CHECK(options.train_list == DataOptions{}.train_list, ErrorKind::data,
               "[data.train_list] the list must lie in ImageSets/Segmentation or below the root. Got {}, "
               "which is in neither of {} and {}.",
               options.train_list, candidates[0].parent_path().string(), options.root);
  return {};
}

// Both of SBD's splits and VOC's training images, without VOC's validation images: 10,582 of the full sets.
std::vector<ListEntry> union_of_lists(const DataOptions& options, const path& base, const path& sbd,
                                      const std::unordered_map<std::string, int64_t>& val,
                                      std::vector<std::string>& faults) {
  std::vector<ListEntry> entries;
  std::unordered_set<std::string> seen;
  for (const path& list : {base / "ImageSets/Segmentation/train.txt", sbd / "train.txt", sbd / "val.txt"}) {
    for (ListEntry& e : files::read_ids(path(options.root) / list, &faults)) {
      if (!val.contains(e.id) && seen.insert(e.id).second) entries.push_back(std::move(e));
    }
  }
  return entries;
}

// VOC's own label where there is one: unlike SBD's it marks the borders of objects as void.
void find_files(const DataOptions& options, const path& base, const path& sbd, ListEntry& e) {
  const path own = base / "SegmentationClass" / (e.id + ".png");
  const path aug = base / "SegmentationClassAug" / (e.id + ".png");
  const path mat = sbd / "cls" / (e.id + ".mat");
  e.label = is_file(options, own) ? own : !sbd.empty() && is_file(options, mat) ? mat : aug;
  const path image = base / "JPEGImages" / (e.id + ".jpg");
  const path sbd_image = sbd / "img" / (e.id + ".jpg");
  e.image = sbd.empty() || is_file(options, image) ? image : sbd_image;
}

}  // namespace

SplitPlan plan_voc_list(const DataOptions& options, const path& list, const VocFolders& folders,
                        bool has_labels) {
  SplitPlan plan;
  if (!is_file(options, list)) {
    plan.missing = files::not_there(path(options.root) / list);
    return plan;
  }
  plan.entries = files::read_ids(path(options.root) / list, &plan.faults);
  for (ListEntry& e : plan.entries) {
    e.image = (folders.images / (e.id + ".jpg")).string();
    if (has_labels) e.label = (folders.labels / (e.id + folders.label_suffix)).string();
  }
  return plan;
}

std::vector<ClassInfo> voc2012_classes() {
  return files::classes_of(class_names, 0);
}

SplitPlan plan_voc2012(const DataOptions& options, const std::string& split) {
  const path base = files::find_base(options.root, bases, "JPEGImages");
  const VocFolders folders{base / "JPEGImages", base / "SegmentationClass", ".png"};
  SplitPlan listed = plan_voc_list(options, base / "ImageSets/Segmentation" / list_name(options, split),
                                   folders, split != "test");
  SplitPlan plan = voc_plan();
  plan.missing = listed.missing;
  plan.faults = std::move(listed.faults);
  plan.entries = std::move(listed.entries);
  return plan;
}

SplitPlan plan_voc2012_aug(const DataOptions& options, const std::string& split) {
  if (split != "train") return plan_voc2012(options, split);
  const path base = files::find_base(options.root, bases, "JPEGImages");
  const path sbd = find_sbd(options);
  const path list = find_aug_list(options, base);
  SplitPlan plan = voc_plan();
  if (list.empty() && sbd.empty()) {
    plan.missing = fmt::format(
        "{} has neither a list of the extended training set (ImageSets/Segmentation/trainaug.txt) nor SBD's "
        "folder (sbd/ with cls/, train.txt and val.txt)",
        options.root);
    return plan;
  }
  const path val_list = base / "ImageSets/Segmentation" / options.val_list;
  ATROUS_CHECK(
      is_file(options, val_list), ErrorKind::data,
      "[data] VOC's validation list must be there, to keep its images out of training. Got no {} in {}.",
      val_list.string(), options.root);
  std::unordered_map<std::string, int64_t> val;
  std::vector<std::string> unsaid;  // opening the validation split reports what is wrong with its list
  for (const ListEntry& e : files::read_ids(path(options.root) / val_list, &unsaid))
    val.emplace(e.id, e.line);
  plan.entries = list.empty() ? union_of_lists(options, base, sbd, val, plan.faults)
                              : files::read_ids(path(options.root) / list, &plan.faults);
  const internal::Faults sink(&plan.faults);
  std::erase_if(plan.entries, [&](const ListEntry& e) {
    return !sink.attempt([&] {
      ATROUS_CHECK(
          !val.contains(e.id), ErrorKind::data,
          "[{}:{}] no image of VOC's validation list may be trained on (SBD's own lists hold many). Got {}, "
          "which is line {} of {}. Use a trainaug list, or delete the list and give SBD's folder: atrous "
          "then takes out these images itself.",
          (path(options.root) / list).string(), e.line, e.id, val.at(e.id), val_list.string());
    });
  });
  for (ListEntry& e : plan.entries) find_files(options, base, sbd, e);
  return plan;
}

}  // namespace atrous::data
