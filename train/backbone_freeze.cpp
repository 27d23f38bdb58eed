#include "train/backbone_freeze.h"

#include <string>

namespace atrous::train {
namespace {

// Adds the topmost modules all of whose parameters are the backbone's.
void add_modules(layers::Module& module, const std::string& prefix, const layers::Model& model,
                 std::vector<layers::Module*>& found) {
  bool any = false, all = true;
  for (const layers::NamedParameter& p : module.parameters()) {
    any = true;
    all = all && model.in_backbone(prefix + p.name);
  }
  if (any && all) {
    found.push_back(&module);
    return;
  }
  for (const auto& [name, child] : module.children())
    add_modules(*child, name.empty() ? prefix : prefix + name + ".", model, found);
}

}  // namespace

BackboneFreeze::BackboneFreeze(layers::Model& model, int64_t steps) : steps_(steps) {
  if (steps == 0) return;
  for (const layers::NamedParameter& p : model.parameters()) {
    if (model.in_backbone(p.name) && p.variable.requires_grad()) parameters_.push_back(p.variable);
  }
  add_modules(model, "", model, modules_);
}

void BackboneFreeze::prepare(int64_t step) {
  const bool freeze = step < steps_;
  if (!freeze && !frozen_) return;
  for (const Variable& p : parameters_) p.set_requires_grad(!freeze);
  // Every time: a validation sets the mode of the whole network.
  for (layers::Module* module : modules_) module->train(!freeze);
  frozen_ = freeze;
}

}  // namespace atrous::train
