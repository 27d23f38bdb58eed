// Modules: trees of named parameters and buffers.
//
// A module registers its parameters, buffers and children in its constructor, in the order in which they
// appear in a state_dict, under torchvision's names. Members keep typed handles to children; nothing is
// found by position.
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

#include "core/output_hook.h"
#include "core/random.h"
#include "kernels/common/arithmetic.h"

namespace atrous::layers {

struct NamedParameter {
  std::string name;  // full dotted path
  Variable variable;
};

struct NamedBuffer {
  std::string name;
  Tensor tensor;  // shares memory with the module: writing into it changes the module
};

// While alive, modules that this thread builds keep their parameters and buffers on the device (cpu without
// one). Counters (i64) stay in host memory.
class BuildDeviceGuard {
 public:
  explicit BuildDeviceGuard(Device device);
  ~BuildDeviceGuard();
  BuildDeviceGuard(const BuildDeviceGuard&) = delete;
  BuildDeviceGuard& operator=(const BuildDeviceGuard&) = delete;

 private:
  Device previous_;
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
  // The arithmetic that this module and all below may use.
  void set_math(kernels::Math math);
  kernels::Math math() const { return math_; }

  // Depth-first in registration order: a module's own first, then its children.
  std::vector<NamedParameter> parameters() const;
  std::vector<NamedBuffer> buffers() const;
  // Parameters and buffers interleaved as PyTorch's state_dict has them: per module parameters, then buffers,
  // then children. Filters are K,R,S,C here; files hold K,C,R,S (core/safetensors.h does not convert;
  // layers/state_dict.h does).
  void visit(const std::function<void(const std::string& name, const Variable* parameter,
                                      const Tensor* buffer)>& f) const;
  // The name under which the parent registered this module; empty for a root. For a ModuleScope around
  // forward.
  const std::string& name() const { return name_; }
  // Children in registration order.
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& children() const { return children_; }
  // The module below this one with that dotted path, "" for this one; null if there is none.
  const Module* find(const std::string& path) const;
  // Dotted paths of all modules below this one, in registration order.
  std::vector<std::string> paths() const;
  // While the result is alive, `function` gets the output of each call of this module in this thread: see
  // core/output_hook.h. The module must outlive it.
  [[nodiscard]] std::unique_ptr<OutputHook> on_output(OutputHook::Function function) const;
  // Class name for summaries, e.g. "Conv2d".
  virtual std::string kind() const = 0;
  // One line of arguments for summaries, e.g. "3 -> 64, 3x3, stride 2".
  virtual std::string arguments() const { return ""; }

  // Fills all parameters and buffers with their start values. Each draws from a separate stream, named by
  // `seed` and its dotted name: neither the order nor the presence of other modules matters.
  void initialise(uint64_t seed);
  // For modules that draw random numbers in training (dropout). The training loop calls it before each
  // forward pass, with the seed of the run and a stream that names the step; every module mixes its own name
  // in.
  void set_random_key(RandomKey key);

 protected:
  Variable register_parameter(const std::string& name, const Tensor& initial);
  Tensor register_buffer(const std::string& name, const Tensor& initial);
  template <class M, class... Args>
  std::shared_ptr<M> register_module(const std::string& name, Args&&... args) {
    auto child = std::make_shared<M>(std::forward<Args>(args)...);
    add_child(name, child);
    return child;
  }
  // An empty name merges the child's names into this module's, as when a classifier extends a backbone.
  void add_child(const std::string& name, std::shared_ptr<Module> child);
  // Start values of this module's own parameters; key_of("weight") is the stream of that parameter.
  using KeyOf = std::function<RandomKey(const std::string& parameter)>;
  virtual void initialise_own(const KeyOf&) {}
  virtual void on_random_key(RandomKey) {}

 private:
  void initialise_below(uint64_t seed, const std::string& prefix);

  std::string name_;
  std::vector<std::pair<std::string, Variable>> parameters_;
  std::vector<std::pair<std::string, Tensor>> buffers_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
  bool training_ = true;
  kernels::Math math_;
};

}  // namespace atrous::layers
