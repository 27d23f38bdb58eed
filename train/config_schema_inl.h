// Definitions of the templates in config_schema.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "train/config_schema.h"

namespace atrous::train::schema {
namespace detail {

inline std::string child(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

[[noreturn]] void wrong_type(const JsonValue& value, const std::string& path, const char* wanted);
[[noreturn]] void out_of_range(const JsonValue& value, const std::string& path, const std::string& range);

std::string range_text(double low, double high, bool low_open);
std::string range_text(int64_t low, int64_t high);

int64_t read_whole(const JsonValue& value, const std::string& path, int64_t low, int64_t high,
                   const std::string& range);
double read_number(const JsonValue& value, const std::string& path, double low, double high, bool low_open,
                   const std::string& range);
std::string read_text(const JsonValue& value, const std::string& path);
// "one of \"a\", \"b\"".
std::string choice_text(const std::vector<std::string>& choices);
std::string read_choice(const JsonValue& value, const std::string& path,
                        const std::vector<std::string>& choices);
std::string joined(const std::vector<std::string>& words, const char* separator);
// "kind \"dice\" or \"soft_iou\"".
std::string any_of_text(const std::string& key, const std::vector<std::string>& names);
const std::vector<JsonValue>& read_list(const JsonValue& value, const std::string& path, const char* wanted);
[[noreturn]] void unknown_key(const JsonValue& value, const std::string& path, const std::string& key,
                              const std::vector<std::string>& known);

}  // namespace detail

template <class Struct>
void read_struct(Struct& target, const JsonValue& value, const std::string& path) {
  if (value.kind != JsonValue::Kind::object) detail::wrong_type(value, path, "an object");
  for (const auto& [key, member] : value.object) {
    const auto& table = fields<Struct>();
    const auto it =
        std::find_if(table.begin(), table.end(), [&key = key](const auto& f) { return f.key == key; });
    if (it == table.end()) {
      std::vector<std::string> known;
      for (const auto& f : table) known.push_back(f.key);
      detail::unknown_key(member, path, key, known);
    }
    it->read(target, member, detail::child(path, key));
  }
}

template <class Struct>
JsonValue write_struct(const Struct& source) {
  JsonValue out = JsonValue::make_object();
  for (const auto& f : fields<Struct>()) out[f.key] = f.write(source);
  return out;
}

template <class Struct>
void take_unused(Struct& target, const Config& config, const std::string& path,
                 const std::optional<Need>& of_section, std::vector<Unused>& found) {
  const Struct initial{};
  for (const auto& f : fields<Struct>()) {
    const std::string at = detail::child(path, f.key);
    const std::optional<Need> need = of_section || !f.unmet ? of_section : f.unmet(target, config);
    if (f.take_unused_members) f.take_unused_members(target, config, at, need, found);
    if (!need) continue;
    const JsonValue standard = f.write(initial);
    const std::string value = to_text(f.write(target), -1), usual = to_text(standard, -1);
    if (value == usual) continue;
    found.push_back({at, value, usual, *need});
    f.read(target, standard, at);
  }
}

template <class Struct>
std::optional<Type> type_at(const std::string& path) {
  const size_t dot = path.find('.');
  for (const auto& f : fields<Struct>()) {
    if (f.key != path.substr(0, dot)) continue;
    if (dot == std::string::npos) return f.type;
    return f.type_of_member ? f.type_of_member(path.substr(dot + 1)) : std::nullopt;
  }
  return std::nullopt;
}

template <class Struct>
void list_entries(const std::string& prefix, std::vector<Entry>& out) {
  const Struct initial{};
  for (const auto& f : fields<Struct>()) {
    const std::string path = detail::child(prefix, f.key);
    const bool container = f.type == Type::section;
    out.push_back({path, f.type, f.range, container ? "" : to_text(f.write(initial), -1), f.help});
    if (f.list_members) f.list_members(path, out);
  }
}

template <class S>
Field<S> flag(const char* key, bool S::*member, const char* help) {
  Field<S> f{key, Type::boolean, "", help};
  f.read = [member](S& s, const JsonValue& v, const std::string& path) {
    if (v.kind != JsonValue::Kind::boolean) detail::wrong_type(v, path, "true or false");
    s.*member = v.boolean;
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S>
Field<S> whole(const char* key, int64_t S::*member, int64_t low, int64_t high, const char* help) {
  Field<S> f{key, Type::whole, detail::range_text(low, high), help};
  f.read = [=, range = f.range](S& s, const JsonValue& v, const std::string& path) {
    s.*member = detail::read_whole(v, path, low, high, range);
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S>
Field<S> number(const char* key, double S::*member, double low, double high, const char* help,
                bool low_open) {
  Field<S> f{key, Type::number, detail::range_text(low, high, low_open), help};
  f.read = [=, range = f.range](S& s, const JsonValue& v, const std::string& path) {
    s.*member = detail::read_number(v, path, low, high, low_open, range);
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S>
Field<S> text(const char* key, std::string S::*member, const char* help) {
  Field<S> f{key, Type::text, "", help};
  f.read = [member](S& s, const JsonValue& v, const std::string& path) {
    s.*member = detail::read_text(v, path);
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S>
Field<S> wholes(const char* key, std::vector<int64_t> S::*member, int64_t low, const char* help) {
  const int64_t high = std::numeric_limits<int64_t>::max();
  Field<S> f{key, Type::whole_list, "each " + detail::range_text(low, high), help};
  f.read = [=, range = f.range](S& s, const JsonValue& v, const std::string& path) {
    (s.*member).clear();
    for (const JsonValue& e : detail::read_list(v, path, "a list of whole numbers")) {
      (s.*member).push_back(detail::read_whole(e, path, low, high, range));
    }
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S>
Field<S> numbers(const char* key, std::vector<double> S::*member, double low, double high, const char* help) {
  Field<S> f{key, Type::number_list, "each " + detail::range_text(low, high, true), help};
  f.read = [=, range = f.range](S& s, const JsonValue& v, const std::string& path) {
    (s.*member).clear();
    for (const JsonValue& e : detail::read_list(v, path, "a list of numbers")) {
      (s.*member).push_back(detail::read_number(e, path, low, high, true, range));
    }
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S>
Field<S> texts(const char* key, std::vector<std::string> S::*member, const char* help) {
  Field<S> f{key, Type::text_list, "", help};
  f.read = [member](S& s, const JsonValue& v, const std::string& path) {
    (s.*member).clear();
    for (const JsonValue& e : detail::read_list(v, path, "a list of strings")) {
      (s.*member).push_back(detail::read_text(e, path));
    }
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

template <class S, class Member>
Field<S> section(const char* key, Member S::*member, const char* help) {
  Field<S> f{key, Type::section, "", help};
  f.read = [member](S& s, const JsonValue& v, const std::string& path) { read_struct(s.*member, v, path); };
  f.write = [member](const S& s) { return write_struct(s.*member); };
  f.list_members = [](const std::string& path, std::vector<Entry>& out) { list_entries<Member>(path, out); };
  f.type_of_member = [](const std::string& rest) { return type_at<Member>(rest); };
  f.take_unused_members = [member](S& s, const Config& config, const std::string& path,
                                   const std::optional<Need>& need, std::vector<Unused>& found) {
    take_unused(s.*member, config, path, need, found);
  };
  return f;
}

template <class S, class Member>
Field<S> optional_section(const char* key, std::optional<Member> S::*member, const char* help) {
  Field<S> f{key, Type::section, "", help};
  f.read = [member](S& s, const JsonValue& v, const std::string& path) {
    (s.*member).reset();
    if (v.kind != JsonValue::Kind::null) read_struct((s.*member).emplace(), v, path);
  };
  f.write = [member](const S& s) { return s.*member ? write_struct(*(s.*member)) : JsonValue{}; };
  f.list_members = [](const std::string& path, std::vector<Entry>& out) { list_entries<Member>(path, out); };
  f.type_of_member = [](const std::string& rest) { return type_at<Member>(rest); };
  return f;
}

template <class S, class Member>
Field<S> section_list(const char* key, std::vector<Member> S::*member, const char* help) {
  Field<S> f{key, Type::section_list, "", help};
  f.read = [member](S& s, const JsonValue& v, const std::string& path) {
    (s.*member).clear();
    const auto& elements = detail::read_list(v, path, "a list of objects");
    for (size_t i = 0; i < elements.size(); ++i) {
      read_struct((s.*member).emplace_back(), elements[i], path + "[" + std::to_string(i) + "]");
    }
  };
  f.write = [member](const S& s) {
    JsonValue out;
    out.kind = JsonValue::Kind::array;
    for (const Member& element : s.*member) out.array.push_back(write_struct(element));
    return out;
  };
  f.list_members = [](const std::string& path, std::vector<Entry>& out) {
    list_entries<Member>(path + "[]", out);
  };
  f.take_unused_members = [member](S& s, const Config& config, const std::string& path,
                                   const std::optional<Need>& need, std::vector<Unused>& found) {
    if (need) return;  // the list is unused as a whole
    for (size_t i = 0; i < (s.*member).size(); ++i)
      take_unused((s.*member)[i], config, path + "[" + std::to_string(i) + "]", need, found);
  };
  return f;
}

}  // namespace atrous::train::schema
