// For op tables: launchers that exist once per GPU device. Plain C++; holds no device code.
//
// A .cu file is compiled twice, into namespace `cuda` by nvcc and into namespace `sim` by the host compiler.
//
//   ATROUS_DECLARE_ON_GPU(ForwardFn forward_naive, forward_tiled;)         in <op>_impl.h
//   ATROUS_ON_GPU("tiled", why_not_tiled, forward_tiled),                  rows of a table in <op>.cpp
#pragma once

#include "kernels/common/dispatch.h"

#define ATROUS_DECLARE_ON_GPU(...) \
  namespace cuda {                 \
  __VA_ARGS__                      \
  }                                \
  namespace sim {                  \
  __VA_ARGS__                      \
  }

#ifdef ATROUS_WITH_CUDA
#define ATROUS_ON_GPU(name, why_not, function)     \
  {name, Device::cuda, why_not, cuda::function}, { \
    name, Device::sim, why_not, sim::function      \
  }
#else
#define ATROUS_ON_GPU(name, why_not, function) \
  { name, Device::sim, why_not, sim::function }
#endif
