// Tensor-core instructions of compute capability 8.0 (PTX ISA, "Warp-level matrix instructions"). A warp
// multiplies small matrices whose elements are spread over its lanes; with g = lane / 4 and t = lane % 4 a
// lane holds
//
//   mma_bf16   C[16x8] += A[16x16] B[16x8]     (two bf16 per register, the lower column or row in the
//                                               low half)
//     a[0] A[g][2t..]   a[1] A[g+8][2t..]   a[2] A[g][2t+8..]   a[3] A[g+8][2t+8..]
//     b[0] B[2t..][g]   b[1] B[2t+8..][g]
//     c[0] C[g][2t]     c[1] C[g][2t+1]     c[2] C[g+8][2t]     c[3] C[g+8][2t+1]
//   mma_tf32   C[16x8] += A[16x8] B[8x8]       (bits of f32; the low 13 mantissa bits are ignored)
//     a[0] A[g][t]      a[1] A[g+8][t]      a[2] A[g][t+4]      a[3] A[g+8][t+4]
//     b[0] B[t][g]      b[1] B[t+4][g]      c as above
//
// ldmatrix reads 8x8 matrices of 16-bit elements from shared memory: lane l gives the address of a row (16
// bytes, aligned; row l % 8 of matrix l / 8) and receives in r[i] the elements [g][2t], [g][2t+1] of matrix
// i; `_trans` the elements [2t][g], [2t+1][g]. All lanes of the warp take part in each of these.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/gpu/compiler.h"
#if !defined(__CUDACC__)
#include "kernels/sim/tensor_core.h"
#endif

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

#if defined(__CUDACC__)

__device__ inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Nearest tf32 (10 mantissa bits), ties away from zero.
__device__ inline uint32_t to_tf32(float x) {
  uint32_t result;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
  return result;
}

#define ATROUS_LDMATRIX(row) const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row))
__device__ inline void ldmatrix(uint32_t (&r)[4], const void* row) {
  ATROUS_LDMATRIX(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ inline void ldmatrix(uint32_t (&r)[2], const void* row) {
  ATROUS_LDMATRIX(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(address)
               : "memory");
}
__device__ inline void ldmatrix_trans(uint32_t (&r)[4], const void* row) {
  ATROUS_LDMATRIX(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ inline void ldmatrix_trans(uint32_t (&r)[2], const void* row) {
  ATROUS_LDMATRIX(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(address)
               : "memory");
}
#undef ATROUS_LDMATRIX

#else

using simulator::ldmatrix;
using simulator::ldmatrix_trans;
using simulator::mma_bf16;
using simulator::mma_tf32;

inline uint32_t to_tf32(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return (finite ? bits + 0x1000u : bits) & ~0x1fffu;
}

#endif

// Two neighbours as one register of mma_bf16; `low` has the smaller column or row.
ATROUS_HD inline uint32_t pack_bf16(uint16_t low, uint16_t high) {
  return low | static_cast<uint32_t>(high) << 16;
}

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
