// Differentiable padding and cropping of [N,H,W,C].
#pragma once

#include "core/autograd.h"
#include "kernels/pad/pad.h"

namespace atrous::layers {

using kernels::PadMode;
using kernels::PadOptions;

// kernels/pad/pad.h. Negative pads crop. `out`, if given, receives the result (a slice of a ConcatBuffer).
Variable pad(const Variable& x, const PadOptions& options, const Tensor& out = {});

// Rows [top, top + height) and columns [left, left + width). Error (usage) if they do not lie inside x.
Variable crop(const Variable& x, int64_t top, int64_t left, int64_t height, int64_t width,
              const Tensor& out = {});

// The central height x width part; offsets floor((H - height) / 2), floor((W - width) / 2).
Variable center_crop(const Variable& x, int64_t height, int64_t width, const Tensor& out = {});

}  // namespace atrous::layers
