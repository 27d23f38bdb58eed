// For the rows of entries: launchers that exist once per GPU device. Plain C++; holds no device code.
//
// A .cu file is compiled twice, into namespace `cuda` by nvcc and into namespace `sim` by the host compiler.
//
//   ATROUS_DECLARE_ON_GPU(ForwardFn forward_naive, forward_tiled;)         in <op>_impl.h
//   ATROUS_ON_GPU("tiled", can_tile, forward_tiled),                       rows of an entry in <op>.cpp
//   ATROUS_ON_GPU("tiled", can_tile, forward_tiled, {.prefers = large}),   with traits
#pragma once

#include "kernels/common/implementation.h"

#define ATROUS_DECLARE_ON_GPU(...) \
  namespace cuda {                 \
  __VA_ARGS__                      \
  }                                \
  namespace sim {                  \
  __VA_ARGS__                      \
  }

#ifdef ATROUS_WITH_CUDA
#define ATROUS_ON_GPU(name, can, function, ...)                           \
  {name, Device::cuda, can, cuda::function __VA_OPT__(, ) __VA_ARGS__}, { \
    name, Device::sim, can, sim::function __VA_OPT__(, ) __VA_ARGS__      \
  }
#else
#define ATROUS_ON_GPU(name, can, function, ...) \
  { name, Device::sim, can, sim::function __VA_OPT__(, ) __VA_ARGS__ }
#endif
