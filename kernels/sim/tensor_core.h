// Tensor-core instructions on the simulator; kernels/gpu/mma.h documents them.
#pragma once

#include <cstdint>

#include "kernels/sim/cuda_names.h"

namespace atrous::simulator {

struct MmaLane {
  float* c;
  const uint32_t* a;
  const uint32_t* b;
};
Compute compute_mma_bf16, compute_mma_tf32;

inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     Site site = Site::current()) {
  MmaLane lane{c, a, b};
  warp_collective(~0u, &lane, compute_mma_bf16, false, "mma_bf16", site);
}
inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     Site site = Site::current()) {
  MmaLane lane{c, a, b};
  warp_collective(~0u, &lane, compute_mma_tf32, false, "mma_tf32", site);
}

// A lane reads its own row, visible to the race detector; then the rows are dealt out.
struct LdmatrixLane {
  uint32_t row[4];
  uint32_t* result;
};
Compute compute_ldmatrix_2, compute_ldmatrix_4, compute_ldmatrix_trans_2, compute_ldmatrix_trans_4;

inline void ldmatrix_row(uint32_t* result, int matrices, const void* row, Compute* compute, Site site) {
  LdmatrixLane lane{{}, result};
  if (static_cast<int>(own_lane()) < 8 * matrices) {  // the addresses of other lanes are not used
    if (!is_shared(row, 16)) fail_kernel("ldmatrix: the row is not in shared memory");
    if (reinterpret_cast<uintptr_t>(row) % 16)
      fail_kernel("misaligned access: a row of ldmatrix begins at a multiple of 16 bytes");
    for (int i = 0; i < 4; ++i) lane.row[i] = static_cast<const uint32_t*>(row)[i];
  }
  warp_collective(~0u, &lane, compute, false, "ldmatrix", site);
}
inline void ldmatrix(uint32_t (&r)[4], const void* row, Site site = Site::current()) {
  ldmatrix_row(r, 4, row, compute_ldmatrix_4, site);
}
inline void ldmatrix(uint32_t (&r)[2], const void* row, Site site = Site::current()) {
  ldmatrix_row(r, 2, row, compute_ldmatrix_2, site);
}
inline void ldmatrix_trans(uint32_t (&r)[4], const void* row, Site site = Site::current()) {
  ldmatrix_row(r, 4, row, compute_ldmatrix_trans_4, site);
}
inline void ldmatrix_trans(uint32_t (&r)[2], const void* row, Site site = Site::current()) {
  ldmatrix_row(r, 2, row, compute_ldmatrix_trans_2, site);
}

}  // namespace atrous::simulator
