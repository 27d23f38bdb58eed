// The gradient of the filter on CPUs with bf16 factors:
//
//   dw[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k]
//                 * x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, c]
#pragma once

#include "kernels/conv2d/bf16_tiles.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/rows.h"

namespace atrous::kernels {

// One group: p.c and p.k are its channels (p.groups is 1). dw is [K,R,S,C], contiguous.
void weight_gradient_bf16(const Conv2dProblem& p, const Grid& dy, const Grid& x, float* dw,
                          const Bf16Kernels& kernels);

}  // namespace atrous::kernels
