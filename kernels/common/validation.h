// ATROUS_VALIDATE=ref: how an entry runs the reference beside an implementation, on the CPU if that
// one runs on a device.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "kernels/common/arithmetic.h"
#include "kernels/common/operands.h"

namespace atrous::kernels {

bool validation_is_on();

// The type of the activations of a problem, for problems of bf16 that a reference runs in f32. Problems
// without a member `dtype` overload it; null for those without a choice of types.
template <class Problem>
DType* activation_dtype(Problem& p) {
  if constexpr (requires { p.dtype; })
    return &p.dtype;
  else
    return nullptr;
}

// The problem of a reference whose tensors come from `device`.
template <class Problem>
Problem on_host(const Problem& problem, Device device) {
  Problem p = problem;
  if (DType* dtype = activation_dtype(p); dtype && device != Device::cpu && *dtype == DType::bf16)
    *dtype = DType::f32;
  return p;
}

// Whether on_host converted bf16 to f32.
template <class Problem>
bool is_narrowed(const Problem& problem, const Problem& on_host) {
  Problem a = problem, b = on_host;
  const DType* dtype = activation_dtype(a);
  return dtype && *dtype != *activation_dtype(b);
}

// One call, run by an implementation and by the reference: the arguments of the latter, and the comparison.
class Validation {
 public:
  // `narrow`: the problem is one of bf16 on a device, which the reference works on in f32.
  Validation(Device device, bool narrow) : device_(device), narrow_(narrow) {}

  // Visitors of kernels/common/operands.h: of the written tensors, before anything else; then of the
  // implementation's results and of the reference's.
  auto note() {
    return [this](const Tensor& t, Access access) { keep(written_, t, access); };
  }
  auto chosen() {
    return [this](const Tensor& t, Access access) { keep(chosen_, t, access); };
  }
  auto expected() {
    return [this](const Tensor& t, Access access) { keep(expected_, t, access); };
  }

  // An argument for the reference, on the CPU: a copy if it is read, a new tensor if it is written.
  template <class X>
  std::remove_const_t<X> copy(X& value, Access access) const {
    std::remove_const_t<X> result = value;
    each_tensor(result, access, [this](Tensor& t, Access a) { t = copy_of(t, a); });
    return result;
  }

  // Throws Error(internal) on a real difference.
  void check(const char* entry, const std::string& problem, const char* name, Accuracy accuracy) const;

 private:
  static void keep(std::vector<Tensor>& list, const Tensor& t, Access access) {
    if (access == Access::write || access == Access::update) list.push_back(t);
  }
  Tensor copy_of(const Tensor& t, Access access) const;

  const Device device_;
  const bool narrow_;
  std::vector<Tensor> written_, chosen_, expected_;
};

// Compares `chosen` (what the implementation wrote) with `reference`; throws Error(internal) on a real
// difference.
void compare_with_reference(const char* entry, const std::string& problem, const char* name,
                            Accuracy accuracy, const std::vector<Tensor>& chosen,
                            const std::vector<Tensor>& reference);

}  // namespace atrous::kernels
