#include "data/sets/coco_classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "data/coco_categories.h"
#include "data/list_dataset.h"

namespace atrous::data {
namespace {

// The classes of one file by the numbers of that file.
struct OwnLabels {
  ClassList list;
  std::vector<int64_t> label_of;  // by category
  std::vector<std::string> notes;
  std::string problem;  // of raw ids, if this file's numbers are kept
  std::string counted;  // the origin of the categories, for messages
  int64_t categories = 0;
  int64_t raw_classes = 0;  // with `raw`; 0: not possible, or not known
};

std::string split_name(const std::string& split, const std::string& path) {
  return fmt::format("the {} split ({})", split, path);
}

OwnLabels own_labels(const std::vector<CocoCategory>& categories, const std::string& path,
                     const DataOptions& options, const std::string& split) {
  ATROUS_CHECK(!categories.empty(), ErrorKind::data,
               "[{}] there must be a category. The list \"categories\" is empty.", path);
  const int64_t first = categories.front().id, last = categories.back().id;
  const bool as_they_are = options.category_ids == CategoryIds::raw, can_be = first >= 1 && last < 65536;
  const bool raw = as_they_are && can_be;
  OwnLabels own{.list = {.what = split_name(split, path), .classes = {}, .objects = true, .numbers = {}},
                .label_of = {},
                .notes = {},
                .problem = {},
                .counted = path,
                .categories = static_cast<int64_t>(categories.size()),
                .raw_classes = can_be ? last + 1 : 0};
  if (as_they_are && !can_be)
    own.problem = fmt::format(
        "[data.category_ids] `raw` needs category ids from 1 (0 is background) to 65535. Got {} to {} in {}. "
        "Set data.category_ids=contiguous.",
        first, last, path);
  own.list.classes.assign(1 + (raw ? static_cast<size_t>(last) : categories.size()), {"N/A", {0, 0, 0}, {}});
  own.list.classes[0].name = "background";
  for (const CocoCategory& c : categories) {
    const int64_t label = raw ? c.id : static_cast<int64_t>(own.label_of.size()) + 1;
    own.list.classes[static_cast<size_t>(label)] = {c.name, default_color(label), {}};
    own.label_of.push_back(label);
  }
  return own;
}

// Appends the categories of another split that `all` lacks. Raw ids stay as they are where no other class has
// them; other categories follow.
void add_categories(OwnLabels& all, const OwnLabels& split, const DataOptions& options) {
  if (!share_names(split.list, all.list)) return;
  const std::vector<size_t> added = strangers(split.list, all.list);
  if (added.empty()) return;
  std::vector<ClassInfo>& classes = all.list.classes;
  const bool raw = options.category_ids == CategoryIds::raw && split.problem.empty();
  const auto add = [&](size_t k, size_t label) {
    if (label >= classes.size()) classes.resize(label + 1, {"N/A", {0, 0, 0}, {}});
    classes[label] = {split.list.classes[k].name, default_color(static_cast<int64_t>(label)), {}};
  };
  std::vector<size_t> last;
  for (const size_t k : added) {
    const bool is_free = k >= classes.size() || classes[k].name == "N/A";
    if (raw && is_free) {
      add(k, k);
    } else {
      last.push_back(k);
    }
  }
  for (const size_t k : last) add(k, classes.size());
  all.categories += static_cast<int64_t>(added.size());
  all.raw_classes = raw ? std::ssize(classes) : 0;
  all.list.what = fmt::format("the data set ({})", options.root);
  all.counted = "all splits of " + options.root;
}

// The numbers of one split. Empty if its file cannot be read, which becomes a note, or has no categories.
std::optional<OwnLabels> read_split(const SplitFile& file, const LabelQuestion& q,
                                    std::vector<std::string>& notes) {
  CocoAnnotations other{.path = file.path, .images = {}, .categories = {}, .annotations = {}};
  try {
    other.categories = read_coco_categories(file.path);
    if (other.categories.empty() && file.split != "train") return std::nullopt;
    apply_class_map(other, ClassMap(q.options.class_map), "");
    return own_labels(other.categories, file.path, q.options, file.split);
  } catch (const Error& error) {
    notes.push_back(fmt::format("note: classes: the categories of the {} split are not counted: {}",
                                file.split, error.what()));
    return std::nullopt;
  }
}

// The classes of all splits: those of the training split first, then further classes of the others.
struct Together {
  std::optional<OwnLabels> all;
  std::optional<OwnLabels> fitting;  // of as many splits as model.num_classes has room for
};

Together classes_of_splits(const OwnLabels& own, const std::string& path, const LabelQuestion& q,
                           std::vector<std::string>& notes) {
  Together together;
  for (const SplitFile& file : q.splits) {
    std::optional<OwnLabels> split = file.path == path ? own : read_split(file, q, notes);
    if (!split) continue;
    if (together.all) {
      add_categories(*together.all, *split, q.options);
      if (q.num_classes != 0 && std::ssize(together.all->list.classes) > q.num_classes) continue;
    } else {
      together.all = std::move(split);
    }
    together.fitting = together.all;
  }
  return together;
}

std::string count_advice(const OwnLabels& all) {
  return fmt::format("To count them as classes of the network, set model.num_classes={}.",
                     all.list.classes.size());
}

// From here on the labels are those of `classes`.
ClassMatch take_over(OwnLabels& own, const ClassList& classes, const std::string& advice = "") {
  ClassMatch match = match_classes(own.list, classes, "data.class_map", advice);
  own.notes.insert(own.notes.end(), match.notes.begin(), match.notes.end());
  if (!match.by_name) return match;
  for (int64_t& label : own.label_of) label = match.labels[static_cast<size_t>(label)];
  own.list.classes = match.classes;
  return match;
}

// The numbers that the splits have together; the file's own if they cannot be matched. Returns how many
// classes model.num_classes must count.
int64_t number_by_splits(OwnLabels& own, const std::string& path, const LabelQuestion& q) {
  const Together splits = classes_of_splits(own, path, q, own.notes);
  if (splits.all) {
    const OwnLabels& fitting = *splits.fitting;
    if (take_over(own, fitting.list, q.classes ? "" : count_advice(*splits.all)).by_name) {
      own.problem = fitting.problem;
      own.counted = splits.all->counted;
      own.categories = splits.all->categories;
      own.raw_classes = splits.all->raw_classes;
      return std::ssize(splits.all->list.classes);
    }
  }
  return std::ssize(own.list.classes);
}

void check_count(OwnLabels& own, const LabelQuestion& q, int64_t all) {
  ATROUS_CHECK(own.problem.empty(), ErrorKind::config, "{}", own.problem);
  const bool raw = q.options.category_ids == CategoryIds::raw;
  const auto needed = static_cast<int64_t>(own.list.classes.size());
  const int64_t other = raw ? own.categories + 1 : own.raw_classes;
  ATROUS_CHECK(
      q.num_classes == 0 || q.num_classes == needed || (raw && q.num_classes > needed), ErrorKind::config,
      "[model.num_classes] must be {} with background for the {} categories of {} (data.category_ids={}{}). "
      "Got {}. Set model.num_classes={}.",
      all, own.categories, own.counted, q.options.category_ids,
      other > 0 && other != all ? fmt::format("; {} would need {}", raw ? "contiguous" : "raw", other) : "",
      q.num_classes, all);
  own.list.classes.resize(static_cast<size_t>(std::max(needed, q.num_classes)), {"N/A", {0, 0, 0}, {}});
}

// One category for each label, under the label's name.
void apply_labels(CocoAnnotations& all, CategoryLabels& out) {
  out.category_ids.assign(out.classes.size(), -1);
  out.category_ids[0] = 0;
  std::vector<int64_t> first(out.classes.size(), -1);  // category by label
  for (size_t i = 0; i < all.categories.size(); ++i) {
    const auto label = static_cast<size_t>(out.label_of[i]);
    const ClassInfo& info = out.classes[label];
    const std::string& name = all.categories[i].name;
    if (first[label] < 0 || name == info.name || name == info.set_name)
      first[label] = static_cast<int64_t>(i);
  }
  for (CocoAnnotation& a : all.annotations)
    a.category = first[static_cast<size_t>(out.label_of[static_cast<size_t>(a.category)])];
  for (size_t label = 1; label < first.size(); ++label) {
    if (first[label] < 0) continue;
    CocoCategory& category = all.categories[static_cast<size_t>(first[label])];
    out.category_ids[label] = category.id;
    category.name = out.classes[label].name;
  }
}

}  // namespace

CategoryLabels label_categories(CocoAnnotations& all, const LabelQuestion& q) {
  const std::vector<std::string> renamed =
      apply_class_map(all, ClassMap(q.options.class_map), split_name(q.split, all.path));
  OwnLabels own = own_labels(all.categories, all.path, q.options, q.split);
  own.notes = renamed;
  const bool own_numbers = q.classes && q.classes->classes.empty();
  bool named_by_model = own_numbers;
  if (q.classes && share_names(own.list, *q.classes)) {
    std::string advice;
    if (q.classes->can_grow && !strangers(own.list, *q.classes).empty()) {
      const Together splits = classes_of_splits(own, all.path, q, own.notes);
      if (splits.all) advice = count_advice(*splits.all);
    }
    take_over(own, *q.classes, advice);
    named_by_model = true;
  } else {
    const int64_t together = own_numbers ? std::ssize(own.list.classes) : number_by_splits(own, all.path, q);
    check_count(own, q, together);
    if (q.classes && !own_numbers) {
      const ClassMatch match = take_over(own, *q.classes);
      named_by_model = has_names(*q.classes);
      if (named_by_model) own.list.classes = match.classes;
    }
  }
  if (!named_by_model) {
    const size_t count = own.list.classes.size();
    ATROUS_CHECK(q.options.class_names.empty() || q.options.class_names.size() == count, ErrorKind::config,
                 "[data.class_names] must name every class, background first. Got {} names for {} classes.",
                 q.options.class_names.size(), count);
    rename_classes(own.list.classes, q.options.class_names);
  }
  CategoryLabels out{.classes = std::move(own.list.classes),
                     .category_ids = {},
                     .label_of = std::move(own.label_of),
                     .notes = std::move(own.notes)};
  apply_labels(all, out);
  return out;
}

}  // namespace atrous::data
