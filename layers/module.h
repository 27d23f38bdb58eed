// Modules: trees of named parameters and buffers.
//
// A module registers its parameters, buffers and children in its constructor, in the order in which they shall appear in
// a state_dict, under torchvision's names. Members keep typed handles to children; nothing is found by position.
//
//   struct Block : Module {
//     Block() : conv(register_module<Conv2d>("conv1", Conv2dArgs{...})), ... {}
//     std::shared_ptr<Conv2d> conv;
//   };
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/autograd.h"

namespace atrous::layers {

struct NamedParameter {
  std::string name;  // full dotted path
  Variable variable;
};

struct NamedBuffer {
  std::string name;
  Tensor tensor;  // shares memory with the module: writing into it changes the module
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // Training mode of this module and all below (batch norm, dropout).
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  // Depth-first in registration order: a module's own first, then its children.
  std::vector<NamedParameter> parameters() const;
  std::vector<NamedBuffer> buffers() const;
  // Parameters and buffers interleaved as PyTorch's state_dict has them: per module parameters, then buffers, then children.
  // Filters are K,R,S,C here; files hold K,C,R,S (core/safetensors.h does not know; layers/state_dict.h converts).
  void visit(const std::function<void(const std::string& name, const Variable* parameter, const Tensor* buffer)>& f) const;
  // Children in registration order.
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& children() const { return children_; }
  // Class name for summaries, e.g. "Conv2d".
  virtual std::string kind() const = 0;
  // One line of arguments for summaries, e.g. "3 -> 64, 3x3, stride 2".
  virtual std::string arguments() const { return ""; }

 protected:
  Variable register_parameter(const std::string& name, Tensor initial);
  Tensor register_buffer(const std::string& name, Tensor initial);
  template <class M, class... Args>
  std::shared_ptr<M> register_module(const std::string& name, Args&&... args) {
    auto child = std::make_shared<M>(std::forward<Args>(args)...);
    add_child(name, child);
    return child;
  }
  void add_child(const std::string& name, std::shared_ptr<Module> child);

 private:
  std::vector<std::pair<std::string, Variable>> parameters_;
  std::vector<std::pair<std::string, Tensor>> buffers_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
  bool training_ = true;
};

}  // namespace atrous::layers
