// Products that are rounded before anything is added to them.
//
// nvcc contracts a * b + c into one instruction that rounds once. Where a decision depends on the last bit
// (is this overlap larger than that one?) every device must round like the reference, that is, twice.
#pragma once

#include "core/host_device.h"

namespace atrous::kernels {

ATROUS_HD inline float rounded_product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace atrous::kernels
