// Tiles of 6 x 16 and 12 x 8: 12 accumulators, one row of b and a broadcast fit into the 16 registers.
#include <immintrin.h>

#include "kernels/conv2d/group_tiles.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {
namespace {

using Vec = __m256;
constexpr int64_t lanes = 8;
constexpr int max_wide = 6, max_narrow = 12;

inline Vec load(const float* p) {
  return _mm256_loadu_ps(p);
}
inline Vec broadcast(const float* p) {
  return _mm256_broadcast_ss(p);
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline void store(float* p, Vec v) {
  _mm256_storeu_ps(p, v);
}
inline __m256i first(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_first(const float* p, int64_t count) {
  return _mm256_maskload_ps(p, first(count));
}
inline void store_first(float* p, Vec v, int64_t count) {
  _mm256_maskstore_ps(p, first(count), v);
}

#include "kernels/conv2d/tiles.inc"

// For the tiles of groups: lane i of permute() is lane index[i] of v.
using Index = __m256i;
constexpr int max_group_pixels = 7, max_group_channels = 4;

inline Index load_index(const int32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Vec permute(Vec v, Index index) {
  return _mm256_permutevar8x32_ps(v, index);
}

#include "kernels/conv2d/group_tiles.inc"

}  // namespace

const TileKernels& tile_kernels_avx2() {
  static constexpr TileKernels kernels{lanes, {max_wide, max_narrow}, forward, weight};
  return kernels;
}

const GroupKernels& group_kernels_avx2() {
  static constexpr GroupKernels kernels{lanes, max_group_pixels, max_group_channels, group_forward,
                                        group_weight};
  return kernels;
}

}  // namespace atrous::kernels
