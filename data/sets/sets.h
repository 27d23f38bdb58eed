// The data sets that are known by name: where their files lie, what their label values mean, and the names of
// their classes.
//
// A set is a function that describes one split, and a row in the table of sets.cpp. Its result is
// plain data: everything after that (label map, checks, decoding) is the same for all sets.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/list_dataset.h"

namespace atrous::data {

struct SplitPlan {
  // Why the split does not exist, for example "train.txt does not exist"; empty if it does. If not empty, the
  // other members are meaningless.
  std::string missing = {};
  // Errors in lines of its lists; the entries lack these lines. checked_plan() throws them.
  std::vector<std::string> faults = {};
  std::vector<ListEntry> entries = {};  // paths relative to the root
  std::vector<ClassInfo> classes = {};  // empty: as many as the model has, without names
  std::string label_map = {};           // text form of label_map.h; empty: identity
  int64_t in_channels = 3;
  bool wide_labels = false;  // label values may exceed 255
  // An id means one image in all splits. Otherwise the path of an image does.
  bool global_ids = false;
  // Files of the folders that were left out, a line for people; empty: none.
  std::string left_out = {};
  // Assumptions, lines for people.
  std::vector<std::string> notes = {};
  // Checks the values in a label file for errors that a label map cannot express. Empty, or the error and the
  // remedy.
  std::function<std::string(const LabelFile&)> objection = {};
};

// split: "train", "val" or "test". Error(data) if files of an existing split contradict each other.
using PlanFunction = SplitPlan (*)(const DataOptions& options, const std::string& split);

struct NamedSet {
  std::string name;     // data.dataset
  std::string summary;  // one line for help texts
  PlanFunction plan;
  bool takes_lists = false;  // data.train_list, val_list, test_list name its lists
  // The classes of published sets whose models are shared; null: known from the files of the set.
  std::vector<ClassInfo> (*classes)() = nullptr;
};

// "train", "val" or "test"; Error(usage).
void check_split(const std::string& split);
// data.root must be given and exist.
void check_root(const DataOptions& options);

// The note where train and val share images and data.allow_overlap admits it.
std::string overlap_note(int64_t shared, int64_t images);

// The note where a fault of the training split's files prevents comparing it with validation.
std::string overlap_unknown_note();

// The plan of a split that must exist. Error(data) also for an id that occurs twice and for an image that
// train and val share. With `faults`, these errors and those of lines of lists are added to them, and the
// entries left out; images that train and val share stay.
SplitPlan checked_plan(PlanFunction plan, const DataOptions& options, const std::string& split,
                       std::vector<std::string>* faults = nullptr);

// The classes by label, as label map, class map and class_names of the options have them. Error(config).
std::vector<ClassInfo> set_classes(const DataOptions& options, const SplitPlan& plan);

const std::vector<NamedSet>& named_sets();
std::vector<std::string> set_names();
// Whether the set uses data.train_list, val_list and test_list.
bool takes_lists(const std::string& set);
// The names of the classes of a set, also without its files; empty if unknown. `class_names`
// take precedence.
std::vector<ClassInfo> class_table(const DataOptions& options);

std::vector<ClassInfo> voc2012_classes();
std::vector<ClassInfo> pascal_context59_classes();
std::vector<ClassInfo> pascal_context60_classes();
std::vector<ClassInfo> cityscapes_classes();
std::vector<ClassInfo> ade20k_classes();
std::vector<ClassInfo> cocostuff171_classes();
std::vector<ClassInfo> cocostuff182_classes();

// One function per row; families of sets share a file.
SplitPlan plan_list(const DataOptions&, const std::string& split);
SplitPlan plan_shapes(const DataOptions&, const std::string& split);
SplitPlan plan_isbi2012(const DataOptions&, const std::string& split);
SplitPlan plan_crackforest(const DataOptions&, const std::string& split);
SplitPlan plan_pennfudan_person(const DataOptions&, const std::string& split);
SplitPlan plan_camvid(const DataOptions&, const std::string& split);
SplitPlan plan_camvid32(const DataOptions&, const std::string& split);
SplitPlan plan_voc2012(const DataOptions&, const std::string& split);
SplitPlan plan_voc2012_aug(const DataOptions&, const std::string& split);
SplitPlan plan_pascal_context59(const DataOptions&, const std::string& split);
SplitPlan plan_pascal_context60(const DataOptions&, const std::string& split);
SplitPlan plan_cityscapes(const DataOptions&, const std::string& split);
SplitPlan plan_ade20k(const DataOptions&, const std::string& split);
SplitPlan plan_cocostuff171(const DataOptions&, const std::string& split);
SplitPlan plan_cocostuff182(const DataOptions&, const std::string& split);
SplitPlan plan_oxford_pets(const DataOptions&, const std::string& split);
SplitPlan plan_oxford_pets_binary(const DataOptions&, const std::string& split);
SplitPlan plan_loveda(const DataOptions&, const std::string& split);

}  // namespace atrous::data
