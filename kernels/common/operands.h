// The tensors among the arguments of an op, and what the op does with each.
//
//   forward(problem, x, gamma, writes(y));    // an argument that is not marked is read
//   step(problem, updates(parameters));       // read and written
//
// A struct that holds tensors has
//
//   template <class Self, class F>
//   static void each_tensor(Self& self, const F& f);   // f(self.x); f(self.sums, Access::write); ...
//
// where Self is the struct or const struct. Vectors of tensors and of such structs need no declaration.
#pragma once

#include <initializer_list>
#include <type_traits>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

enum class Access : unsigned char { read, write, update, scratch };

template <class X>
struct Written {
  X& value;
  Access access;
};
// Every element is determined by the other arguments. Also structs whose tensors the op itself allocates.
template <class X>
Written<X> writes(X& x) {
  return {x, Access::write};
}
template <class X>
Written<X> updates(X& x) {
  return {x, Access::update};
}
// Memory whose contents do not matter, neither before nor after.
template <class X>
Written<X> scratch(X& x) {
  return {x, Access::scratch};
}

template <class X>
inline constexpr bool is_written = false;
template <class X>
inline constexpr bool is_written<Written<X>> = true;

// The argument itself, in the form that implementations take.
template <class X>
const X& value_of(const X& x) {
  return x;
}
template <class X>
X& value_of(const Written<X>& x) {
  return x.value;
}
template <class X>
constexpr Access access_of(const X&) {
  return Access::read;
}
template <class X>
Access access_of(const Written<X>& x) {
  return x.access;
}

// Calls f(tensor, access) for each tensor in a value, undefined ones too.
template <class X, class F>
void each_tensor(X& value, Access access, const F& f);

// The argument of a struct's each_tensor: members have the access of the whole or their own.
template <class F>
struct EachTensor {
  const F& f;
  Access access;
  template <class X>
  void operator()(X& member) const {
    kernels::each_tensor(member, access, f);
  }
  template <class X>
  void operator()(X& member, Access own) const {
    kernels::each_tensor(member, own, f);
  }
};

template <class X, class F>
void each_tensor(X& value, Access access, const F& f) {
  using Value = std::remove_const_t<X>;
  if constexpr (std::is_same_v<Value, Tensor>) {
    f(value, access);
  } else if constexpr (requires {
                         typename Value::value_type;
                         value.begin();
                       }) {
    if constexpr (std::is_class_v<typename Value::value_type>) {
      for (auto& element : value) each_tensor(element, access, f);
    }
  } else if constexpr (requires { Value::each_tensor(value, EachTensor<F>{f, access}); }) {
    Value::each_tensor(value, EachTensor<F>{f, access});
  } else {
    static_assert(
        !requires { *value; }, "tensors behind a pointer or an optional would not be seen");
  }
}

// Throws Error(usage) unless all defined tensors lie on one device, which it keeps.
class SameDevice {
 public:
  explicit SameDevice(const char* where) : where_(where) {}
  void operator()(const Tensor& t, Access) const {
    if (!t.defined()) return;
    if (!first_) first_ = &t;
    if (t.device() != first_->device()) [[unlikely]]
      refuse(t);
  }
  Device device() const { return first_ ? first_->device() : Device::cpu; }

 private:
  [[noreturn]] void refuse(const Tensor& t) const;
  const char* where_;
  mutable const Tensor* first_ = nullptr;
};

// The same for tensors that are not arguments of an entry.
void check_same_device(const char* where, std::initializer_list<Tensor> tensors);

}  // namespace atrous::kernels
