// Reverse-mode automatic differentiation on an eager tape.
//
// A Variable is a tensor value plus its place on the tape. A differentiable function computes its value from
// the values of its inputs and calls `record`, handing over what it saved and how to turn output gradients
// into input gradients. `backward` walks the tape from the newest node to the oldest. All of the engine is in
// autograd.cpp.
//
// An op looks like this:
//
//   Variable softmax(const Variable& x) {
//     const Tensor y = kernels::softmax_forward(x.value(), false);
//     return record("softmax", y, {x}, [y = Saved(y)](const BackwardContext& ctx) -> std::vector<Tensor> {
//       return {kernels::softmax_backward(y.get(), ctx.grad(), false)};
//     });
//   }
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous {

struct Node;

// A handle: copies refer to the same variable.
class Variable {
 public:
  Variable() = default;  // undefined
  explicit Variable(Tensor value, bool requires_grad = false);

  bool defined() const { return impl_ != nullptr; }
  const Tensor& value() const { return impl_->value; }
  const Shape& shape() const { return value().shape(); }
  int64_t dim(int axis) const { return value().dim(axis); }
  DType dtype() const { return value().dtype(); }

  // True if gradients flow here: a leaf that requires them, or the result of an op on one.
  bool requires_grad() const { return impl_ && (impl_->requires_grad || impl_->node); }
  bool is_leaf() const { return impl_ && !impl_->node; }
  // Only for leaves; freezing a parameter is set_requires_grad(false).
  void set_requires_grad(bool on) const;
  // Replaces the value of a leaf by another tensor of the same shape (loading weights, weight averaging).
  void set_value(Tensor value) const;

  // Accumulated gradient of a leaf; undefined before the first backward and after clear_grad.
  const Tensor& grad() const { return impl_->grad; }
  void clear_grad() const { impl_->grad = Tensor(); }

  // A copy of a parameter's value in lower precision, for arithmetic; code that changes the value may refresh
  // it in the same pass (an optimiser). Undefined if there is none or the value has changed since.
  Tensor low_precision_copy() const;
  void set_low_precision_copy(Tensor copy) const;

  // The same value off the tape.
  Variable detach() const { return Variable(value()); }
  bool same_as(const Variable& other) const { return impl_ == other.impl_; }

 private:
  struct Impl {
    Tensor value;
    Tensor grad;
    bool requires_grad = false;
    Tensor low_precision;
    uint32_t low_precision_version = 0;  // of `value` when the copy was made
    std::shared_ptr<Node> node;          // what produced this; null for a leaf
    int output_index = 0;
  };
  std::shared_ptr<Impl> impl_;
  friend struct Engine;
};

// A tensor kept for the backward pass. get() fails if it was modified in place since.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor) : tensor_(tensor), version_(tensor.version()) {}
  const Tensor& get() const;
  bool defined() const { return tensor_.defined(); }

 private:
  Tensor tensor_;
  uint32_t version_ = 0;
};

// The arguments of a backward function.
class BackwardContext {
 public:
  // Gradient of output i. Undefined if nothing depended on that output; never undefined for a single output.
  const Tensor& grad(int output = 0) const { return grads_[static_cast<size_t>(output)]; }
  // Memory for a result like grad(): that of grad() itself if no other tensor refers to it.
  Tensor room_for_grad() const { return grad().sole_owner() ? grad() : Tensor::empty_like(grad()); }
  // False if input i needs no gradient: return an undefined Tensor for it and skip the work.
  bool needs(int input) const { return needs_[static_cast<size_t>(input)]; }

 private:
  friend struct Engine;
  std::vector<Tensor> grads_;
  std::vector<bool> needs_;
};

// Returns one gradient per input, in order; undefined where needs(i) is false. The engine checks shape and
// dtype. A returned gradient may be a view of ctx.grad(). The engine adds only into gradients to which no
// other tensor refers.
using BackwardFn = std::function<std::vector<Tensor>(const BackwardContext&)>;

// Puts `output = op(inputs)` on the tape. If no input requires a gradient, or gradients are off, only the
// value stays (and `backward` is dropped with all it saved).
Variable record(const char* op, const Tensor& output, std::vector<Variable> inputs, BackwardFn backward);
std::vector<Variable> record(const char* op, const std::vector<Tensor>& outputs, std::vector<Variable> inputs,
                             BackwardFn backward);

// True if record() would build a node for these inputs: ops may skip saving extra results otherwise.
bool grad_enabled();
bool any_requires_grad(std::initializer_list<const Variable*> inputs);

// Adds d(root)/d(leaf) * seed to the leaves that require a gradient, then frees the tape. No seed: the root
// has one element. That of a scalar may lie in host memory. Several roots are one pass (logits and aux, say).
void backward(const Variable& root, const Tensor& seed = {});
void backward(const std::vector<Variable>& roots, const std::vector<Tensor>& seeds);

// While alive: no tape in this thread (evaluation, optimiser steps).
class NoGradGuard {
 public:
  NoGradGuard();
  ~NoGradGuard();
  NoGradGuard(const NoGradGuard&) = delete;
  NoGradGuard& operator=(const NoGradGuard&) = delete;

 private:
  bool previous_;
};

// Names the module that is running, so that errors can say "encoder.2.conv1". Modules open one around
// forward.
class ModuleScope {
 public:
  explicit ModuleScope(const std::string& name);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
  static std::string path();  // dotted; empty outside any module
  // A number that no other scope of this thread has; 0 outside any module.
  static uint64_t call();

 private:
  static void end_call();  // core/output_hook.h
  size_t previous_length_;
  uint64_t previous_call_;
};

// While alive: every value and gradient that passes through the tape is checked; the first NaN or Inf throws
// Error(diverged) that names op and module. Slow; the trainer repeats the failing step under it.
class FiniteCheckGuard {
 public:
  FiniteCheckGuard();
  ~FiniteCheckGuard();
  FiniteCheckGuard(const FiniteCheckGuard&) = delete;
  FiniteCheckGuard& operator=(const FiniteCheckGuard&) = delete;

 private:
  bool previous_;
};

// True if all elements of a floating tensor are finite.
bool all_finite(const Tensor& t);

}  // namespace atrous
