#include "data/label_map.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace atrous::data {
namespace {

uint32_t key_of(const Color& c) {
  return uint32_t{c[0]} << 16 | uint32_t{c[1]} << 8 | c[2];
}

std::optional<int64_t> parse_number(std::string_view text, int base = 10) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// The advice for a value without a class, from the other values in the file.
std::string remedy(const std::set<int64_t>& values, int64_t num_classes) {
  const int64_t largest = *values.rbegin();
  const bool has_zero = values.contains(0);
  if (values == std::set<int64_t>{0, 255} && num_classes == 2) {
    return "It is a mask of 0 and 255: set data.label_map=0:0,255:1";
  }
  if (!has_zero && *values.begin() >= 1 && largest == num_classes) {
    return fmt::format("Values start at 1: if 0 means unlabelled, set data.label_map=0:ignore,1-{}:0",
                       num_classes);
  }
  if (largest == num_classes) {
    return fmt::format(
        "If {0} means unlabelled, set data.label_map=0-{1}:0,{0}:ignore; if it is a class, set "
        "model.num_classes={2}",
        num_classes, num_classes - 1, num_classes + 1);
  }
  return "Give every value a class or `ignore` in data.label_map, or set data.map_unknown_to_ignore=true";
}

std::string list_values(const std::set<int64_t>& values) {
  std::string out;
  int shown = 0;
  for (int64_t v : values) {
    if (++shown > 12) return out + ", ...";
    out += (out.empty() ? "" : ", ") + std::to_string(v);
  }
  return out;
}

}  // namespace

std::string hex(const Color& c) {
  return fmt::format("#{:02x}{:02x}{:02x}", c[0], c[1], c[2]);
}

LabelMap LabelMap::identity(int64_t num_classes) {
  ATROUS_CHECK(num_classes >= 1 && num_classes <= ignore_label, ErrorKind::config,
               "[data.label_map] a label map has 1 to 255 classes. Got {}.", num_classes);
  LabelMap map(num_classes);
  for (int64_t k = 0; k < num_classes; ++k) map.values_[static_cast<size_t>(k)] = static_cast<int16_t>(k);
  map.values_[ignore_label] = ignore_label;
  return map;
}

void LabelMap::add(const std::string& entry) {
  const auto bad = [&](std::string_view why) {
    fail(ErrorKind::config,
         "[data.label_map] entries are `value:class`, `first-last:class` (counts up), `first-last:=class` "
         "(all are that class), `#rrggbb:class` or `...:ignore`. Got `{}`: {}.",
         entry, why);
  };
  const size_t colon = entry.find(':');
  if (colon == std::string::npos) bad("there is no colon");
  const std::string_view key = trim(std::string_view(entry).substr(0, colon));
  std::string_view target = trim(std::string_view(entry).substr(colon + 1));
  const bool constant = target.starts_with('=');
  if (constant) target = trim(target.substr(1));
  const bool ignored = target == "ignore";
  const std::optional<int64_t> label = ignored ? int64_t{ignore_label} : parse_number(target);
  if (!label) bad("the class is neither a number nor `ignore`");
  const auto checked = [&](int64_t k) {
    if (!ignored && k >= num_classes_) {
      bad(fmt::format("class {} does not exist, the model has {} (0 to {})", k, num_classes_,
                      num_classes_ - 1));
    }
    return static_cast<int16_t>(k);
  };
  if (constant && (ignored || key.starts_with('#'))) bad("`=` is for the class of a range of values");
  if (key.starts_with('#')) {
    const auto color = key.size() == 7 ? parse_number(key.substr(1), 16) : std::nullopt;
    if (!color) bad("the colour is not #rrggbb");
    if (!colors_.emplace(static_cast<uint32_t>(*color), checked(*label)).second)
      bad("this colour was given before");
    return;
  }
  const size_t dash = key.find('-');
  const auto first = parse_number(key.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_number(key.substr(dash + 1));
  if (!first || !last || *last < *first || *last > 65535)
    bad("the value is not a number or range within 0 to 65535");
  for (int64_t v = *first; v <= *last; ++v) {
    int16_t& slot = values_[static_cast<size_t>(v)];
    if (slot != unknown) bad(fmt::format("value {} was given before", v));
    slot = checked(ignored || constant ? *label : *label + v - *first);
  }
}

LabelMap LabelMap::parse(const std::string& text, int64_t num_classes) {
  if (trim(text) == "identity") return identity(num_classes);
  ATROUS_CHECK(num_classes >= 1 && num_classes <= ignore_label, ErrorKind::config,
               "[data.label_map] a label map has 1 to 255 classes. Got {}.", num_classes);
  LabelMap map(num_classes);
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    map.add(std::string(trim(std::string_view(text).substr(at, comma - at))));
    at = comma + 1;
  }
  const bool has_values =
      std::any_of(map.values_.begin(), map.values_.end(), [](int16_t v) { return v != unknown; });
  ATROUS_CHECK(!has_values || map.colors_.empty(), ErrorKind::config,
               "[data.label_map] a map holds values or colours, not both. Got `{}`.", text);
  return map;
}

