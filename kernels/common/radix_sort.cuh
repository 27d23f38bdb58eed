// Sorts integers by some of their bits on a GPU: least digit first, each pass stable.
//
// A pass over tiles of items, a block each:
//   1. count    how many items of each tile have each digit
//   2. scan     a warp per digit: the sum over the tiles before each, and over all
//   3. scatter  every item goes behind those of smaller digits, those of its digit in earlier tiles, and
//               those before it in the tile. A warp takes 32 neighbours at a time: lanes with equal digits
//               find each other by a vote, so that ranks follow the order of memory without an atomic
#pragma once

#include <utility>

#include "kernels/common/block_sort.cuh"

namespace atrous::kernels::ATROUS_GPU {

namespace radix {

constexpr int threads = 256, warps = threads / 32;
constexpr int digit_bits = 8, digits = 1 << digit_bits;
static_assert(digits == threads);  // a thread per digit
constexpr int rounds = 8;          // of 32 items, by each warp
constexpr int tile = threads * rounds;

template <class Key>
struct Pass {
  const Key* from;
  Key* to;
  int64_t count;
  int shift, bits;
  int32_t* counts;  // [digits, tiles]
  int32_t* totals;  // [digits]
  int tiles;

  __device__ int digit_of(Key item) const { return static_cast<int>(item >> shift) & ((1 << bits) - 1); }
};

template <class Key>
__global__ void __launch_bounds__(threads) radix_count_kernel(Pass<Key> pass) {
  ATROUS_SHARED(int, counts, [digits]);
  const int own = static_cast<int>(threadIdx.x);
  counts[own] = 0;
  __syncthreads();
  const int64_t begin = int64_t{blockIdx.x} * tile + own;
  for (int r = 0; r < rounds; ++r) {
    const int64_t i = begin + r * threads;
    if (i < pass.count) atomicAdd(&counts[pass.digit_of(pass.from[i])], 1);
  }
  __syncthreads();
  pass.counts[static_cast<int64_t>(own) * pass.tiles + blockIdx.x] = counts[own];
}

// Each row of counts becomes its exclusive sums; `totals` the sums of the rows. A warp per row: there are few
// tiles.
template <class Key>
__global__ void __launch_bounds__(32) radix_scan_kernel(Pass<Key> pass) {
  int32_t* row = pass.counts + int64_t{blockIdx.x} * pass.tiles;
  int before = 0;
  for (int first = 0; first < pass.tiles; first += 32) {
    const int i = first + static_cast<int>(threadIdx.x);
    int total = 0;
    const int sum = exclusive_sum(i < pass.tiles ? row[i] : 0, total);
    if (i < pass.tiles) row[i] = before + sum;
    before += total;
  }
  if (threadIdx.x == 0) pass.totals[blockIdx.x] = before;
}

template <class Key>
__global__ void __launch_bounds__(threads) radix_scatter_kernel(Pass<Key> pass) {
  ATROUS_SHARED(int, next, [warps][digits]);  // counts of each warp, then positions of its items of a digit
  const int own = static_cast<int>(threadIdx.x), warp = own / 32, lane = own % 32;
  for (int w = 0; w < warps; ++w) next[w][own] = 0;
  __syncthreads();

  const int64_t begin = int64_t{blockIdx.x} * tile + warp * (32 * rounds) + lane;
  Key items[rounds];
  int ranks[rounds];  // among the items of this warp with the same digit
  ATROUS_UNROLL
  for (int r = 0; r < rounds; ++r) {
    const int64_t i = begin + r * 32;
    const bool exists = i < pass.count;
    items[r] = exists ? pass.from[i] : Key{0};
    const int digit = exists ? pass.digit_of(items[r]) : digits;
    const unsigned same = __match_any_sync(~0u, digit), before = same & ((1u << lane) - 1);
    ranks[r] = exists ? next[warp][digit] + __popc(before) : 0;
    __syncwarp();  // all have read the count
    if (exists && before == 0) next[warp][digit] += __popc(same);
    __syncwarp();
  }

  __syncthreads();
  int total = 0;
  int at = exclusive_sum(pass.totals[own], total) +
           pass.counts[static_cast<int64_t>(own) * pass.tiles + blockIdx.x];
  for (int w = 0; w < warps; ++w) {
    const int here = next[w][own];
    next[w][own] = at;
    at += here;
  }
  __syncthreads();
  ATROUS_UNROLL
  for (int r = 0; r < rounds; ++r) {
    if (begin + r * 32 < pass.count) pass.to[next[warp][pass.digit_of(items[r])] + ranks[r]] = items[r];
  }
}

}  // namespace radix

// Sorts `count` < 2^31 items by `bits` bits from `shift` on. `items` and `other` are workspaces of i64 that
// hold them; the sorted ones lie in that which is returned. Other bits keep their order.
template <class Key>
Tensor radix_sort(Tensor items, Tensor other, int64_t count, int shift, int bits) {
  using namespace radix;
  const auto data_of = [](const Tensor& t) { return reinterpret_cast<Key*>(t.device_data<int64_t>()); };
  const int64_t tiles = blocks_for(count, tile);
  const Tensor counts = Tensor::empty({digits, tiles}, DType::i32, items.device());
  const Tensor totals = Tensor::empty({digits}, DType::i32, items.device());
  for (; bits > 0; bits -= digit_bits, shift += digit_bits) {
    const Pass<Key> pass{data_of(items),
                         data_of(other),
                         count,
                         shift,
                         bits < digit_bits ? bits : digit_bits,
                         counts.device_data<int32_t>(),
                         totals.device_data<int32_t>(),
                         static_cast<int>(tiles)};
    launch<radix_count_kernel<Key>>({tiles, threads}, pass);
    launch<radix_scan_kernel<Key>>({digits, 32}, pass);
    launch<radix_scatter_kernel<Key>>({tiles, threads}, pass);
    std::swap(items, other);
  }
  return items;
}

}  // namespace atrous::kernels::ATROUS_GPU
