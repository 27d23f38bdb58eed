#include "layers/model.h"

namespace atrous::layers {

Device Model::device() const {
  const std::vector<NamedParameter> all = parameters();
  return all.empty() ? Device::cpu : all.front().variable.value().device();
}

bool Model::has_backbone() const {
  bool any = false;
  visit([&](const std::string& name, const Variable*, const Tensor*) { any = any || in_backbone(name); });
  return any;
}

}  // namespace atrous::layers
