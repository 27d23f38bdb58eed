// Differentiable softmax over the channels (the last axis).
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

Variable softmax(const Variable& x);
Variable log_softmax(const Variable& x);

}  // namespace atrous::layers
