// The implementations of dropout; private to this folder.
#pragma once

#include "kernels/dropout/dropout.h"

namespace atrous::kernels {

using DropoutFn = void(const DropoutProblem&, const Tensor& x, const Tensor& y);
DropoutFn dropout_ref, dropout_cpu;

}  // namespace atrous::kernels
