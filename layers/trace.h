// A forward pass without arithmetic: which layers run, on which shapes.
//
// While a Trace lives, the modules of modules.h and traced_max_pool note what they would compute, keep for
// the backward pass what the real ones keep, and hand on uninitialised results of the right shape. Everything
// else (resizing, cropping, sums) runs as always. So the list of layers is exact by construction (it *is* the
// network's forward function), and the allocator's peak is the memory of a real forward pass but for the
// kernels' workspaces.
#pragma once

#include <string>
#include <vector>

#include "core/shape.h"

namespace atrous::layers {

struct TracedLayer {
  std::string name;  // dotted path of the module
  std::string kind;
  std::string arguments;
  Shape input;
  Shape output;
  int64_t parameters = 0;
  int64_t macs = 0;  // multiply-accumulates
  // For the receptive field: pixels a filter spans, and by how much the sampling grows coarser (2: stride 2;
  // 0.5: doubled).
  int64_t span = 1;
  double stride = 1;
  bool on_main_path = true;
};

class Trace {
 public:
  Trace();
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  static bool active();
  // Called by modules; fills in the name and the path.
  static void note(TracedLayer layer);
  const std::vector<TracedLayer>& layers() const { return layers_; }

  // Side of the square of input pixels that one logit can see: 1 + sum (span - 1) * (product of strides
  // before), over the layers on the main path.
  int64_t receptive_field() const;
  int64_t macs() const;

 private:
  std::vector<TracedLayer> layers_;
  Trace* previous_;
};

// While alive: layers are on a branch beside the main path (a shortcut, an auxiliary head).
class BranchScope {
 public:
  BranchScope();
  ~BranchScope();
  BranchScope(const BranchScope&) = delete;
  BranchScope& operator=(const BranchScope&) = delete;
};

}  // namespace atrous::layers
