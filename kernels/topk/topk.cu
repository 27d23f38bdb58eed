// The largest values of each segment of each row, in order. Values are dense [rows, A].
//
//   sort     a whole segment is sorted (kernels/common/sort_keys.cu), then cut: any k, but log^2 passes
//   select   block per segment and row: a radix select finds the key of the k-th value, 8 bits per pass over
//            the segment, usually in four; then the k that are not behind it are collected in shared memory
//            and sorted there. Where a key lands before that depends on the schedule, the sorted result does
//            not, since no two keys are equal
#include <vector>

#include "kernels/common/block_sort.cuh"
#include "kernels/common/divide.h"
#include "kernels/common/sort_key.h"
#include "kernels/common/sort_keys.h"
#include "kernels/topk/topk_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int bins = 256;
static_assert(bins == threads);

struct Segment {
  const float* row;  // of values
  uint32_t first, length, count;
  float* values;  // results
  int32_t* indices;

  __device__ uint64_t key(uint32_t i) const { return sort_key(row[first + i], first + i); }
  __device__ void put(uint32_t rank, uint64_t key) const {
    const uint32_t index = index_of(key);
    indices[rank] = static_cast<int32_t>(index);
    values[rank] = row[index];
  }
};

// ---- sort ----

__global__ void __launch_bounds__(threads) keys_kernel(Segment s, int64_t padded, uint64_t* keys) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i < padded) keys[i] = i < s.length ? s.key(static_cast<uint32_t>(i)) : no_key;
}

__global__ void __launch_bounds__(threads) cut_kernel(Segment s, const uint64_t* keys) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i < s.count) s.put(static_cast<uint32_t>(i), keys[i]);
}

// ---- select ----

// take(key, exists) for all keys of the segment, by all threads together. Several loads are on their way at a
// time: one block alone has nothing else to do while it waits.
template <class Take>
__device__ inline void for_each_key(const Segment& s, Take&& take) {
  constexpr uint32_t in_flight = 8;
  for (uint32_t base = 0; base < s.length; base += in_flight * threads) {
    uint64_t keys[in_flight];
    ATROUS_UNROLL
    for (uint32_t u = 0; u < in_flight; ++u) {
      const uint32_t i = base + u * threads + threadIdx.x;
      keys[u] = i < s.length ? s.key(i) : no_key;
    }
    ATROUS_UNROLL
    for (uint32_t u = 0; u < in_flight; ++u) take(keys[u], base + u * threads + threadIdx.x < s.length);
  }
}

// Adds up how many keys of the segment continue `prefix`, whose bits below `shift` + 8 are open, by their
// next 8 bits. Lanes with equal bits add once: scores share their exponents, and their atomics would queue.
__device__ inline void count_bins(const Segment& s, uint64_t prefix, int shift, unsigned* histogram) {
  histogram[threadIdx.x] = 0;
  __syncthreads();
  for_each_key(s, [&](uint64_t key, bool exists) {
    const bool continues = exists && (shift == 56 || (key ^ prefix) >> (shift + 8) == 0);
    const int bin = continues ? static_cast<int>(key >> shift & 0xff) : bins;
    const unsigned same = __match_any_sync(~0u, bin);
    const bool leads = static_cast<int>(threadIdx.x % 32) == __ffs(static_cast<int>(same)) - 1;
    if (continues && leads) atomicAdd(&histogram[bin], static_cast<unsigned>(__popc(same)));
  });
  __syncthreads();
}

// The largest key among the best `count`: exactly `count` keys of the segment are not above it.
__device__ inline uint64_t last_key(const Segment& s) {
  ATROUS_SHARED(unsigned, histogram, [bins]);
  ATROUS_SHARED(int, chosen, [3]);  // bin; how many of it belong to the best; whether these are all
  uint64_t prefix = 0;
  int wanted = static_cast<int>(s.count);
  for (int shift = 56; shift >= 0; shift -= 8) {
    count_bins(s, prefix, shift, histogram);
    int total = 0;
    const int own = static_cast<int>(histogram[threadIdx.x]), before = exclusive_sum(own, total);
    if (before < wanted && wanted <= before + own) {
      chosen[0] = static_cast<int>(threadIdx.x);
      chosen[1] = wanted - before;
      chosen[2] = wanted - before == own;
    }
    __syncthreads();
    prefix |= static_cast<uint64_t>(chosen[0]) << shift;
    wanted = chosen[1];
    // The next pass overwrites only what has been read by then: there are barriers in between.
    if (chosen[2]) return prefix | ((uint64_t{1} << shift) - 1);
  }
  return prefix;
}

