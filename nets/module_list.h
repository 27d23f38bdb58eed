// Modules of one kind under the names "0", "1", ... of a common parent.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "layers/module.h"

namespace atrous::nets {

template <class Child>
class ModuleList : public layers::Module {
 public:
  template <class... Args>
  void append(Args&&... args) {
    items.push_back(register_module<Child>(std::to_string(items.size()), std::forward<Args>(args)...));
  }
  std::string kind() const override { return "ModuleList"; }

  std::vector<std::shared_ptr<Child>> items;
};

}  // namespace atrous::nets
