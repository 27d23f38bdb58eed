#include "data/class_match.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace atrous::data {
namespace {

// The name that the data set's files use.
const std::string& key_of(const ClassInfo& c) {
  return c.set_name.empty() ? c.name : c.set_name;
}

bool is_skipped(const ClassList& list, size_t k) {
  return list.objects && (k == 0 || key_of(list.classes[k]) == "N/A");
}

int64_t number_of(const ClassList& list, size_t k) {
  return list.numbers.empty() ? static_cast<int64_t>(k) : list.numbers[k];
}

// The generated name of a category that has none in its file.
bool is_id_name(const std::string& name) {
  constexpr std::string_view start = "category ";
  return name.size() > start.size() && name.starts_with(start) &&
         std::all_of(name.begin() + start.size(), name.end(),
                     [](unsigned char c) { return std::isdigit(c); });
}

bool is_generated(const ClassList& list, size_t k) {
  const std::string& name = key_of(list.classes[k]);
  return name.empty() || name == fmt::format("class{}", number_of(list, k)) || is_id_name(name);
}

template <class Test>
bool all_classes(const ClassList& list, Test&& test) {
  bool any = false;
  for (size_t k = 0; k < list.classes.size(); ++k) {
    if (is_skipped(list, k)) continue;
    if (!test(k)) return false;
    any = true;
  }
  return any;
}

bool has_id_names(const ClassList& list) {
  return all_classes(list, [&](size_t k) { return is_id_name(key_of(list.classes[k])); });
}

// Without the differences in spelling that are common: case, blanks, dashes.
std::string plain(const std::string& name) {
  std::string out;
  for (const unsigned char c : name) {
    if (std::isalnum(c) || c >= 0x80) out += static_cast<char>(std::tolower(c));
  }
  return out;
}

std::string escaped(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// Suggested entries of the class map: names that differ in spelling alone are paired, others are
// ignored, but never all classes of a list.
std::string suggestion(const std::vector<std::string>& theirs, std::vector<std::string> ours, bool any_left) {
  constexpr size_t most = 5, shortest_typo = 4;
  std::vector<std::string> entries;
  bool any_similar = false;
  for (size_t i = 0; i < std::min(theirs.size(), most); ++i) {
    const std::string& name = theirs[i];
    std::string meant;
    for (const std::string& other : ours) {
      if (meant.empty() && !plain(name).empty() && plain(other) == plain(name)) meant = other;
    }
    if (meant.empty() && name.size() >= shortest_typo) meant = nearest_word(name, ours);
    std::erase(ours, meant);
    any_similar |= !meant.empty();
    entries.push_back(escaped(name) + ":" + (meant.empty() ? "ignore" : escaped(meant)));
  }
  const char* more = theirs.size() > most ? ",..." : "";
  if (any_left || any_similar) return fmt::format("{}{}", fmt::join(entries, ","), more);
  entries.clear();
  for (size_t i = 0; i < std::min(theirs.size(), most); ++i) entries.push_back(escaped(theirs[i]) + ":NAME");
  return fmt::format("{}{} with names of the second column", fmt::join(entries, ","), more);
}

class Matcher {
 public:
  Matcher(const ClassList& theirs, const ClassList& ours) : theirs_(theirs), ours_(ours) {
    for (size_t k = 0; k < ours.classes.size(); ++k) {
      if (is_skipped(ours, k)) continue;
      by_name_[ours.classes[k].name].push_back(k);
      if (key_of(ours.classes[k]) != ours.classes[k].name) by_key_[key_of(ours.classes[k])].push_back(k);
    }
  }

  // Labels in `theirs` whose names are not in `ours`.
  std::vector<size_t> strangers() const {
    std::vector<size_t> out;
    for (size_t k = 0; k < theirs_.classes.size(); ++k) {
      const std::string& name = key_of(theirs_.classes[k]);
      if (!is_skipped(theirs_, k) && !by_name_.contains(name) && !by_key_.contains(name)) out.push_back(k);
    }
    return out;
  }
  std::vector<std::string> stranger_names() const {
    std::vector<std::string> out;
    for (const size_t k : strangers()) out.push_back(key_of(theirs_.classes[k]));
    return out;
  }
  bool knows_all() const { return strangers().empty(); }

  // Whether a name in `theirs` has another number in `ours`.
  bool contradicts_numbers() const {
    for (size_t k = 0; k < theirs_.classes.size(); ++k) {
      if (is_skipped(theirs_, k) || is_generated(theirs_, k)) continue;
      const auto found = by_name_.find(key_of(theirs_.classes[k]));
      const auto same = [&](size_t label) { return number_of(ours_, label) == number_of(theirs_, k); };
      if (found != by_name_.end() && std::ranges::none_of(found->second, same)) return true;
    }
    return false;
  }

  ClassMatch match(const std::string& option, const std::string& advice) {
    ClassMatch out;
    out.by_name = true;
    out.classes = ours_.classes;
    out.labels.assign(theirs_.classes.size(), no_class);
    used_.assign(ours_.classes.size(), false);
    std::vector<std::string> strangers, missing;
    int64_t matched = 0, moved = 0;
    for (size_t k = 0; k < theirs_.classes.size(); ++k) {
      if (theirs_.objects && k == 0) out.labels[k] = 0;
      if (is_skipped(theirs_, k)) continue;
      const int64_t label = find(k);
      if (label == no_class) strangers.push_back(key_of(theirs_.classes[k]));
      if (label == no_class) continue;
      out.labels[k] = label;
      used_[static_cast<size_t>(label)] = true;
      ++matched;
      moved += number_of(theirs_, k) != number_of(ours_, static_cast<size_t>(label));
    }
    for (size_t k = 0; k < ours_.classes.size(); ++k) {
      if (!is_skipped(ours_, k) && !used_[k]) missing.push_back(ours_.classes[k].name);
    }
    if (!strangers.empty()) refuse(out, strangers, missing, option, advice);
    if (moved > 0)
      out.notes.push_back(fmt::format(
          "note: classes: {} of {} have another number in {} than in {}; they are matched by name", moved,
          matched, theirs_.what, ours_.what));
    if (!missing.empty())
      out.notes.push_back(fmt::format("note: classes: {} has no {}, which {} has", theirs_.what,
                                      listed(missing), ours_.what));
    return out;
  }

 private:
  int64_t find(size_t k) const {
    const std::string& name = key_of(theirs_.classes[k]);
    auto found = by_key_.find(name);
    if (found == by_key_.end()) {
      found = by_name_.find(name);
      if (found == by_name_.end()) return no_class;
    }
    const std::vector<size_t>& labels = found->second;
    if (labels.size() > 1 && are_the_same()) return static_cast<int64_t>(k);
    ATROUS_CHECK(
        labels.size() == 1, ErrorKind::data,
        "[classes] names must differ where two lists of classes are matched. Got \"{}\" {} times in {}. "
        "Rename the classes.",
        name, labels.size(), ours_.what);
    return static_cast<int64_t>(labels.front());
  }

  // Lists with duplicate names match if they are identical.
  bool are_the_same() const { return std::ranges::equal(theirs_.classes, ours_.classes, {}, key_of, key_of); }

  [[noreturn]] void refuse(const ClassMatch& match, const std::vector<std::string>& strangers,
                           const std::vector<std::string>& missing, const std::string& option,
                           const std::string& advice) const {
    std::vector<std::pair<std::string, std::string>> rows = {{theirs_.what, ours_.what}};
    for (const std::string& name : strangers) rows.emplace_back(name, "-");
    for (const std::string& name : missing) rows.emplace_back("-", name);
    constexpr size_t most = 60;
    const size_t differing = rows.size() - 1;
    bool any_matched = false;
    for (size_t k = 0; k < match.labels.size(); ++k) {
      if (match.labels[k] == no_class || is_skipped(theirs_, k)) continue;
      rows.emplace_back(key_of(theirs_.classes[k]), ours_.classes[static_cast<size_t>(match.labels[k])].name);
      any_matched = true;
    }
    size_t width = 0;
    for (size_t i = 0; i < std::min(rows.size(), most); ++i) width = std::max(width, rows[i].first.size());
    std::string table;
    for (size_t i = 0; i < std::min(rows.size(), most); ++i)
      table += fmt::format("\n  {:<{}}  {}", rows[i].first, width, rows[i].second);
    if (rows.size() > most) table += fmt::format("\n  ... and {} more", rows.size() - most);
    fail(ErrorKind::data,
         "[classes] every class of {} must be one of {}: classes are matched by name, order and numbers do "
         "not matter. Got {} that {} not: {}. {} differ:{}\nSay which class each one is, or that it is "
         "ignored, in {}, for example {}={}{}{}",
         theirs_.what, ours_.what, strangers.size(), strangers.size() == 1 ? "is" : "are", listed(strangers),
         differing, table, option, option, suggestion(strangers, missing, any_matched),
         advice.empty() ? "" : "\n", advice);
  }

  const ClassList& theirs_;
  const ClassList& ours_;
  std::map<std::string, std::vector<size_t>> by_name_, by_key_;
  std::vector<bool> used_;
};

// Whether classes of a data set without names have names that a user gave them.
bool has_given_names(const ClassList& list) {
  return !has_names(list) && !all_classes(list, [&](size_t k) {
    return list.classes[k].set_name.empty() || list.classes[k].set_name == list.classes[k].name;
  });
}

// Both sides have numbers only.
ClassMatch match_numbers(const ClassList& theirs, const ClassList& ours) {
  ClassMatch out;
  const bool they_have = has_names(theirs), we_have = has_names(ours);
  out.classes = we_have || (!they_have && has_given_names(ours)) ? ours.classes : theirs.classes;
  for (size_t k = 0; k < theirs.classes.size(); ++k) {
    if (ours.numbers.empty()) {
      out.labels.push_back(theirs.objects && is_skipped(theirs, k) && k > 0 ? no_class
                                                                            : static_cast<int64_t>(k));
      continue;
    }
    const auto at = std::find(ours.numbers.begin(), ours.numbers.end(), number_of(theirs, k));
    out.labels.push_back(at == ours.numbers.end() ? no_class : at - ours.numbers.begin());
  }
  if (they_have != we_have) {
    const ClassList& bare = they_have ? ours : theirs;
    out.notes.push_back(fmt::format(
        "note: classes: {} has no class names{}, so its classes are matched with those of {} by number. "
        "Check that they are the same",
        bare.what, has_given_names(bare) ? " but those of data.class_names" : "",
        (they_have ? theirs : ours).what));
  }
  return out;
}

}  // namespace

ClassMap::ClassMap(const std::vector<std::string>& entries, std::string where) : where_(std::move(where)) {
  for (const std::string& text : entries) {
    const auto bad = [&](const char* why) {
      fail(ErrorKind::config,
           "[{}] entries are `theirs:ours` or `theirs:ignore`, with the name of the data set first. Got "
           "`{}`: {}.",
           where_, text, why);
    };
    std::vector<std::string> names(1);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) {
        names.back() += text[++i];
      } else if (text[i] == ':') {
        names.emplace_back();
      } else {
        names.back() += text[i];
      }
    }
    if (names.size() != 2)
      bad(names.size() < 2 ? "there is no colon" : "write a colon within a name as `\\:`");
    if (names[0].empty() || names[1].empty()) bad("a name is missing");
    if (find(names[0])) bad("this class was given before");
    entries_.push_back({names[0], names[1] == "ignore" ? "" : names[1]});
  }
}

