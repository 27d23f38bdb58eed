// The tiles of bf16_tiles.h in two instruction sets.
//
// tdpbf16ps (AMX) multiplies whole blocks: four of results, two of each factor fill the eight tile registers.
// vdpbf16ps (AVX-512) multiplies a pair of one row by the pairs of 16 columns; 8 rows of two vectors keep it
// busy. On one core of a Sapphire Rapids Xeon the bare instructions reach 3050 and 89 GFLOP/s, fmadd in f32
// 190: there vdpbf16ps is for machines whose system withholds AMX. Zen 4 reaches 235 with it and 117 in f32.
#include <immintrin.h>

#include <cstring>

#include "kernels/conv2d/bf16_tiles.h"

namespace atrous::kernels {
namespace {

constexpr int64_t rows_at_once = 8;

inline __m512i broadcast_pair(const uint16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

template <int Vectors>
void multiply_rows(const Bf16Tile& t, int64_t block, int64_t first) {
  __m512 sum[rows_at_once][Vectors];
  const int64_t row = block * bf16_lanes + first;
#pragma GCC unroll 8
  for (int64_t i = 0; i < rows_at_once; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      sum[i][v] = _mm512_loadu_ps(t.start + (row + i) * t.start_stride + v * bf16_lanes);
  }
  for (int64_t run = 0; run < t.run_count; ++run) {
    const uint16_t* a = t.runs[run].a[block] + first * t.a_stride;
    const uint16_t* b = t.runs[run].b;
    for (int64_t step = t.runs[run].steps; step > 0; --step, a += bf16_step, b += Vectors * bf16_block) {
      for (int64_t pair = 0; pair < bf16_step / 2; ++pair) {
        __m512i column[Vectors];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v)
          column[v] = _mm512_loadu_si512(b + v * bf16_block + pair * 2 * bf16_lanes);
#pragma GCC unroll 8
        for (int64_t i = 0; i < rows_at_once; ++i) {
          const __m512i value = broadcast_pair(a + i * t.a_stride + 2 * pair);
#pragma GCC unroll 2
          for (int v = 0; v < Vectors; ++v)
            sum[i][v] = _mm512_dpbf16_ps(sum[i][v], (__m512bh)value, (__m512bh)column[v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < rows_at_once; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      _mm512_storeu_ps(t.result + (row + i) * t.result_stride + v * bf16_lanes, sum[i][v]);
  }
}

void multiply_avx512(const Bf16Tile& t, int64_t row_blocks, int64_t vectors) {
  for (int64_t block = 0; block < row_blocks; ++block) {
    for (int64_t first = 0; first < bf16_lanes; first += rows_at_once)
      vectors == 2 ? multiply_rows<2>(t, block, first) : multiply_rows<1>(t, block, first);
  }
}

// Registers: 0 to 3 hold results (2 * block of rows + vector), 4 and 5 blocks of a, 6 and 7 blocks of b.
template <int Blocks, int Vectors>
void multiply_tiles(const Bf16Tile& t) {
  const int64_t start_stride = t.start_stride * 4, result_stride = t.result_stride * 4;
  const float* start = t.start + bf16_lanes * t.start_stride;
  _tile_loadd(0, t.start, start_stride);
  if constexpr (Vectors == 2) _tile_loadd(1, t.start + bf16_lanes, start_stride);
  if constexpr (Blocks == 2) _tile_loadd(2, start, start_stride);
  if constexpr (Blocks == 2 && Vectors == 2) _tile_loadd(3, start + bf16_lanes, start_stride);
  const int64_t a_stride = t.a_stride * 2;
  constexpr int64_t b_stride = 64;
  for (int64_t run = 0; run < t.run_count; ++run) {
    const uint16_t* a0 = t.runs[run].a[0];
    const uint16_t* a1 = t.runs[run].a[1];
    const uint16_t* b = t.runs[run].b;
    for (int64_t step = t.runs[run].steps; step > 0; --step) {
      _tile_loadd(6, b, b_stride);
      _tile_loadd(4, a0, a_stride);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (Vectors == 2) {
        _tile_loadd(7, b + bf16_block, b_stride);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (Blocks == 2) {
        _tile_loadd(5, a1, a_stride);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (Vectors == 2) _tile_dpbf16ps(3, 5, 7);
      }
      a0 += bf16_step;
      a1 += bf16_step;
      b += Vectors * bf16_block;
    }
  }
  float* result = t.result + bf16_lanes * t.result_stride;
  _tile_stored(0, t.result, result_stride);
  if constexpr (Vectors == 2) _tile_stored(1, t.result + bf16_lanes, result_stride);
  if constexpr (Blocks == 2) _tile_stored(2, result, result_stride);
  if constexpr (Blocks == 2 && Vectors == 2) _tile_stored(3, result + bf16_lanes, result_stride);
}

void multiply_amx(const Bf16Tile& t, int64_t row_blocks, int64_t vectors) {
  if (row_blocks == 2) {
    vectors == 2 ? multiply_tiles<2, 2>(t) : multiply_tiles<2, 1>(t);
  } else {
    vectors == 2 ? multiply_tiles<1, 2>(t) : multiply_tiles<1, 1>(t);
  }
}

void begin_amx() {
  struct alignas(64) Configuration {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static constexpr Configuration configuration;
  _tile_loadconfig(&configuration);
}

// Data that a thread leaves in the tile registers would be saved at each context switch.
void end_amx() {
  _tile_release();
}

}  // namespace

const Bf16Kernels& bf16_kernels_avx512() {
  static constexpr Bf16Kernels kernels{[] {}, [] {}, multiply_avx512};
  return kernels;
}

const Bf16Kernels& bf16_kernels_amx() {
  static constexpr Bf16Kernels kernels{begin_amx, end_amx, multiply_amx};
  return kernels;
}

}  // namespace atrous::kernels
