// CUDA's language for .cu files, on both compilers: nvcc, and the host compiler with the simulator
// (kernels/sim).
//
// Kernels use CUDA's own names: __global__, threadIdx, __syncthreads, __shfl_xor_sync, atomicAdd. Only what
// the host compiler cannot spell is wrapped:
//
//   launch<kernel<float, 4>>({grid, block, shared_bytes}, arguments...)          instead of <<<>>>
//   ATROUS_SHARED(float, tile, [32][33]);                                        instead of __shared__
//   ATROUS_DYNAMIC_SHARED(bytes);                                                instead of extern __shared__
//   mma_*, ldmatrix_*, cp_async_*, barrier_*  (mma.h, async.h)                   instead of inline PTX
//
// Everything in a .cu lives in a namespace that ends in ATROUS_GPU: `cuda` or `sim`, so that both can be
// linked together.
#pragma once

#include "core/device_runtime.h"
#include "core/tensor.h"
#include "kernels/gpu/compiler.h"

#if defined(__CUDACC__)
#define ATROUS_SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#define ATROUS_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define ATROUS_UNROLL _Pragma("unroll")
#else
#include "kernels/sim/cuda_names.h"
#define ATROUS_UNROLL
#endif

#include "kernels/gpu/block.h"
#include "kernels/gpu/launch.h"
#include "kernels/gpu/vector.h"
