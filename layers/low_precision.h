// Parameters are f32 masters; kernels that read activations in bf16 need filters in bf16 too.
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

// The bf16 copy of a parameter: the one that set_low_precision installed if it is current, else a fresh
// conversion, kept for the next call.
Tensor low_precision(const Variable& parameter);
// Installs a copy that belongs to the parameter's present value (an optimiser writes both in one pass).
void set_low_precision(const Variable& parameter, Tensor copy);

// The filter in the type that kernels need for activations of `dtype`.
Tensor filter_for(const Variable& filter, DType dtype);

}  // namespace atrous::layers
