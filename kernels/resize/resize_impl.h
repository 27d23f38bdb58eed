// Implementations of resize; resize.cpp lists them.
#pragma once

#include <vector>

#include "kernels/gpu/declare.h"
#include "kernels/resize/resize.h"

namespace atrous::kernels::resize {

// The taps of each output index along one axis.
inline std::vector<ResizeTap> taps_of(const ResizeProblem& p, int64_t in, int64_t out) {
  std::vector<ResizeTap> taps(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i)
    taps[static_cast<size_t>(i)] = resize_tap(p.mode, p.align_corners, i, in, out);
  return taps;
}

// GPU rung "separable": a block keeps the taps of this many output rows and columns in shared memory.
inline constexpr int most_readers = 256;

// How many neighbouring input columns have at most most_readers readers together; 0 if not even one has,
// or if an input row has more.
int columns_in_reach(const ResizeProblem& p);

using Fn = void(const ResizeProblem&, const Tensor& from, const Tensor& to);
Fn forward_ref, backward_ref, forward_separable, backward_separable;
ATROUS_DECLARE_ON_GPU(Fn forward_naive, forward_tabulated, forward_twice;
                      Fn backward_naive, backward_separable_rows, backward_twice;)

}  // namespace atrous::kernels::resize