const ClassMap::Entry* ClassMap::find(const std::string& name) const {
  for (const Entry& e : entries_) {
    if (e.from == name) return &e;
  }
  return nullptr;
}

bool ClassMap::keeps(const std::string& name) const {
  const Entry* entry = find(name);
  return entry && entry->to == name;
}

ClassMatch ClassMap::apply(const ClassList& list) const {
  ClassMatch out;
  std::map<std::string, int64_t> label_of;
  std::set<const Entry*> used;
  std::set<std::string> targets;
  for (const Entry& e : entries_) targets.insert(e.to);
  std::vector<std::string> renamed, ignored, unused;
  for (size_t k = 0; k < list.classes.size(); ++k) {
    ClassInfo info = list.classes[k];
    const bool skipped = is_skipped(list, k);
    const Entry* entry = skipped ? nullptr : find(key_of(info));
    if (entry) {
      used.insert(entry);
      (entry->to.empty() ? ignored : renamed)
          .push_back(entry->to.empty() ? entry->from : entry->from + "\" as \"" + entry->to);
      info.name = entry->to.empty() ? "N/A" : entry->to;
      info.set_name.clear();
    }
    // Classes are merged only where the map says so: a set may have two of one name.
    const auto same = label_of.find(key_of(info));
    const bool left_out = entry && entry->to.empty();
    if (!left_out && !skipped && same != label_of.end() && targets.contains(key_of(info))) {
      out.labels.push_back(same->second);
      continue;
    }
    if (left_out) {
      out.labels.push_back(no_class);
      continue;
    }
    const auto label = static_cast<int64_t>(out.classes.size());
    out.labels.push_back(skipped && k > 0 ? no_class : label);
    if (!skipped) label_of.emplace(key_of(info), label);
    out.classes.push_back(std::move(info));
  }
  for (const Entry& e : entries_) {
    if (!used.contains(&e)) unused.push_back(e.from);
  }
  if (!renamed.empty())
    out.notes.push_back(fmt::format("note: classes: {} takes {} in {}", where_, listed(renamed), list.what));
  if (!ignored.empty())
    out.notes.push_back(
        fmt::format("note: classes: {} ignores {} in {}", where_, listed(ignored), list.what));
  if (!unused.empty())
    out.notes.push_back(
        fmt::format("note: classes: {} has no {}, which {} names", list.what, listed(unused), where_));
  return out;
}

