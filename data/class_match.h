// Matches the classes of two lists: by name, never by number.
//
// Two lists are matched whenever data of one origin are used with data of another: the validation split
// with the training split, a data set with a checkpoint, results with annotations. Order, ids and label
// values may differ between them; names define the classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace atrous::data {

// The classes of labels, by label.
struct ClassList {
  std::string what;  // whose classes, for messages: "the val split (val.json)"
  std::vector<ClassInfo> classes;
  // Labels of objects: 0 is background, and "N/A" is a gap between raw ids. Neither is matched.
  bool objects = false;
  std::vector<int64_t> numbers = {};  // for generated names ("class3"); empty: 0, 1, 2, ...
  // True for the training split of a network that is not trained yet: classes may be added.
  bool can_grow = false;
};

inline constexpr int64_t no_class = -1;

struct ClassMatch {
  std::vector<int64_t> labels;     // by label of the first list: that of the second, or no_class
  std::vector<ClassInfo> classes;  // by label of the second list
  std::vector<std::string> notes;  // notes for users, one line each
  bool by_name = false;            // match_classes(): both lists have names
};

// `data.class_map`: "theirs:ours" maps a class of the data set to the model's name, "theirs:ignore" leaves
// it out. A colon or backslash in a name is written with a backslash before it.
class ClassMap {
 public:
  ClassMap() = default;
  // `where` is the option's name. Error(config) for an entry without a name on either side, or a class named
  // twice.
  explicit ClassMap(const std::vector<std::string>& entries, std::string where = "data.class_map");

  bool empty() const { return entries_.empty(); }
  const std::string& where() const { return where_; }
  // The list with the map's names: classes of one name become one class, the others are renumbered in their
  // order.
  ClassMatch apply(const ClassList& list) const;
  // Whether an entry maps the name to itself.
  bool keeps(const std::string& name) const;

 private:
  struct Entry {
    std::string from, to;  // to is empty: left out
  };
  const Entry* find(const std::string& name) const;
  std::vector<Entry> entries_;
  std::string where_ = "data.class_map";
};

// Whether the classes have real names; otherwise they are "class0", "class1", ... or "category 7".
bool has_names(const ClassList& list);

// Whether the lists can be matched by name: both have names. A list with names that only the user gave
// is matched by name if these are those of the other list, or have other numbers there.
bool share_names(const ClassList& theirs, const ClassList& ours);

// Labels in `theirs` whose names are not in `ours`.
std::vector<size_t> strangers(const ClassList& theirs, const ClassList& ours);

// Up to ten names, quoted.
std::string listed(const std::vector<std::string>& names);

// Whether the lists have the same names, in any order.
bool same_names(const ClassList& theirs, const ClassList& ours);
// A line that lists the names that only one of the lists has.
std::string difference(const ClassList& theirs, const ClassList& ours);

// The labels of `ours` for those of `theirs`. Every class of theirs must be one of ours: Error(data) prints
// both lists, entries for `option`, the class map, and `advice`, another remedy. A class of ours that theirs
// lack is a note. If only one list has names, labels stay as they are, with a note, and `classes` are those
// with names; the caller compares the numbers of classes.
ClassMatch match_classes(const ClassList& theirs, const ClassList& ours,
                         const std::string& option = "data.class_map", const std::string& advice = "");

// Names that the user gives to the classes, by label (`data.class_names`); the set's own stay known for
// matching.
void rename_classes(std::vector<ClassInfo>& classes, const std::vector<std::string>& names);

}  // namespace atrous::data
