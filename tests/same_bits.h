// Equality of tensors to the last bit: NaN equals the same NaN, and -0 does not equal 0.
#pragma once

#include <cstring>

#include "core/tensor.h"

namespace atrous {

// On any devices and of any strides. Two undefined tensors are the same.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const Tensor x = a.to(Device::cpu).contiguous_copy_if_needed();
  const Tensor y = b.to(Device::cpu).contiguous_copy_if_needed();
  return x.bytes() == 0 || std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

}  // namespace atrous
