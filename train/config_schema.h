// How a field of a config struct is declared: once, with everything that parsing, checking, printing and
// documenting need.
//
//   whole("workers", &DataOptions::workers, 0, 256, "Loader threads ...")
//
// The tables are in config_fields.cpp and config_fields_model.cpp.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/json_value.h"
#include "train/config.h"

namespace atrous::train::schema {

// "No limit" that still cannot overflow when multiplied by a batch; the longest image side.
inline constexpr int64_t big = int64_t{1} << 40, side = 1 << 16;

enum class Type {
  boolean,
  whole,
  number,
  text,
  whole_list,
  number_list,
  text_list,
  section,
  section_list,
  targets
};
const char* name_of(Type type);

// One row of the reference.
struct Entry {
  std::string path;  // dotted; "train.losses[].kind" inside lists
  Type type = Type::text;
  std::string range;    // "> 0", "one of ..."; may be empty
  std::string initial;  // default as JSON
  std::string help;
};

// The condition of an option ("kind \"dice\" or \"soft_iou\"") and the actual value ("kind \"focal\"").
struct Need {
  std::string wanted, got;
  std::string instead = {};  // the key to set instead; may be empty
};

// An option that is set although nothing uses it.
struct Unused {
  std::string path, value, initial;  // as JSON
  Need need;
};

template <class Struct>
struct Field {
  std::string key;
  Type type = Type::text;
  std::string range;
  std::string help;
  std::function<void(Struct&, const JsonValue&, const std::string& path)> read = {};
  std::function<JsonValue(const Struct&)> write = {};
  // For section and section_list: rows of the members below.
  std::function<void(const std::string& path, std::vector<Entry>&)> list_members = {};
  // For section: the type of a member by dotted path.
  std::function<std::optional<Type>(const std::string& rest)> type_of_member = {};
  // The condition under which the field, or each member of the section, is used, if it does not hold; empty:
  // it is used. It depends on the whole config: config_needs.h.
  std::function<std::optional<Need>(const Struct&, const Config&)> unmet = {};
  // For section and section_list: take_unused of the members below.
  std::function<void(Struct&, const Config&, const std::string& path, const std::optional<Need>&,
                     std::vector<Unused>&)>
      take_unused_members = {};
};

template <class Struct>
using Fields = std::vector<Field<Struct>>;

// The table of a struct; specialised in config_fields*.cpp.
template <class Struct>
const Fields<Struct>& fields();
template <>
const Fields<nets::ModelOptions>& fields();
template <>
const Fields<nets::LayerOptions>& fields();
template <>
const Fields<nets::DetectionOptions>& fields();
template <>
const Fields<layers::CrfAsRnnOptions>& fields();
template <>
const Fields<data::DataOptions>& fields();
template <>
const Fields<data::AugmentOptions>& fields();
template <>
const Fields<ParameterGroup>& fields();
template <>
const Fields<OptimizerOptions>& fields();
template <>
const Fields<ScheduleOptions>& fields();
template <>
const Fields<layers::LossTerm>& fields();
template <>
const Fields<TrainOptions>& fields();
template <>
const Fields<eval::CrfOptions>& fields();
template <>
const Fields<eval::InferenceOptions>& fields();
template <>
const Fields<Config>& fields();

// " (did you mean \"x\"?)", or empty if no candidate is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

// Reads every member of `value` into `target`; unknown keys are errors.
template <class Struct>
void read_struct(Struct& target, const JsonValue& value, const std::string& path);
template <class Struct>
JsonValue write_struct(const Struct& source);
// Resets options that nothing uses to their defaults and lists those that had another value. `target` is a
// part of `config`; `of_section`: what all of it needs.
template <class Struct>
void take_unused(Struct& target, const Config& config, const std::string& path,
                 const std::optional<Need>& of_section, std::vector<Unused>& found);
template <class Struct>
std::optional<Type> type_at(const std::string& path);
template <class Struct>
void list_entries(const std::string& prefix, std::vector<Entry>& out);

// ---- Declarations, one per type of field; choices are in config_choices.h.

template <class S>
Field<S> flag(const char* key, bool S::*member, const char* help);
template <class S>
Field<S> whole(const char* key, int64_t S::*member, int64_t low, int64_t high, const char* help);
// `low_open`: low itself is not allowed.
template <class S>
Field<S> number(const char* key, double S::*member, double low, double high, const char* help,
                bool low_open = false);
template <class S>
Field<S> text(const char* key, std::string S::*member, const char* help);
template <class S>
Field<S> wholes(const char* key, std::vector<int64_t> S::*member, int64_t low, const char* help);
template <class S>
Field<S> numbers(const char* key, std::vector<double> S::*member, double low, double high, const char* help);
template <class S>
Field<S> texts(const char* key, std::vector<std::string> S::*member, const char* help);
template <class S, class Member>
Field<S> section(const char* key, Member S::*member, const char* help);
template <class S, class Member>
Field<S> optional_section(const char* key, std::optional<Member> S::*member, const char* help);
template <class S, class Member>
Field<S> section_list(const char* key, std::vector<Member> S::*member, const char* help);

}  // namespace atrous::train::schema

#include "train/config_schema_inl.h"
