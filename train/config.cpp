#include "train/config.h"

#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "core/text.h"
#include "nets/factory.h"
#include "train/config_schema.h"

namespace atrous::train {
namespace schema {

const char* name_of(Type type) {
  switch (type) {
    case Type::boolean: return "true/false";
    case Type::whole: return "integer";
    case Type::number: return "number";
    case Type::text: return "string";
    case Type::whole_list: return "list of integers";
    case Type::number_list: return "list of numbers";
    case Type::text_list: return "list of strings";
    case Type::section: return "object";
    case Type::section_list: return "list of objects";
    case Type::targets: return "object";
  }
  return "?";
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string nearest = nearest_word(word, candidates);
  return nearest.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", nearest);
}

namespace detail {

namespace {

std::string short_number(double value) {
  return to_text(JsonValue::of(value), -1);
}

// Very large limits are shown only once exceeded.
std::string with_upper_end(const std::string& range, const std::string& high) {
  return range.ends_with(high) ? range : range + " and <= " + high;
}

}  // namespace

void wrong_type(const JsonValue& value, const std::string& path, const char* wanted) {
  fail(ErrorKind::config, "[config] {}: {} must be {}. Got {}. Correct the value.", value.where,
       path.empty() ? "the config" : path, wanted, value.describe());
}

void out_of_range(const JsonValue& value, const std::string& path, const std::string& range) {
  fail(ErrorKind::config, "[config] {}: {} must be {}. Got {}. Correct the value.", value.where, path, range,
       value.describe());
}

void unknown_key(const JsonValue& value, const std::string& path, const std::string& key,
                 const std::vector<std::string>& known) {
  std::string hint = did_you_mean(key, known);
  if (hint.empty()) {
    for (const std::string& k : known) hint += (hint.empty() ? " (known here: " : ", ") + k;
    hint += ")";
  }
  fail(ErrorKind::config,
       "[config] {}: every key must be known. Got \"{}\"{}. Correct or remove it; docs/config.md lists all "
       "keys.",
       value.where, child(path, key), hint);
}

std::string range_text(double low, double high, bool low_open) {
  if (high >= 1e6) return (low_open ? "> " : ">= ") + short_number(low);
  return (low_open ? "> " : ">= ") + short_number(low) + " and <= " + short_number(high);
}

std::string range_text(int64_t low, int64_t high) {
  if (high >= int64_t{1} << 40) return ">= " + std::to_string(low);
  return std::to_string(low) + " to " + std::to_string(high);
}

int64_t read_whole(const JsonValue& value, const std::string& path, int64_t low, int64_t high,
                   const std::string& range) {
  if (value.kind != JsonValue::Kind::integer) wrong_type(value, path, "a whole number");
  if (value.integer < low) out_of_range(value, path, range);
  if (value.integer > high) out_of_range(value, path, with_upper_end(range, std::to_string(high)));
  return value.integer;
}

double read_number(const JsonValue& value, const std::string& path, double low, double high, bool low_open,
                   const std::string& range) {
  if (!value.is_number()) wrong_type(value, path, "a number");
  const bool above = low_open ? value.number > low : value.number >= low;
  if (!above) out_of_range(value, path, range);
  if (!(value.number <= high)) out_of_range(value, path, with_upper_end(range, short_number(high)));
  return value.number;
}

std::string read_text(const JsonValue& value, const std::string& path) {
  if (value.kind != JsonValue::Kind::string) wrong_type(value, path, "a string");
  return value.string;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

std::string choice_text(const std::vector<std::string>& choices) {
  return "one of \"" + joined(choices, "\", \"") + "\"";
}

std::string read_choice(const JsonValue& value, const std::string& path,
                        const std::vector<std::string>& choices) {
  const std::string word = read_text(value, path);
  if (std::find(choices.begin(), choices.end(), word) == choices.end())
    out_of_range(value, path, choice_text(choices) + did_you_mean(word, choices));
  return word;
}

std::string any_of_text(const std::string& key, const std::vector<std::string>& names) {
  return key + " \"" + joined(names, "\" or \"") + "\"";
}

const std::vector<JsonValue>& read_list(const JsonValue& value, const std::string& path, const char* wanted) {
  if (value.kind != JsonValue::Kind::array) wrong_type(value, path, wanted);
  return value.array;
}

}  // namespace detail
}  // namespace schema

namespace {

using schema::Type;

// The words of "a,b,c"; nothing for an empty text.
std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  stream.exceptions(std::ios::badbit);  // no memory for a word is not the end of the list
  for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
  return words;
}

// The text after '=' of a --set, read as what the schema says the field is. Strings need no quotes, lists no
// brackets.
JsonValue override_value(const std::string& text, Type type, const std::string& origin) {
  if (type == Type::text) return JsonValue::of(text);
  const bool list = type == Type::whole_list || type == Type::number_list || type == Type::text_list;
  if (list && (text.empty() || text[0] != '[')) {
    JsonValue value = JsonValue::of(std::vector<int64_t>{});
    for (const std::string& word : split_commas(text)) {
      value.array.push_back(
          override_value(word, type == Type::text_list ? Type::text : Type::number, origin));
      value.array.back().where = origin;
    }
    return value;
  }
  JsonValue value;
  try {
    value = parse_json(text, origin);
  } catch (const Error&) {
    const char* limit = type == Type::whole    ? " of at most 64 bits"
                        : type == Type::number ? " of at most 1.8e308"
                                               : "";
    fail(ErrorKind::config, "[config] {}: the value must be a JSON {}{}. Got \"{}\". Correct the value.",
         origin, name_of(type), limit, text);
  }
  return value;
}

void set_where(JsonValue& value, const std::string& where) {
  value.where = where;
  for (JsonValue& element : value.array) set_where(element, where);
  for (auto& [key, member] : value.object) set_where(member, where);
}

void erase_key(JsonValue& object, const std::string& key) {
  std::erase_if(object.object, [&](const auto& member) { return member.first == key; });
}

void apply_override(JsonValue& root, const std::string& assignment) {
  const std::string origin = "--set " + assignment;
  const size_t equals = assignment.find('=');
  ATROUS_CHECK(equals != std::string::npos && equals > 0, ErrorKind::usage,
               "[config] --set takes key=value. Got \"{}\". Write for example --set optimizer.lr=0.01",
               assignment);
  const std::string path = assignment.substr(0, equals);
  const std::optional<Type> type = schema::type_at<Config>(path);
  JsonValue* parent = &root;
  std::string rest = path;
  for (size_t dot; (dot = rest.find('.')) != std::string::npos; rest.erase(0, dot + 1)) {
    JsonValue& child = (*parent)[rest.substr(0, dot)];
    if (child.kind != JsonValue::Kind::object) {
      // "weights": FILE is short for {"model": FILE}.
      const JsonValue file = child;
      child = JsonValue::make_object();
      if (rest.starts_with("weights.") && file.kind == JsonValue::Kind::string) child["model"] = file;
      child.where = origin;
    }
    parent = &child;
  }
  // An unknown key is put into the tree as well: reading it gives the error with the
  // nearest key.
  JsonValue value = type ? override_value(assignment.substr(equals + 1), *type, origin)
                         : JsonValue::of(assignment.substr(equals + 1));
  set_where(value, origin);
  (*parent)[rest] = std::move(value);
  // Each of these two excludes the other, so the one on the command line replaces the one in the file.
  const bool switches_off = assignment.substr(equals + 1) == "0";
  if (path == "train.max_steps" && !switches_off) erase_key(*parent, "epochs");
  if (path == "train.epochs" && !switches_off) erase_key(*parent, "max_steps");
}

// Options that nothing uses are more likely mistakes than intended. A program from before this rule may have
// stored them: they are dropped then, and refused only if an override gives them.
void refuse_unused(Config& config, const std::string& origin, const std::vector<std::string>& overrides,
                   ConfigFrom from) {
  std::vector<schema::Unused> unused;
  schema::take_unused(config, config, "", std::nullopt, unused);
  for (const schema::Unused& u : unused) {
    const bool given = std::ranges::any_of(overrides, [&](const std::string& assignment) {
      const std::string key = assignment.substr(0, assignment.find('='));
      return u.path == key || u.path.starts_with(key + ".") || u.path.starts_with(key + "[");
    });
    ATROUS_CHECK(from == ConfigFrom::run && !given, ErrorKind::config,
                 "[config] {}: {} is an option of {}. Got {} with {}. Leave it out (the default is {}){}.",
                 origin, u.path, u.need.wanted, u.value, u.need.got, u.initial,
                 u.need.instead.empty() ? "" : " and set " + u.need.instead);
  }
}

// Rules between fields.
void check_together(const Config& c, const std::string& origin) {
  ATROUS_CHECK(c.train.epochs == 0 || c.train.max_steps == 0, ErrorKind::config,
               "[config] {}: exactly one of train.epochs and train.max_steps may be set. Got epochs {} and "
               "max_steps {}. Remove one.",
               origin, c.train.epochs, c.train.max_steps);
  ATROUS_CHECK(c.augment.scale_min <= c.augment.scale_max, ErrorKind::config,
               "[config] {}: augment.scale_min must not exceed augment.scale_max. Got {} and {}. Swap them.",
               origin, c.augment.scale_min, c.augment.scale_max);
  ATROUS_CHECK(
      (c.augment.crop_height == 0) == (c.augment.crop_width == 0), ErrorKind::config,
      "[config] {}: augment.crop_height and augment.crop_width go together. Got {} and {}. Set both or none.",
      origin, c.augment.crop_height, c.augment.crop_width);
  ATROUS_CHECK(
      (c.data.image_height == 0) == (c.data.image_width == 0), ErrorKind::config,
      "[config] {}: data.image_height and data.image_width go together. Got {} and {}. Set both or none.",
      origin, c.data.image_height, c.data.image_width);
  ATROUS_CHECK(
      (c.eval.window_height == 0) == (c.eval.window_width == 0), ErrorKind::config,
      "[config] {}: eval.window_height and eval.window_width go together. Got {} and {}. Set both or none.",
      origin, c.eval.window_height, c.eval.window_width);
  ATROUS_CHECK(
      c.augment.area_min <= c.augment.area_max && c.augment.aspect_min <= c.augment.aspect_max,
      ErrorKind::config,
      "[config] {}: augment.area_min and aspect_min must not exceed area_max and aspect_max. Got {}, "
      "{}, {} and {}. Swap them.",
      origin, c.augment.area_min, c.augment.aspect_min, c.augment.area_max, c.augment.aspect_max);
  ATROUS_CHECK(c.eval.crop <= c.eval.short_side, ErrorKind::config,
               "[config] {}: eval.crop must not exceed eval.short_side. Got {} and {}. Correct one of them.",
               origin, c.eval.crop, c.eval.short_side);
  ATROUS_CHECK(c.schedule.name != ScheduleKind::exponential || c.schedule.min_lr > 0, ErrorKind::config,
               "[config] {}: an exponential schedule falls to schedule.min_lr, which must be above 0. Got "
               "{}. Give the rate at the end.",
               origin, c.schedule.min_lr);
  ATROUS_CHECK(!c.eval.scales.empty(), ErrorKind::config,
               "[config] {}: eval.scales must hold at least one scale. Got an empty list. Write [1.0].",
               origin);
  ATROUS_CHECK(!c.optimizer.nesterov || c.optimizer.momentum > 0, ErrorKind::config,
               "[config] {}: optimizer.nesterov needs momentum. Got momentum {}. Set nesterov to false.",
               origin, c.optimizer.momentum);
  const auto channels = static_cast<size_t>(c.model.in_channels);
  for (const auto* list : {&c.data.mean, &c.data.std}) {
    ATROUS_CHECK(list->empty() || list->size() == channels, ErrorKind::config,
                 "[config] {}: data.{} must have model.in_channels values. Got {} for {} channels. Give one "
                 "per channel.",
                 origin, list == &c.data.mean ? "mean" : "std", list->size(), channels);
  }
  // Without a number of classes, it is the data set's.
  ATROUS_CHECK(
      c.data.class_names.empty() || c.model.num_classes == 0 ||
          c.data.class_names.size() == static_cast<size_t>(c.model.num_classes),
      ErrorKind::config,
      "[config] {}: data.class_names must name model.num_classes classes. Got {} names for {} classes. "
      "Correct one of them.",
      origin, c.data.class_names.size(), c.model.num_classes);
}

// JSON can hold no other text, and a changed one would name another file.
void check_utf8(const JsonValue& value, const std::string& path) {
  for (const auto& [key, member] : value.object) check_utf8(member, path.empty() ? key : path + "." + key);
  for (const JsonValue& element : value.array) check_utf8(element, path);
  ATROUS_CHECK(is_utf8(value.string), ErrorKind::config,
               "[config] {} must be UTF-8 to be kept with the run. Got \"{}\". Give the file or folder such "
               "a name, or make a symbolic link to it that has one.",
               path, value.string);
}

std::string read_file(const std::string& path) {
  constexpr size_t limit = size_t{4} << 20;  // parse_json's limit, plus one byte to detect longer files
  std::string text;
  if (path == "-") {
    char c;
    while (text.size() <= limit && std::cin.get(c)) text += c;
    return text;
  }
  struct stat info {};
  ATROUS_CHECK(::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode), ErrorKind::config,
               "[config] the config must be a readable file. Got \"{}\". Check the path.", path);
  std::ifstream in(path, std::ios::binary);
  ATROUS_CHECK(in.good(), ErrorKind::config,
               "[config] the config must be a readable file. Got \"{}\". Check its permissions.", path);
  text.resize(limit + 1);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

}  // namespace

eval::TaskKind task_kind(const Config& config) {
  if (nets::is_detector(config.model.name)) return eval::TaskKind::detection;
  return nets::is_classifier(config.model.name) ? eval::TaskKind::classification : eval::TaskKind::semantic;
}

JsonValue config_json(const std::string& json_text, const std::string& origin,
                      const std::vector<std::string>& overrides) {
  JsonValue root = parse_json(json_text, origin);
  if (root.kind != JsonValue::Kind::object) schema::detail::wrong_type(root, "", "an object");
  for (const std::string& assignment : overrides) apply_override(root, assignment);
  return root;
}

Config parse_config(const std::string& json_text, const std::string& origin,
                    const std::vector<std::string>& overrides, ConfigFrom from) {
  const JsonValue root = config_json(json_text, origin, overrides);
  Config config;
  schema::read_struct(config, root, "");
  // Checkpoints hold every option. Those of semantic models from before the default of this one changed have
  // the old value, which they do not use.
  if (!nets::is_detector(config.model.name))
    config.model.detection.exact_scale = nets::DetectionOptions{}.exact_scale;
  const JsonValue* train = root.find("train");
  if (config.model.name == "googlenet" && config.model.aux_loss && (!train || !train->find("aux_weight")))
    config.train.aux_weight = 0.3;  // the paper's, section 5
  refuse_unused(config, origin, overrides, from);
  check_together(config, origin);
  if (config.model.crf_as_rnn) {
    const data::ChannelStatistics s = data::channel_statistics(config.data, config.model.in_channels);
    std::vector<double>& std = config.model.crf_as_rnn->std;
    config.model.crf_as_rnn->mean.assign(s.mean.begin(), s.mean.end());
    for (float inverse : s.inverse_std) std.push_back(1 / static_cast<double>(inverse));
  }
  return config;
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides, ConfigFrom from) {
  return parse_config(read_file(path), path == "-" ? "standard input" : path, overrides, from);
}

std::string to_json(const Config& config) {
  const JsonValue tree = schema::write_struct(config);
  check_utf8(tree, "");
  return to_text(tree) + "\n";
}

std::vector<std::string> changed_keys(const Config& a, const Config& b) {
  std::vector<std::string> keys;
  std::vector<schema::Entry> entries;
  schema::list_entries<Config>("", entries);
  const JsonValue tree_a = schema::write_struct(a);
  const JsonValue tree_b = schema::write_struct(b);
  const auto at = [](const JsonValue& tree, std::string path) {
    const JsonValue* v = &tree;
    for (size_t dot; v && (dot = path.find('.')) != std::string::npos; path.erase(0, dot + 1))
      v = v->find(path.substr(0, dot));
    if (v) v = v->find(path);
    return v ? to_text(*v, -1) : std::string();  // nothing: an optional section that is not there
  };
  for (const schema::Entry& e : entries) {
    if (e.type == Type::section || e.path.find("[]") != std::string::npos) continue;
    if (at(tree_a, e.path) != at(tree_b, e.path)) keys.push_back(e.path);
  }
  return keys;
}

std::string config_reference() {
  std::vector<schema::Entry> entries;
  schema::list_entries<Config>("", entries);
  std::string out =
      "# Config reference\n\n"
      "Generated by `atrous train --config-reference`; a test compares this page with the program.\n\n"
      "A config is one JSON object. Keys that are not listed here, wrong types, values out of range and keys "
      "given twice are errors that\n"
      "name file, line and path; so is an option that nothing in the config uses, such as `gamma` of a "
      "`dice` "
      "loss. `--set a.b.c=value` (repeatable) overrides any key; strings need no quotes, "
      "lists may be written `1,2,3`.\n"
      "Setting one of `train.epochs` and `train.max_steps` this way replaces the other.\n";
  const auto row = [&out](const schema::Entry& e) {
    std::string help = e.help;
    for (size_t bar = 0; (bar = help.find('|', bar)) != std::string::npos; bar += 2)
      help.replace(bar, 1, "\\|");
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", e.path, name_of(e.type),
                       e.initial.empty() ? "" : "`" + e.initial + "`", e.range, help);
  };
  const char* head = "\n| Key | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n";
  for (const schema::Entry& e : entries) {
    if (e.type == Type::section) {
      out += "\n## " + e.path + "\n\n" + e.help + ".\n" + head;
    } else {
      if (e.path == "seed") out += std::string("\n## Top level\n") + head;
      row(e);
    }
  }
  return out;
}

}  // namespace atrous::train
