// Class maps as text ("theirs:ours"), and classes matched by name.
#include <algorithm>

#include "data/class_match.h"
#include "harness.h"

using namespace atrous;
using data::ClassList;
using data::ClassMatch;

namespace {

ClassList take_list(fuzz::Input& input, const char* what, uint8_t count, bool objects) {
  ClassList list{.what = what, .classes = {}, .objects = objects};
  if (objects) list.classes.push_back({"background"});
  for (int i = 0; i < count; ++i) list.classes.push_back({input.take_text()});
  return list;
}

void check_labels(const ClassMatch& match, const ClassList& theirs) {
  fuzz::require(match.labels.size() == theirs.classes.size(), "every class has a label or none");
  for (const int64_t label : match.labels)
    fuzz::require(
        label == data::no_class || (label >= 0 && label < static_cast<int64_t>(match.classes.size())),
        "a label is one of the classes");
}

void check_matched(const ClassList& theirs, const ClassList& ours) {
  fuzz::accepts({ErrorKind::data}, [&] {
    const ClassMatch match = data::match_classes(theirs, ours);
    if (!match.by_name) return;
    check_labels(match, theirs);
    for (size_t k = theirs.objects; k < match.labels.size(); ++k) {
      if (match.labels[k] == data::no_class) continue;
      const std::string& name = ours.classes[static_cast<size_t>(match.labels[k])].name;
      fuzz::require(name == theirs.classes[k].name,
                    "classes of one name are matched, whatever their numbers");
    }
    fuzz::require(
        std::count(match.labels.begin(), match.labels.end(), data::no_class) ==
            std::count_if(theirs.classes.begin(), theirs.classes.end(),
                          [&](const data::ClassInfo& c) { return theirs.objects && c.name == "N/A"; }),
        "a class that has no match is refused");
  });
}

}  // namespace

// A byte of choices, the numbers of entries and of classes on both sides, then their texts, with zero bytes
// between them.
FUZZ_HARNESS(class_map, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  const auto number = [&] { return static_cast<uint8_t>(input.take<uint8_t>() % 20); };
  const uint8_t count = number(), theirs_count = number(), ours_count = number();
  std::vector<std::string> entries;
  for (int i = 0; i < count; ++i) entries.push_back(input.take_text());
  const ClassList theirs = take_list(input, "theirs", theirs_count, choice & 1);
  const ClassList ours = take_list(input, "ours", ours_count, choice & 1);
  check_matched(theirs, ours);
  fuzz::accepts({ErrorKind::config}, [&] {
    const data::ClassMap map(entries);
    fuzz::require(map.empty() == entries.empty(), "no entry is lost");
    const ClassMatch renamed = map.apply(theirs);
    check_labels(renamed, theirs);
    ClassList after = theirs;
    after.classes = renamed.classes;
    check_matched(after, ours);
  });
}