int16_t LabelMap::lookup(int64_t value) const {
  return value >= 0 && value < 65536 ? values_[static_cast<size_t>(value)] : unknown;
}

int16_t LabelMap::lookup(const Color& color) const {
  const auto found = colors_.find(key_of(color));
  return found == colors_.end() ? unknown : found->second;
}

bool LabelMap::has_class(int64_t label) const {
  const auto same = [&](int16_t l) { return l == label; };
  return std::any_of(values_.begin(), values_.end(), same) ||
         std::any_of(colors_.begin(), colors_.end(), [&](const auto& c) { return same(c.second); });
}

LabelMap LabelMap::relabelled(const std::vector<int64_t>& labels, int64_t num_classes) const {
  ATROUS_CHECK(num_classes >= 1 && num_classes <= ignore_label, ErrorKind::config,
               "[data.label_map] a label map has 1 to 255 classes. Got {}.", num_classes);
  LabelMap out = *this;
  out.num_classes_ = num_classes;
  const auto change = [&](int16_t& label) {
    if (label == unknown || label == ignore_label) return;
    const int64_t now = labels.at(static_cast<size_t>(label));
    label = now < 0 ? int16_t{ignore_label} : static_cast<int16_t>(now);
  };
  for (int16_t& label : out.values_) change(label);
  for (auto& [color, label] : out.colors_) change(label);
  return out;
}

std::set<int64_t> LabelMap::classes_in(const LabelMap& source, int64_t label) const {
  std::set<int64_t> out;
  const auto add = [&](int16_t own, int16_t theirs) {
    if (own == label && theirs != unknown && theirs != ignore_label) out.insert(theirs);
  };
  for (size_t v = 0; v < values_.size(); ++v) add(values_[v], source.values_[v]);
  for (const auto& [key, own] : colors_) {
    const auto found = source.colors_.find(key);
    if (found != source.colors_.end()) add(own, found->second);
  }
  return out;
}

Tensor LabelMap::apply(const LabelFile& file, const std::string& path, bool unknown_to_ignore) const {
  ATROUS_CHECK(
      uses_colors() || !file.is_rgb, ErrorKind::data,
      "[label {}] labels must hold class indices. Got colours ({}). Set data.label_map to a table of colours "
      "such as `#{:02x}{:02x}{:02x}:0,...`, or save the indices as a grey or palette PNG.",
      path, file.format, file.values.data<uint8_t>()[0], file.values.data<uint8_t>()[1],
      file.values.data<uint8_t>()[2]);
  ATROUS_CHECK(!uses_colors() || file.is_rgb, ErrorKind::data,
               "[label {}] data.label_map lists colours, so labels must be RGB. Got {}. Give the map as "
               "`value:class` instead.",
               path, file.format);
  return uses_colors() ? apply_colors(file, path, unknown_to_ignore)
                       : apply_indices(file, path, unknown_to_ignore);
}

