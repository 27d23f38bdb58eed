#include "layers/low_precision.h"

namespace atrous::layers {

Tensor low_precision(const Variable& parameter) {
  Tensor copy = parameter.low_precision_copy();
  if (!copy.defined()) {
    copy = parameter.value().to(DType::bf16);
    parameter.set_low_precision_copy(copy);
  }
  return copy;
}

void set_low_precision(const Variable& parameter, Tensor copy) {
  parameter.set_low_precision_copy(std::move(copy));
}

Tensor filter_for(const Variable& filter, DType dtype) {
  return dtype == DType::bf16 && filter.dtype() == DType::f32 ? low_precision(filter) : filter.value();
}

}  // namespace atrous::layers
