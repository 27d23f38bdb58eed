#include "kernels/common/dispatch.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>

#include "core/env.h"
#include "core/terminal.h"
#include "core/text.h"
#include "kernels/common/tensor_kernels.h"

namespace atrous::kernels {
namespace {

// Op or entry: a slip would force nothing and say nothing.
void check_names_op(const std::string& what) {
  std::vector<std::string> known;
  std::string ops;
  for (const char* entry : op_entries()) {
    const std::string name = entry;
    known.push_back(name);
    if (name.find('.') == std::string::npos) ops += (ops.empty() ? "" : ", ") + name;
  }
  if (std::ranges::find(known, what) != known.end()) return;
  // Of an op's name with a wrong entry, the entries of that op.
  const std::string op = what.substr(0, what.find('.')) + ".";
  std::string entries;
  for (const std::string& name : known) {
    if (name.starts_with(op)) entries += (entries.empty() ? "" : ", ") + name;
  }
  const std::string nearest = nearest_word(what, known);
  fail(ErrorKind::usage, "[dispatch] ATROUS_IMPL names an op or an entry of one. Got \"{}\".{} {}", what,
       nearest.empty() ? "" : " Did you mean \"" + nearest + "\"?",
       entries.empty() ? "The ops are: " + ops + "." : "The entries are: " + entries + ".");
}

std::map<std::string, std::string> parse_environment() {
  std::map<std::string, std::string> forced;
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
    forced[what] = item.substr(colon + 1);
  }
  return forced;
}

// Written at start-up and by tests on one thread; kernels only read it.
std::map<std::string, std::string>& forced_map() {
  static std::map<std::string, std::string> map = parse_environment();
  return map;
}

// Here, because no op can be linked without this file.
[[maybe_unused]] const bool tensor_kernels_are_installed = [] {
#ifdef ATROUS_WITH_CUDA
  install_tensor_kernels(Device::cuda, cuda::tensor_kernels());
#endif
  install_tensor_kernels(Device::sim, sim::tensor_kernels());
  return true;
}();

std::atomic<bool> exact{false};
std::atomic<bool> tf32{false};

}  // namespace

void set_exact_sums(bool on) {
  exact = on;
}

bool exact_sums() {
  return exact;
}

void set_allow_tf32(bool on) {
  tf32 = on;
}

bool allow_tf32() {
  return tf32;
}

void check_forced_implementations() {
  forced_map();
}

void check_same_device(const char* where, std::initializer_list<Tensor> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor& t : tensors) {
    if (!t.defined()) continue;
    if (!first) first = &t;
    ATROUS_CHECK(t.device() == first->device(), ErrorKind::usage,
                 "[{}] all tensors must lie on one device. Got {} and {}. Copy the second with "
                 "to(Device::{}).",
                 where, first->describe(), t.describe(), name_of(first->device()));
  }
}

std::string forced_implementation(const char* op, const char* entry) {
  const auto& map = forced_map();
  if (map.empty()) return "";
  auto it = map.find(entry);
  if (it == map.end()) it = map.find(op);
  return it == map.end() ? "" : it->second;
}

ForceImplementation::ForceImplementation(const std::string& what, const std::string& name) : what_(what) {
  std::string& forced = forced_map()[what];
  previous_ = forced;
  forced = name;
}

ForceImplementation::~ForceImplementation() {
  if (previous_.empty()) {
    forced_map().erase(what_);
  } else {
    forced_map().find(what_)->second.swap(previous_);
  }
}

bool dispatch_is_verbose() {
  static const bool verbose = env::verbose_dispatch();
  return verbose;
}

void log_dispatch(const char* entry, const std::string& problem, const char* name, const char* why_not) {
  print_to(stderr, "dispatch {} {}: {}{}{}\n", entry, problem, name, why_not ? " no: " : " chosen",
           why_not ? why_not : "");
}

void unknown_entry(const char* op, std::string_view entry) {
  fail(ErrorKind::internal, "[{}] candidates are asked for by entry. Got \"{}\", which is none.", op, entry);
}

void no_implementation(const char* entry, const std::string& problem, Device device,
                       const std::string& forced, const std::string& names, const std::string& reasons) {
  ATROUS_CHECK(!names.empty(), ErrorKind::usage,
               "[{}] needs an implementation on {}. Got none. Use another device.", entry, name_of(device));
  ATROUS_CHECK(forced.empty() || !reasons.empty(), ErrorKind::usage,
               "[{0}] has no implementation \"{1}\" on {2}; it has {3}. Force one of these, or force \"{1}\" "
               "only for the entries that have it.",
               entry, forced, name_of(device), names);
  fail(ErrorKind::usage, "[{}] no implementation on {} takes {}{}. Got {}.", entry, name_of(device), problem,
       forced.empty() ? "" : " with \"" + forced + "\" forced", reasons);
}

}  // namespace atrous::kernels