Tensor LabelMap::apply_indices(const LabelFile& file, const std::string& path, bool unknown_to_ignore) const {
  Tensor out = Tensor::empty(file.values.shape(), DType::u8);
  uint8_t* target = out.data<uint8_t>();
  const int64_t n = out.numel();
  int64_t first_bad = -1;
  const auto convert = [&](const auto* source) {
    for (int64_t i = 0; i < n; ++i) {
      const int16_t label = lookup(source[i]);
      if (label == unknown && first_bad < 0) first_bad = i;
      target[i] = label == unknown ? ignore_label : static_cast<uint8_t>(label);
    }
    if (first_bad < 0 || unknown_to_ignore) return;
    std::set<int64_t> values, strangers;
    for (int64_t i = 0; i < n; ++i) values.insert(source[i]);
    for (int64_t v : values) {
      if (lookup(v) == unknown) strangers.insert(v);
    }
    const int64_t width = out.dim(1);
    fail(ErrorKind::data,
         "[label {}] every value needs a class. Got value {} at x={} y={}, which the label map for {} "
         "classes does not have (without a class here: {}; in the file: {}). {}.",
         path, source[first_bad], first_bad % width, first_bad / width, num_classes_, list_values(strangers),
         list_values(values), remedy(values, num_classes_));
  };
  if (file.values.dtype() == DType::u8) {
    convert(file.values.data<uint8_t>());
  } else {
    convert(file.values.data<int32_t>());
  }
  return out;
}

Tensor LabelMap::apply_colors(const LabelFile& file, const std::string& path, bool unknown_to_ignore) const {
  const int64_t height = file.values.dim(0), width = file.values.dim(1);
  Tensor out = Tensor::empty({height, width}, DType::u8);
  const uint8_t* source = file.values.data<uint8_t>();
  // Neighbours mostly share a colour: one map search per run. Counts only grow in files that are wrong.
  struct Stranger {
    int64_t count = 0, first = 0;
  };
  std::map<uint32_t, Stranger> strangers;
  uint32_t previous = ~0u;
  int16_t label = unknown;
  for (int64_t i = 0; i < out.numel(); ++i, source += 3) {
    const Color color{source[0], source[1], source[2]};
    if (key_of(color) != previous) {
      previous = key_of(color);
      label = lookup(color);
    }
    if (label == unknown && !unknown_to_ignore) {
      Stranger& s = strangers[previous];
      if (s.count++ == 0) s.first = i;
    }
    out.data<uint8_t>()[i] = label == unknown ? ignore_label : static_cast<uint8_t>(label);
  }
  if (strangers.empty()) return out;
  std::vector<std::pair<uint32_t, Stranger>> sorted(strangers.begin(), strangers.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(sorted.size(), 8); ++i) {
    const auto& [key, s] = sorted[i];
    list += fmt::format("{}#{:06x} x {} (first at x={} y={})", i ? ", " : "", key, s.count, s.first % width,
                        s.first / width);
  }
  fail(ErrorKind::data,
       "[label {}] every colour must be in data.label_map. Got {} colours that are not: {}{}. Add them as "
       "`#rrggbb:class` or `#rrggbb:ignore`, or set data.map_unknown_to_ignore=true.",
       path, sorted.size(), list, sorted.size() > 8 ? ", ..." : "");
}

std::string LabelMap::describe(const std::vector<ClassInfo>& classes) const {
  const auto name = [&](int16_t label) {
    if (label == ignore_label) return std::string("ignore");
    const auto k = static_cast<size_t>(label);
    return k < classes.size() ? classes[k].name : std::to_string(label);
  };
  std::string out;
  for (const auto& [key, label] : colors_)
    out += fmt::format("{}#{:06x}:{}", out.empty() ? "" : " ", key, name(label));
  for (size_t v = 0; v < values_.size(); ++v) {
    if (values_[v] == unknown) continue;
    size_t last = v;
    while (last + 1 < values_.size() && values_[last + 1] == values_[v]) ++last;
    // As entries are written: without "=", a range of classes counts up.
    const bool counts_up = last == v || values_[v] == ignore_label;
    const std::string key = last == v ? std::to_string(v) : fmt::format("{}-{}", v, last);
    out += fmt::format("{}{}:{}{}", out.empty() ? "" : " ", key, counts_up ? "" : "=", name(values_[v]));
    v = last;
  }
  return out;
}

}  // namespace atrous::data
