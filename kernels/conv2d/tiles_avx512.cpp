// Tiles of 14 x 32 and 28 x 16: 28 accumulators, one row of b and a broadcast fill the 32 registers.
#include <immintrin.h>

#include "kernels/conv2d/group_tiles.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {
namespace {

using Vec = __m512;
constexpr int64_t lanes = 16;
constexpr int max_wide = 14, max_narrow = 28;

inline Vec load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline Vec broadcast(const float* p) {
  return _mm512_set1_ps(*p);
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline void store(float* p, Vec v) {
  _mm512_storeu_ps(p, v);
}
inline __mmask16 first(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
inline Vec load_first(const float* p, int64_t count) {
  return _mm512_maskz_loadu_ps(first(count), p);
}
inline void store_first(float* p, Vec v, int64_t count) {
  _mm512_mask_storeu_ps(p, first(count), v);
}

#include "kernels/conv2d/tiles.inc"

// For the tiles of groups: lane i of permute() is lane index[i] of v.
using Index = __m512i;
constexpr int max_group_pixels = 14, max_group_channels = 8;

inline Index load_index(const int32_t* p) {
  return _mm512_loadu_si512(p);
}
inline Vec permute(Vec v, Index index) {
  return _mm512_permutexvar_ps(index, v);
}

#include "kernels/conv2d/group_tiles.inc"

}  // namespace

const TileKernels& tile_kernels_avx512() {
  static constexpr TileKernels kernels{lanes, {max_wide, max_narrow}, forward, weight};
  return kernels;
}

const GroupKernels& group_kernels_avx512() {
  static constexpr GroupKernels kernels{lanes, max_group_pixels, max_group_channels, group_forward,
                                        group_weight};
  return kernels;
}

}  // namespace atrous::kernels
