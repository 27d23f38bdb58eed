// Which compiler a .cu file goes through: nvcc, or the host compiler with the simulator.
//
// One program holds the output of both. Inline functions of the same name but with different bodies would be
// one function to the linker, which keeps either; so what kernels/gpu/*.h define lives in a namespace that
// names the compiler and that callers do not see.
#pragma once

#include "core/host_device.h"

#if defined(__CUDACC__)
#define ATROUS_GPU cuda
#define ATROUS_COMPILER on_cuda
#else
#define ATROUS_GPU sim
#define ATROUS_COMPILER on_sim
#endif
