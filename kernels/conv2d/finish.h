// The work after the sums of a correlation, for pixels that are still in a cache.
#pragma once

#include "kernels/conv2d/correlation_shape.h"

namespace atrous::kernels {

struct FinishedPixels {
  float* y;          // the first pixel's channel `k`
  int64_t y_stride;  // floats between pixels
  int64_t index;     // of the first pixel among those of all images
  int64_t pixels;
  int64_t k, channels;
};

// Statistics, residual and ReLU, whichever the operands have. `sums` of these channels are added to, those of
// squares lie `squares` behind.
void finish_pixels(const CorrelationOperands& operands, const FinishedPixels& pixels, double* sums,
                   int64_t squares);

}  // namespace atrous::kernels
