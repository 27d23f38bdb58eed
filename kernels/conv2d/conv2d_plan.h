// Convolutions as matrix products: what the host decides before tiles are multiplied. Uses no instruction
// set, so that every rung that multiplies tiles can share it.
//
//   pass               rows M    columns N    reduction
//   forward            N*P*Q     K            taps * C
//   backward_input     N*H*W     C            taps * K     one product per phase of the stride
//   backward_weight    K         taps * C     N*P*Q        split over blocks
//
// "taps * C" is one flat index, tap*C + c: whatever the number of channels, only its end can be padding (a
// stem of 7x7x3 has 147 terms, not 49 padded triples).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <numeric>

#include "core/host_device.h"
#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/conv2d.h"

namespace atrous::kernels {

// n / d for 0 <= n < 2^31 as a multiplication by the 33-bit number 2^32 + multiplier, which is 2^(32+shift) /
// d rounded up (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
struct Divider {
  uint32_t multiplier, shift, divisor;
  explicit Divider(int64_t d)
      : shift(static_cast<uint32_t>(std::bit_width(static_cast<uint64_t>(d - 1)))),
        divisor(static_cast<uint32_t>(d)) {
    const auto excess = (uint64_t{1} << shift) - static_cast<uint64_t>(d);
    multiplier = static_cast<uint32_t>((excess << 32) / static_cast<uint64_t>(d) + 1);
  }
  ATROUS_HD int quotient(int n) const {
    const auto u = static_cast<uint32_t>(n);
    return static_cast<int>((static_cast<uint32_t>(uint64_t{u} * multiplier >> 32) + u) >> shift);
  }
  ATROUS_HD int remainder(int n, int quotient) const { return n - quotient * static_cast<int>(divisor); }
};

// Gathering keeps one bit per tap and pixel.
inline constexpr int most_masked_taps = 64;

// Taps along an axis of the fullest phase of the gradient of the input.
constexpr int64_t most_gradient_taps(int64_t taps, int64_t stride, int64_t dilation) {
  return ceil_div(taps, stride / std::gcd(stride, dilation));
}

// Tiles of the result that one block computes, largest first.
struct TileShape {
  int m, n;
};
inline constexpr TileShape tile_shapes[] = {{128, 128}, {128, 64}, {64, 64}};

// Relative time of a block per step of the reduction: the products, and the loads that feed them.
constexpr int64_t tile_cost(TileShape t) {
  return t.m * t.n + 64 * (t.m + t.n);
}

// Index into tile_shapes, from `largest` on, for `products` matrix products of m x n: large tiles load less
// per product, small ones keep all multiprocessors busy.
inline int choose_tile(int largest, int64_t products, int64_t m, int64_t n, int multiprocessors) {
  int best = largest;
  int64_t least = INT64_MAX;
  for (int i = largest; i < static_cast<int>(std::size(tile_shapes)); ++i) {
    const TileShape t = tile_shapes[i];
    const int64_t tiles = products * ceil_div(m, t.m) * ceil_div(n, t.n);
    const int64_t cost = ceil_div(tiles, multiprocessors) * tile_cost(t);
    if (cost < least) best = i, least = cost;
  }
  return best;
}

// For products with few tiles and a long reduction: its steps are cut into `splits` runs of steps_per_split,
// whose results are added in their order.
struct SplitPlan {
  int tile = 0;
  int64_t splits = 1, steps_per_split = 0;
};
inline SplitPlan choose_split(int largest, int64_t m, int64_t n, int64_t steps, int multiprocessors) {
  constexpr int64_t least_steps = 8;                   // a run must be worth its partial result
  constexpr int64_t most_partials = int64_t{8} << 20;  // f32 values: 32 MiB
  SplitPlan best;
  int64_t least = INT64_MAX;
  for (int i = largest; i < static_cast<int>(std::size(tile_shapes)); ++i) {
    const TileShape t = tile_shapes[i];
    const int64_t tiles = ceil_div(m, t.m) * ceil_div(n, t.n);
    // Two blocks fit on a multiprocessor. Not one more: it would run after all others have finished.
    int64_t splits = std::min(2 * multiprocessors / tiles, ceil_div(steps, least_steps));
    splits = std::max<int64_t>(1, std::min(splits, most_partials / (m * n)));
    const int64_t per_split = ceil_div(steps, splits);
    splits = std::max<int64_t>(1, per_split ? ceil_div(steps, per_split) : 1);
    const int64_t cost = ceil_div(tiles * splits, multiprocessors) * per_split * tile_cost(t);
    if (cost < least) best = {i, splits, per_split}, least = cost;
  }
  return best;
}

}  // namespace atrous::kernels
