#include "data/sets/coco_classes.h"

#include <fmt/format.h>

#include <algorithm>

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
  std::string problem;  // of raw ids, if the numbers of this file are to count
  int64_t categories = 0, last_id = 0;
};

std::string split_name(const std::string& split, const std::string& path) {
  return fmt::format("the {} split ({})", split, path);
}

OwnLabels own_labels(const std::vector<CocoCategory>& categories, const std::string& path,
                     const DataOptions& options, const std::string& split) {
  ATROUS_CHECK(!categories.empty(), ErrorKind::data,
               "[{}] there must be a category. The list \"categories\" is empty.", path);
  const int64_t first = categories.front().id, last = categories.back().id;
  const bool as_they_are = options.category_ids == "raw", can_be = first >= 1 && last < 65536;
  const bool raw = as_they_are && can_be;
  OwnLabels own{.list = {.what = split_name(split, path), .classes = {}, .objects = true, .numbers = {}},
                .label_of = {},
                .notes = {},
                .problem = {},
                .categories = static_cast<int64_t>(categories.size()),
                .last_id = last};
  if (as_they_are && !can_be)
    own.problem = fmt::format(
        "[data.category_ids] `raw` needs category ids from 1 (0 is background) to 65535. Got {} to {} in {}. "
        "Set "
        "data.category_ids=contiguous.",
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

// From here on the labels are those of `classes`.
ClassMatch take_over(OwnLabels& own, const ClassList& classes) {
  ClassMatch match = match_classes(own.list, classes);
  own.notes.insert(own.notes.end(), match.notes.begin(), match.notes.end());
  if (!match.by_name) return match;
  for (int64_t& label : own.label_of) label = match.labels[static_cast<size_t>(label)];
  own.list.classes = match.classes;
  return match;
}

void check_count(OwnLabels& own, const LabelQuestion& q, const std::string& path) {
  ATROUS_CHECK(own.problem.empty(), ErrorKind::config, "{}", own.problem);
  const bool raw = q.options.category_ids == "raw";
  const auto needed = static_cast<int64_t>(own.list.classes.size());
  ATROUS_CHECK(
      q.num_classes == 0 || q.num_classes == needed || (raw && q.num_classes > needed), ErrorKind::config,
      "[model.num_classes] must be {} with background for the {} categories of {} (data.category_ids={}{}). "
      "Got {}. Set model.num_classes={}.",
      needed, own.categories, path, q.options.category_ids,
      own.last_id != own.categories ? fmt::format("; {} would need {}", raw ? "contiguous" : "raw",
                                                  raw ? own.categories + 1 : own.last_id + 1)
                                    : "",
      q.num_classes, needed);
  own.list.classes.resize(static_cast<size_t>(std::max(needed, q.num_classes)), {"N/A", {0, 0, 0}, {}});
}

// The training split's numbers for another split; its own if they cannot be known.
std::string adopt_training_numbers(OwnLabels& own, const LabelQuestion& q) {
  CocoAnnotations other{.path = q.train_file, .images = {}, .categories = {}, .annotations = {}};
  try {
    other.categories = read_coco_categories(q.train_file);
    ATROUS_CHECK(!other.categories.empty(), ErrorKind::data, "[{}] there are no categories.", q.train_file);
  } catch (const Error& error) {
    own.notes.push_back(
        fmt::format("note: classes: the training split cannot be read, so the {} split's own numbers "
                    "are used: {}",
                    q.split, error.what()));
    return "";
  }
  apply_class_map(other, ClassMap(q.options.class_map), "");
  const OwnLabels training = own_labels(other.categories, q.train_file, q.options, "train");
  const ClassMatch match = take_over(own, training.list);
  if (!match.by_name) return "";
  own.problem = training.problem;
  own.categories = training.categories;
  own.last_id = training.last_id;
  return q.train_file;
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
    take_over(own, *q.classes);
    named_by_model = true;
  } else {
    std::string counted = all.path;
    if (q.split != "train" && !q.train_file.empty() && q.train_file != all.path && !own_numbers) {
      if (const std::string train = adopt_training_numbers(own, q); !train.empty()) counted = train;
    }
    check_count(own, q, counted);
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
