// The gradient of the filter on CPUs:
//
//   dw[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k]
//                 * x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, c]
//
// A matrix product whose reduction runs over pixels. Tiles hold a few output channels times a few neighbours
// of the filter row in registers (vectors of output channels where there are very few input channels); pixels
// pass by in strips that stay in the first two cache levels while all tiles visit them.
#pragma once

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {

// One group: p.c and p.k are its channels (p.groups is 1); rows of dw are dw_stride = R*S*C floats apart.
struct WeightGradient {
  Conv2dProblem p;
  Grid dy, x;
  float* dw;
};

// result[size] = sum of the rows of partial[count][size], in their order: the same bits on any number of
// threads.
void sum_partial_gradients(const float* partial, int64_t count, int64_t size, float* result);

void weight_gradient(const WeightGradient& problem, const TileKernels& kernels);

}  // namespace atrous::kernels
