#include "data/coco_categories.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text.h"
#include "data/coco_fields.h"
#include "data/coco_records.h"

namespace atrous::data {
namespace {

ClassList list_of(const std::vector<CocoCategory>& categories, const std::string& what) {
  ClassList list{.what = what, .classes = {}, .numbers = {}};
  for (const CocoCategory& c : categories) {
    list.classes.push_back({c.name, {}, {}});
    list.numbers.push_back(c.id);
  }
  return list;
}

void sort_categories(std::vector<CocoCategory>& categories, const std::string& path) {
  std::ranges::stable_sort(categories, {}, &CocoCategory::id);
  for (size_t i = 1; i < categories.size(); ++i) {
    ATROUS_CHECK(categories[i].id != categories[i - 1].id, ErrorKind::data,
                 "[{}] ids of categories must be unique. Duplicate id {}.", path, categories[i].id);
  }
}

int64_t place_of(const std::vector<CocoCategory>& categories, int64_t id) {
  const auto at = std::ranges::lower_bound(categories, id, {}, &CocoCategory::id);
  return at == categories.end() || at->id != id ? -1 : at - categories.begin();
}

// The index among the annotated categories of each of `found`, by names if both have them; -1: not annotated.
std::vector<int64_t> annotated_places(const std::vector<CocoCategory>& found,
                                      const CocoAnnotations& annotations, const std::string& path,
                                      const ClassMap* map, std::vector<std::string>& notes) {
  std::vector<int64_t> places(found.size(), -1);
  if (found.empty()) return places;
  const ClassList all = list_of(annotations.categories, annotations.path), theirs = list_of(found, path);
  std::vector<CocoCategory> known = annotations.categories;
  std::vector<std::string> never_found;
  if (share_names(all, theirs)) {
    const bool may_be_meant = !strangers(theirs, all).empty();
    for (const size_t k : strangers(all, theirs)) {
      const CocoCategory& category = annotations.categories[k];
      if (may_be_meant && !(map && map->keeps(category.name))) continue;
      never_found.push_back(category.name);
      std::erase_if(known, [&](const CocoCategory& c) { return c.id == category.id; });
    }
  }
  if (!never_found.empty())
    notes.push_back(fmt::format("note: classes: {} has no {}, which {} has: scored as never detected", path,
                                listed(never_found), annotations.path));
  if (known.empty()) return places;
  const ClassMatch match = match_classes(
      list_of(known, annotations.path), theirs, "--class-map",
      "An entry NAME:NAME says that the results lack this class, which is then scored as never detected.");
  for (size_t i = 0; i < match.labels.size(); ++i) {
    if (match.labels[i] != no_class)
      places[static_cast<size_t>(match.labels[i])] = place_of(annotations.categories, known[i].id);
  }
  notes.insert(notes.end(), match.notes.begin(), match.notes.end());
  return places;
}

}  // namespace

std::vector<CocoCategory> read_coco_categories(const std::string& path, const CocoLimits& limits) {
  std::vector<CocoCategory> categories;
  internal::read_records(path, limits,
                         {{"categories", [&](const internal::Json& r, const std::string& where) {
                             ATROUS_CHECK(static_cast<int64_t>(categories.size()) < limits.max_categories,
                                          ErrorKind::data,
                                          "[{}] a file may have at most {} categories. It has more.", path,
                                          limits.max_categories);
                             internal::Oddities odd;
                             categories.push_back(internal::read_category(r, where, odd));
                           }}});
  sort_categories(categories, path);
  return categories;
}

std::vector<std::string> apply_class_map(CocoAnnotations& all, const ClassMap& map, const std::string& what) {
  if (map.empty()) return {};
  ClassMatch groups = map.apply(list_of(all.categories, what));
  ATROUS_CHECK(!groups.classes.empty(), ErrorKind::config, "[{}] ignores every class. Keep at least one.",
               map.where());
  std::vector<size_t> kept(groups.classes.size(), all.categories.size());  // category of each group
  for (size_t i = 0; i < all.categories.size(); ++i) {
    if (groups.labels[i] == no_class) continue;
    const auto g = static_cast<size_t>(groups.labels[i]);
    if (kept[g] == all.categories.size() || all.categories[i].name == groups.classes[g].name) kept[g] = i;
  }
  std::vector<CocoCategory> categories;
  for (size_t g = 0; g < kept.size(); ++g)
    categories.push_back({all.categories[kept[g]].id, groups.classes[g].name});
  sort_categories(categories, all.path);
  std::vector<int64_t> place;  // in the new list, by category
  for (const int64_t g : groups.labels)
    place.push_back(g == no_class ? -1
                                  : place_of(categories, all.categories[kept[static_cast<size_t>(g)]].id));
  const size_t before = all.annotations.size();
  for (CocoAnnotation& a : all.annotations) a.category = place[static_cast<size_t>(a.category)];
  std::erase_if(all.annotations, [](const CocoAnnotation& a) { return a.category < 0; });
  all.categories = std::move(categories);
  const auto left_out = static_cast<int64_t>(before - all.annotations.size());
  if (left_out > 0)
    groups.notes.push_back(fmt::format("note: classes: {} of ignored classes {} left out of {}",
                                       counted(left_out, "object"), left_out == 1 ? "is" : "are", what));
  return std::move(groups.notes);
}

std::vector<std::string> resolve_categories(std::vector<CocoResult>& results,
                                            const std::vector<CocoCategory>& categories,
                                            const CocoAnnotations& annotations, const std::string& path,
                                            const ClassMap* map) {
  const auto unknown = [&](size_t i, int64_t id, size_t count, const std::string& file) {
    fail(ErrorKind::data,
         "[{}: result {}] \"category_id\" must be one of the {} categories of {}. Got {}. Are these class "
         "numbers instead of the category ids?",
         path, i, count, file, id);
  };
  if (categories.empty()) {
    for (size_t i = 0; i < results.size(); ++i) {
      const int64_t at = annotations.find_category(results[i].category);
      if (at < 0) unknown(i, results[i].category, annotations.categories.size(), annotations.path);
      results[i].category = at;
    }
    return {};
  }
  std::vector<CocoCategory> sorted = categories;
  sort_categories(sorted, path);
  std::vector<CocoCategory> named;  // without the gaps between raw labels
  std::ranges::copy_if(sorted, std::back_inserter(named), [](const auto& c) { return c.name != "N/A"; });
  std::vector<std::string> notes;
  const std::vector<int64_t> annotated = annotated_places(named, annotations, path, map, notes);
  int64_t left_out = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    if (place_of(sorted, results[i].category) < 0) unknown(i, results[i].category, sorted.size(), path);
    const int64_t at = place_of(named, results[i].category);
    results[i].category = at < 0 ? -1 : annotated[static_cast<size_t>(at)];
    left_out += results[i].category < 0;
  }
  if (left_out > 0) {
    const bool one = left_out == 1;
    notes.push_back(fmt::format("note: classes: {} {} that {} does not have, and {} not scored",
                                counted(left_out, "result"), one ? "is of a class" : "are of classes",
                                annotations.path, one ? "is" : "are"));
  }
  return notes;
}

}  // namespace atrous::data
