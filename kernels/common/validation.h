// ATROUS_VALIDATE=ref: what dispatch needs to run the reference beside an implementation, on the CPU if that
// one ran on a device.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

bool validation_is_on();

// Copies of device tensors on the CPU, bf16 as f32, for a reference to work on. Asked twice for a tensor, it
// gives the same copy.
class HostCopies {
 public:
  Tensor operator()(const Tensor& t);

 private:
  std::vector<std::pair<Tensor, Tensor>> copies_;
};
// An argument of an implementation for the reference. Structs that hold tensors have an overload of their
// own.
template <class X>
const X& on_host(const X& x, HostCopies&) {
  return x;
}
inline Tensor on_host(const Tensor& t, HostCopies& host) {
  return host(t);
}
inline std::vector<Tensor> on_host(const std::vector<Tensor>& tensors, HostCopies& host) {
  std::vector<Tensor> copies;
  for (const Tensor& t : tensors) copies.push_back(host(t));
  return copies;
}

// Compares `chosen` (what the implementation wrote) with `reference`; throws Error(internal) on a real
// difference.
void compare_with_reference(const char* entry, const std::string& problem, const char* name,
                            const std::vector<Tensor>& chosen, const std::vector<Tensor>& reference);

}  // namespace atrous::kernels
