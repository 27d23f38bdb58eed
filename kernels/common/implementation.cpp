#include "kernels/common/implementation.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "core/env.h"
#include "core/terminal.h"
#include "core/text.h"
#include "kernels/common/operands.h"
#include "kernels/common/tensor_kernels.h"

namespace atrous::kernels {
namespace {

// Op or entry: a mistyped name would silently force nothing.
void check_names_op(const std::string& what) {
  std::vector<std::string> known;
  std::string ops;
  for (const AnyEntry* entry : all_entries()) {
    const std::string op(entry->op());
    if (std::ranges::find(known, op) == known.end()) {
      known.push_back(op);
      ops += (ops.empty() ? "" : ", ") + op;
    }
    known.emplace_back(entry->name());
  }
  if (std::ranges::find(known, what) != known.end()) return;
  // For an op's name with a wrong entry: the entries of that op.
  const std::string op = what.substr(0, what.find('.')) + ".";
  std::string entries;
  for (const std::string& name : known) {
    if (name.starts_with(op) && name != what) entries += (entries.empty() ? "" : ", ") + name;
  }
  const std::string nearest = nearest_word(what, known);
  fail(ErrorKind::usage, "[dispatch] ATROUS_IMPL names an op or an entry of one. Got \"{}\".{} {}", what,
       nearest.empty() ? "" : " Did you mean \"" + nearest + "\"?",
       entries.empty() ? "The ops are: " + ops + "." : "The entries are: " + entries + ".");
}

struct NamedImplementation {
  std::string name;
  bool grants = false;
};
using ForcedMap = std::map<std::string, NamedImplementation, std::less<>>;

ForcedMap parse_environment() {
  ForcedMap forced;
  std::string rest = env::implementation();
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string item = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    const size_t colon = item.find(':');
    ATROUS_CHECK(colon != std::string::npos && colon > 0 && colon + 1 < item.size(), ErrorKind::usage,
                 "[dispatch] ATROUS_IMPL holds op:name pairs. Got \"{}\". Write for example conv2d:ref.",
                 item);
    const std::string what = item.substr(0, colon);
    check_names_op(what);
    forced[what] = {item.substr(colon + 1)};
  }
  return forced;
}

// Written at start-up and by tests on one thread; kernels only read it.
ForcedMap& forced_map() {
  static ForcedMap map = parse_environment();
  return map;
}

// Here, because every program with an op links this file.
[[maybe_unused]] const bool tensor_kernels_are_installed = [] {
#ifdef ATROUS_WITH_CUDA
  install_tensor_kernels(Device::cuda, cuda::tensor_kernels());
#endif
  install_tensor_kernels(Device::sim, sim::tensor_kernels());
  return true;
}();

}  // namespace

void check_forced_implementations() {
  forced_map();
}

void check_same_device(const char* where, std::initializer_list<Tensor> tensors) {
  const SameDevice same_device(where);
  for (const Tensor& t : tensors) same_device(t, Access::read);
}

std::optional<Forced> forced_implementation(std::string_view op, std::string_view entry) {
  const ForcedMap& map = forced_map();
  if (map.empty()) return std::nullopt;
  auto it = map.find(entry);
  if (it == map.end()) it = map.find(op);
  if (it == map.end()) return std::nullopt;
  return Forced{it->second.name, it->second.grants};
}

ForceImplementation::ForceImplementation(const std::string& what, const std::string& name) : what_(what) {
  ForcedMap& map = forced_map();
  if (const auto it = map.find(what_); it != map.end()) previous_.emplace(it->second.name, it->second.grants);
  map[what_] = {name, true};
}

ForceImplementation::~ForceImplementation() {
  if (previous_)
    forced_map()[what_] = {previous_->first, previous_->second};
  else
    forced_map().erase(what_);
}

bool choices_are_printed() {
  static const bool printed = env::verbose_dispatch();
  return printed;
}

void print_choice(const char* entry, const std::string& problem, const char* name, const char* why_not,
                  bool prefers) {
  print_to(stderr, "dispatch {} {}: {}{}{}\n", entry, problem, name,
           why_not   ? " no: "
           : prefers ? " chosen"
                     : " not preferred",
           why_not ? why_not : "");
}

void no_implementation(const AnyEntry& entry, const std::string& problem, Device device, const Forced* forced,
                       const std::vector<Refusal>& refusals) {
  ATROUS_CHECK(!refusals.empty(), ErrorKind::usage,
               "[{}] needs an implementation on {}. Got none. Use another device.", entry.name(),
               name_of(device));
  std::string names, reasons;
  for (const Refusal& r : refusals) {
    names += (names.empty() ? "" : ", ") + std::string(r.name);
    if (!forced || forced->name == r.name)
      reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", r.name, r.reason);
  }
  ATROUS_CHECK(!forced || !reasons.empty(), ErrorKind::usage,
               "[{0}] has no implementation \"{1}\" on {2}; it has {3}. Force one of these, or force \"{1}\" "
               "only for the entries that have it.",
               entry.name(), forced->name, name_of(device), names);
  fail(ErrorKind::usage, "[{}] no implementation on {} takes {}{}. Got {}.", entry.name(), name_of(device),
       problem, forced ? fmt::format(" with \"{}\" forced", forced->name) : "", reasons);
}

void SameDevice::refuse(const Tensor& t) const {
  fail(ErrorKind::usage,
       "[{}] all tensors must lie on one device. Got {} and {}. Copy the second with to(Device::{}).", where_,
       first_->describe(), t.describe(), name_of(first_->device()));
}

}  // namespace atrous::kernels
