// Marks formulas that the reference, the CPU and the CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define ATROUS_HD __host__ __device__
#else
#define ATROUS_HD
#endif
