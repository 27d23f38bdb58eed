#include "kernels/conv2d/kept_filters.h"

namespace atrous::kernels {

FloatBuffer KeptFilters::get(const std::string& name, const std::function<FloatBuffer()>& make) {
  std::lock_guard lock(mutex_);
  const auto it = forms_.find(name);
  return it != forms_.end() ? it->second : forms_.emplace(name, make()).first->second;
}

}  // namespace atrous::kernels
