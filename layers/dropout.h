// Differentiable dropout (kernels/dropout/dropout.h).
#pragma once

#include "core/autograd.h"
#include "core/random.h"

namespace atrous::layers {

// y = mask * x / (1 - p) in training, x itself otherwise (and for p = 0). The caller gives a fresh key per
// call, for example {run seed, mix_streams(step, layer number)}; the same key gives the same mask. Nothing is
// stored for backward.
Variable dropout(const Variable& x, double p, RandomKey key, bool training = true);
// Drops whole channels of an image.
Variable dropout2d(const Variable& x, double p, RandomKey key, bool training = true);

}  // namespace atrous::layers
