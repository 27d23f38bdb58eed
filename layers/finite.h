// NaN and Inf in weights and outputs: found and reported in the same words for every network and command.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "layers/model.h"

namespace atrous::layers {

// Error(diverged) "[where] weights must be finite ..." that names the parameters and buffers with NaN or Inf.
// `advice` ends the message.
void check_weights_finite(const Module& module, const std::string& where, std::string_view advice);

// A forward pass whose output is not finite.
struct BadPass {
  const char* where = "inference";
  std::string output;  // its name in the message
  std::span<const Tensor> inputs;
  std::function<void()> repeat;  // the same pass once more
};

// Error(diverged) that says where NaN or Inf begins: in an input, in a weight, or else in the output of which
// op and module, for which the pass is repeated with every value checked. Not within a ModuleScope: it would
// be part of the name.
[[noreturn]] void fail_not_finite(const Model& model, const BadPass& pass);

}  // namespace atrous::layers
