#include "layers/trace.h"

#include <cmath>

#include "core/autograd.h"

namespace atrous::layers {
namespace {

thread_local Trace* current = nullptr;
thread_local int branches = 0;

}  // namespace

Trace::Trace() : previous_(current) {
  current = this;
}
Trace::~Trace() {
  current = previous_;
}

bool Trace::active() {
  return current != nullptr;
}

void Trace::note(TracedLayer layer) {
  if (!current) return;
  if (layer.name.empty()) layer.name = ModuleScope::path();
  layer.on_main_path = branches == 0;
  current->layers_.push_back(std::move(layer));
}

int64_t Trace::receptive_field() const {
  double field = 1;
  double step = 1;  // input pixels between neighbouring positions
  for (const TracedLayer& l : layers_) {
    if (!l.on_main_path) continue;
    field += static_cast<double>(l.span - 1) * step;
    step *= l.stride;
  }
  return std::llround(field);
}

int64_t Trace::macs() const {
  int64_t sum = 0;
  for (const TracedLayer& l : layers_) sum += l.macs;
  return sum;
}

BranchScope::BranchScope() {
  ++branches;
}
BranchScope::~BranchScope() {
  --branches;
}

}  // namespace atrous::layers
