// Fields of config structs that choose among names, and the options that only some of the names use.
#pragma once

#include "core/names.h"
#include "train/config_schema.h"

namespace atrous::train::schema {

// One of the names of an enum (core/names.h).
template <class S, NamedEnum E>
Field<S> choice(const char* key, E S::*member, const char* help) {
  const std::vector<std::string> names = all_names<E>();
  Field<S> f{key, Type::text, detail::choice_text(names), help};
  f.read = [=](S& s, const JsonValue& v, const std::string& path) {
    s.*member = *find_named<E>(detail::read_choice(v, path, names));
  };
  f.write = [member](const S& s) { return JsonValue::of(atrous::name_of(s.*member)); };
  return f;
}

// Unset is "". `names`: those that a config may give; empty: all.
template <class S, NamedEnum E>
Field<S> optional_choice(const char* key, std::optional<E> S::*member, const char* help,
                         std::vector<std::string> names = {}) {
  if (names.empty()) names = all_names<E>();
  names.insert(names.begin(), "");
  Field<S> f{key, Type::text, detail::choice_text(names), help};
  f.read = [=](S& s, const JsonValue& v, const std::string& path) {
    s.*member = find_named<E>(detail::read_choice(v, path, names));
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member ? atrous::name_of(*(s.*member)) : ""); };
  return f;
}

// One of the names of a table, of networks or data sets.
template <class S>
Field<S> choice(const char* key, std::string S::*member, const std::vector<std::string>& choices,
                const char* help) {
  Field<S> f{key, Type::text, detail::choice_text(choices), help};
  f.read = [=](S& s, const JsonValue& v, const std::string& path) {
    s.*member = detail::read_choice(v, path, choices);
  };
  f.write = [member](const S& s) { return JsonValue::of(s.*member); };
  return f;
}

// `table` with the options that the rows of E take (Named::takes) tied to the choice `key`: their help begins
// with the names that use them, and with other names they are unused.
template <class S, NamedEnum E>
Fields<S> with_options_of(const char* key, E S::*member, Fields<S> table) {
  for (Field<S>& f : table) {
    const std::vector<std::string> users = names_that_take<E>(f.key);
    if (users.empty()) continue;
    f.help = detail::joined(users, ", ") + ": " + f.help;
    const std::string wanted = detail::any_of_text(key, users);
    f.unmet = [=, option = f.key](const S& s, const Config&) -> std::optional<Need> {
      if (takes_option(s.*member, option)) return std::nullopt;
      return Need{wanted, detail::any_of_text(key, {atrous::name_of(s.*member)})};
    };
  }
  return table;
}

// The field, or each member of the section, is unused if `unmet`, a function of the whole config
// (config_needs.h), names a need.
template <class S, class F>
Field<S> unless(F unmet, Field<S> field) {
  field.unmet = [unmet, inner = field.unmet](const S& s, const Config& config) {
    const std::optional<Need> need = unmet(config);
    return need || !inner ? need : inner(s, config);
  };
  return field;
}

}  // namespace atrous::train::schema
