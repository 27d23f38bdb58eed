// Functions that get the outputs of modules while a network runs: Module::on_output (layers/module.h).
#pragma once

#include <functional>
#include <string>

#include "core/autograd.h"

namespace atrous {

// While alive: a function gets the output of each call of one module in this thread, which is the last value
// computed inside the call (of a module that returns several maps the last one). It sees the value as the
// module leaves it; a layer behind may overwrite the memory, so what is kept must be copied. It must not
// throw: it runs where the module's scope ends, in a destructor.
//
// While any hook of the thread is alive every module runs by itself: norms are not folded into filters, and
// activations and residual sums are separate passes, as in PyTorch. Values differ from those without hooks by
// rounding.
class OutputHook {
 public:
  using Function = std::function<void(const Variable& output)>;
  // `module_name`: the string that the module opens its ModuleScope with. Its address says which module it
  // is; it must outlive the hook.
  OutputHook(const std::string& module_name, Function function);
  ~OutputHook();
  OutputHook(const OutputHook&) = delete;
  OutputHook& operator=(const OutputHook&) = delete;

  // Whether this thread has a hook.
  static bool any();

 private:
  friend class ModuleScope;
  const std::string* const module_;
  const Function function_;
};

}  // namespace atrous
