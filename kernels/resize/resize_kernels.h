// Implementations of resize; resize.cpp lists them.
#pragma once

#include <vector>

#include "kernels/resize/resize.h"

namespace atrous::kernels::resize {

// For each output index along one axis, what it reads.
inline std::vector<ResizeTap> taps_of(const ResizeProblem& p, int64_t in, int64_t out) {
  std::vector<ResizeTap> taps(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i)
    taps[static_cast<size_t>(i)] = resize_tap(p.mode, p.align_corners, i, in, out);
  return taps;
}

void forward_ref(const ResizeProblem& p, const Tensor& x, const Tensor& y);
void backward_ref(const ResizeProblem& p, const Tensor& dy, const Tensor& dx);
void forward_separable(const ResizeProblem& p, const Tensor& x, const Tensor& y);
void backward_separable(const ResizeProblem& p, const Tensor& dy, const Tensor& dx);

}  // namespace atrous::kernels::resize
