#include "layers/module.h"

#include <algorithm>

namespace atrous::layers {
namespace {

// FNV-1a: the same number for the same name on every machine, unlike std::hash.
uint64_t hash_name(const std::string& name) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h;
}

template <class Items>
bool has_name(const Items& items, const std::string& name) {
  return std::any_of(items.begin(), items.end(), [&](const auto& item) { return item.first == name; });
}

thread_local Device build_device = Device::cpu;

// A module that created its tensor on a device has chosen that device.
Tensor placed(const Tensor& initial) {
  return initial.device() == Device::cpu && initial.dtype() != DType::i64 ? initial.to(build_device)
                                                                          : initial;
}

// A child without a name adds nothing to the path: its own members appear as the parent's.
std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

using Visitor = std::function<void(const std::string&, const Variable*, const Tensor*)>;

}  // namespace

BuildDeviceGuard::BuildDeviceGuard(Device device) : previous_(build_device) {
  build_device = device;
}

BuildDeviceGuard::~BuildDeviceGuard() {
  build_device = previous_;
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

void Module::set_math(kernels::Math math) {
  math_ = math;
  for (const auto& [name, child] : children_) child->set_math(math);
}

std::vector<NamedParameter> Module::parameters() const {
  std::vector<NamedParameter> all;
  visit([&](const std::string& name, const Variable* parameter, const Tensor*) {
    if (parameter) all.push_back({name, *parameter});
  });
  return all;
}

std::vector<NamedBuffer> Module::buffers() const {
  std::vector<NamedBuffer> all;
  visit([&](const std::string& name, const Variable*, const Tensor* buffer) {
    if (buffer) all.push_back({name, *buffer});
  });
  return all;
}

void Module::visit(const Visitor& f) const {
  for (const auto& [name, parameter] : parameters_) f(name, &parameter, nullptr);
  for (const auto& [name, buffer] : buffers_) f(name, nullptr, &buffer);
  for (const auto& [prefix, child] : children_) {
    child->visit([&, &p = prefix](const std::string& name, const Variable* parameter, const Tensor* buffer) {
      f(joined(p, name), parameter, buffer);
    });
  }
}

// Names may hold dots themselves ("layer1.0"), and a child without a name merges into its parent.
const Module* Module::find(const std::string& path) const {
  if (path.empty()) return this;
  for (const auto& [name, child] : children_) {
    if (name == path) return child.get();
    const bool below =
        name.empty() || (path.size() > name.size() && path.starts_with(name) && path[name.size()] == '.');
    if (!below) continue;
    if (const Module* found = child->find(name.empty() ? path : path.substr(name.size() + 1))) return found;
  }
  return nullptr;
}

std::vector<std::string> Module::paths() const {
  std::vector<std::string> all;
  for (const auto& [name, child] : children_) {
    if (!name.empty()) all.push_back(name);
    for (const std::string& below : child->paths()) all.push_back(joined(name, below));
  }
  return all;
}

std::unique_ptr<OutputHook> Module::on_output(OutputHook::Function function) const {
  return std::make_unique<OutputHook>(name_, std::move(function));
}

void Module::initialise(uint64_t seed) {
  initialise_below(seed, "");
}

void Module::initialise_below(uint64_t seed, const std::string& prefix) {
  initialise_own([&](const std::string& parameter) {
    return RandomKey{seed, hash_name(prefix + parameter)};
  });
  for (const auto& [name, child] : children_) child->initialise_below(seed, prefix + joined(name, ""));
}

void Module::set_random_key(RandomKey key) {
  on_random_key(key);
  for (const auto& [name, child] : children_)
    child->set_random_key({key.seed, mix_streams(key.stream, hash_name(name))});
}

Variable Module::register_parameter(const std::string& name, const Tensor& initial) {
  ATROUS_ASSERT(!has_name(parameters_, name) && !has_name(buffers_, name) && !has_name(children_, name));
  parameters_.emplace_back(name, Variable(placed(initial), /*requires_grad=*/true));
  return parameters_.back().second;
}

Tensor Module::register_buffer(const std::string& name, const Tensor& initial) {
  ATROUS_ASSERT(!has_name(parameters_, name) && !has_name(buffers_, name) && !has_name(children_, name));
  buffers_.emplace_back(name, placed(initial));
  return buffers_.back().second;
}

void Module::add_child(const std::string& name, std::shared_ptr<Module> child) {
  ATROUS_ASSERT(child && child->name_.empty());
  ATROUS_ASSERT(!has_name(parameters_, name) && !has_name(buffers_, name) && !has_name(children_, name));
  child->name_ = name;
  children_.emplace_back(name, std::move(child));
}

}  // namespace atrous::layers