// A segment, the same in all rows.
struct SegmentPlace {
  uint32_t first, length, count;
  int64_t at;  // where its results begin in a row of results
};

// Segments of one launch, by value: no table needs to be copied to the device.
struct SegmentTable {
  static constexpr int most = 8;
  SegmentPlace place[most];
  int count = 0;
};

struct RowLayout {
  const float* values;
  float* best;
  int32_t* indices;
  int64_t length, results;  // of a row

  ATROUS_HD Segment segment(int64_t row, const SegmentPlace& p) const {
    const int64_t to = row * results + p.at;
    return {values + row * length, p.first, p.length, p.count, best + to, indices + to};
  }
};

__global__ void __launch_bounds__(threads) select_kernel(RowLayout rows, SegmentTable table) {
  ATROUS_SHARED(uint64_t, keys, [most_selected]);
  ATROUS_SHARED(int, taken, [1]);
  const Division at = divide(blockIdx.x, table.count);
  const Segment s = rows.segment(at.quotient, table.place[at.remainder]);
  int sorted = 1;
  while (sorted < static_cast<int>(s.count)) sorted *= 2;
  for (int i = static_cast<int>(threadIdx.x); i < sorted; i += threads) keys[i] = no_key;
  if (threadIdx.x == 0) taken[0] = 0;
  const uint64_t last = s.count < s.length ? last_key(s) : no_key;
  __syncthreads();  // keys and taken are set
  for_each_key(s, [&](uint64_t key, bool exists) {
    if (exists && key <= last) keys[atomicAdd(&taken[0], 1)] = key;
  });
  bitonic_sort(keys, 0, sorted);
  for (uint32_t i = threadIdx.x; i < s.count; i += threads) s.put(i, keys[i]);
}

// The segments that have results.
std::vector<SegmentPlace> places_of(const TopKProblem& p) {
  std::vector<SegmentPlace> places;
  int64_t first = 0, at = 0;
  for (size_t i = 0; i < p.segments.size(); ++i) {
    const int64_t count = p.count(i);
    if (count > 0)
      places.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(p.segments[i]),
                        static_cast<uint32_t>(count), at});
    first += p.segments[i];
    at += count;
  }
  return places;
}

RowLayout rows_of(const TopKProblem& p, const Tensor& values, const TopKResult& out) {
  return {values.device_data<float>(), out.values.device_data<float>(), out.indices.device_data<int32_t>(),
          values.dim(1), p.total()};
}

}  // namespace

void topk_sort(const TopKProblem& p, const Tensor& values, const TopKResult& out) {
  const RowLayout rows = rows_of(p, values, out);
  for (const SegmentPlace& place : places_of(p)) {
    const int64_t padded = sorted_length(place.length);
    const Tensor keys = Tensor::empty({padded}, DType::i64, values.device());
    auto* data = reinterpret_cast<uint64_t*>(keys.device_data<int64_t>());
    for (int64_t row = 0; row < p.rows; ++row) {
      const Segment s = rows.segment(row, place);
      launch<keys_kernel>({blocks_for(padded, threads), threads}, s, padded, data);
      sort_keys(keys);
      launch<cut_kernel>({blocks_for(place.count, threads), threads}, s, data);
    }
  }
}

void topk_select(const TopKProblem& p, const Tensor& values, const TopKResult& out) {
  const std::vector<SegmentPlace> places = places_of(p);
  for (size_t begin = 0; begin < places.size(); begin += SegmentTable::most) {
    SegmentTable table;
    for (size_t i = begin; i < places.size() && table.count < SegmentTable::most; ++i)
      table.place[table.count++] = places[i];
    launch<select_kernel>({p.rows * table.count, threads}, rows_of(p, values, out), table);
  }
}

}  // namespace atrous::kernels::ATROUS_GPU