bool has_names(const ClassList& list) {
  for (size_t k = 0; k < list.classes.size(); ++k) {
    if (!is_skipped(list, k) && !is_generated(list, k)) return true;
  }
  return false;
}

bool share_names(const ClassList& theirs, const ClassList& ours) {
  const bool they_have = has_names(theirs), we_have = has_names(ours);
  if ((they_have && we_have) || (has_id_names(theirs) && has_id_names(ours))) return true;
  if (!they_have && !we_have) return false;
  const Matcher matcher(theirs, ours);
  return matcher.knows_all() || matcher.contradicts_numbers();
}

std::vector<size_t> strangers(const ClassList& theirs, const ClassList& ours) {
  return Matcher(theirs, ours).strangers();
}

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t most = 10;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    out += fmt::format("{}\"{}\"", i ? ", " : "", names[i]);
  return names.size() > most ? out + fmt::format(" and {} more", names.size() - most) : out;
}

bool same_names(const ClassList& theirs, const ClassList& ours) {
  return Matcher(theirs, ours).knows_all() && Matcher(ours, theirs).knows_all();
}

std::string difference(const ClassList& theirs, const ClassList& ours) {
  const std::vector<std::string> here = Matcher(theirs, ours).stranger_names(),
                                 there = Matcher(ours, theirs).stranger_names();
  return fmt::format(
      "note: classes: {} and {} have different classes. Only the first has {}; only the second has {}",
      theirs.what, ours.what, here.empty() ? "none" : listed(here), there.empty() ? "none" : listed(there));
}

ClassMatch match_classes(const ClassList& theirs, const ClassList& ours, const std::string& option,
                         const std::string& advice) {
  return share_names(theirs, ours) ? Matcher(theirs, ours).match(option, advice)
                                   : match_numbers(theirs, ours);
}

void rename_classes(std::vector<ClassInfo>& classes, const std::vector<std::string>& names) {
  for (size_t k = 0; k < std::min(classes.size(), names.size()); ++k) {
    if (classes[k].name == names[k]) continue;
    const bool generated = classes[k].name == fmt::format("class{}", k) || is_id_name(classes[k].name);
    classes[k].set_name = generated ? "" : key_of(classes[k]);
    classes[k].name = names[k];
  }
}

}  // namespace atrous::data
