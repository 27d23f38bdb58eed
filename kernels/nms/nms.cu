// Non-maximum suppression per group without the host: two sorts, a block per group, a compaction.
//
//   1. keys (falling score, index) are sorted: the position of a box is its rank
//   2. keys (group, rank) are sorted: each group is a run, best box first
//   3. a block goes through each run and marks the ranks it keeps; the rungs differ in this step
//   4. one block writes the kept boxes in the order of their ranks, cut at the capacity
//
//   naive    the best box left removes all that it overlaps, the threads of the block share them: a barrier
//            for every box
//   tiles    256 boxes at a time. Each is compared with all that were kept before (staged in shared memory),
//            then with those before it in the tile, whose verdicts are bits of eight words; a warp decides
//            its 32 boxes by itself and publishes their word. So a barrier serves 32 boxes, and memory is
//            linear in the number of boxes, where a matrix of bits would be quadratic
#include "kernels/common/block_sort.cuh"
#include "kernels/common/box_math.h"
#include "kernels/common/sort_key.h"
#include "kernels/common/sort_keys.h"
#include "kernels/nms/nms_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int words = threads / 32;

// ---- 1, 2: order ----

__global__ void __launch_bounds__(threads)
    score_keys_kernel(NmsMembers members, int64_t boxes, int64_t padded, const float* scores,
                      uint64_t* keys) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i >= padded) return;
  const bool has = i < boxes && members.has(i);
  keys[i] = has ? sort_key(scores[i], static_cast<uint32_t>(i)) : no_key;
}

__global__ void __launch_bounds__(threads)
    group_keys_kernel(NmsMembers members, int64_t padded, const uint64_t* by_score, uint64_t* keys) {
  const int64_t rank = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (rank >= padded) return;
  const uint64_t key = by_score[rank];
  const auto group = key == no_key ? 0 : static_cast<uint64_t>(members.group(index_of(key)));
  keys[rank] = key == no_key ? no_key : group << 32 | static_cast<uint64_t>(rank);
}

// ---- 3: suppression ----

// The boxes in order, as a block reads them.
struct Sorted {
  const float* boxes;
  const uint64_t* by_score;  // rank to index
  const uint64_t* by_group;  // position to rank
  int64_t padded;
  float threshold;
  int64_t most;  // no group needs to keep more

  __device__ int64_t rank(int64_t position) const { return index_of(by_group[position]); }
  __device__ Box box(int64_t position) const { return box_at(boxes, index_of(by_score[rank(position)])); }
  // The first position whose group is not less.
  __device__ int64_t begin_of(int64_t group) const {
    const uint64_t key = static_cast<uint64_t>(group) << 32;
    int64_t low = 0, high = padded;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      by_group[middle] < key ? low = middle + 1 : high = middle;
    }
    return low;
  }
};

// kept[rank] starts as 0. `removed` has a flag for each position, 0 at first.
__global__ void __launch_bounds__(threads) naive_kernel(Sorted sorted, int32_t* removed, int32_t* kept) {
  // 32 bits: nvcc would spill an index otherwise.
  const auto begin = static_cast<int>(sorted.begin_of(blockIdx.x));
  const auto end = static_cast<int>(sorted.begin_of(int64_t{blockIdx.x} + 1));
  auto left = static_cast<int>(sorted.most);
  for (int i = begin; i < end && left > 0; ++i) {
    __syncthreads();  // the removals of the previous box are visible
    if (removed[i]) continue;
    --left;
    if (threadIdx.x == 0) kept[sorted.rank(i)] = 1;
    const Box best = sorted.box(i);
    const float area = area_of(best);
    for (int j = i + 1 + static_cast<int>(threadIdx.x); j < end; j += threads) {
      const Box box = sorted.box(j);
      if (iou_of(best, area, box, area_of(box)) > sorted.threshold) removed[j] = 1;
    }
  }
}

struct Tile {
  Box box[threads];
  float area[threads];
};

// Boxes that a group keeps, in order.
struct KeptBoxes {
  Box* box;
  float* area;
};

// Whether this thread's box is free of all `count` boxes kept before. Contains barriers.
__device__ inline bool is_free(const Box& box, float area, const KeptBoxes& before, int count,
                               float threshold, Tile& staged) {
  bool free = true;
  for (int first = 0; first < count; first += threads) {
    const int own = first + static_cast<int>(threadIdx.x), here = min(threads, count - first);
    __syncthreads();  // the last ones have been read, and what the last tile kept is written
    if (own < count) {
      staged.box[threadIdx.x] = before.box[own];
      staged.area[threadIdx.x] = before.area[own];
    }
    __syncthreads();
    for (int k = 0; free && k < here; ++k)
      free = !(iou_of(staged.box[k], staged.area[k], box, area) > threshold);
  }
  return free;
}

// Decides a tile: `alive` says whether this thread's box is undecided; the result, whether it is
// kept. `verdicts` becomes a bit for each box of the tile. Contains barriers.
__device__ inline bool settle_tile(const Box& box, float area, bool alive, float threshold, Tile& tile,
                                   unsigned (&verdicts)[words]) {
  const int own = static_cast<int>(threadIdx.x), warp = own / 32, lane = own % 32;
  __syncthreads();  // the tile and the last verdicts have been read
  tile.box[own] = box;
  tile.area[own] = area;
  __syncthreads();
  for (int w = 0; w < words; ++w) {
    // The boxes of word w that come before this one and overlap it.
    unsigned overlap = 0;
    for (int k = 0; alive && w <= warp && k < 32 && w * 32 + k < own; ++k) {
      const bool over = iou_of(tile.box[w * 32 + k], tile.area[w * 32 + k], box, area) > threshold;
      overlap |= static_cast<unsigned>(over) << k;
    }
    if (w == warp) {
      for (int k = 0; k < 32; ++k) {
        const bool best_stays = __shfl_sync(~0u, static_cast<int>(alive), k) != 0;
        if (best_stays && overlap >> k & 1) alive = false;
      }
      const unsigned verdict = __ballot_sync(~0u, alive);
      if (lane == 0) verdicts[w] = verdict;
    }
    __syncthreads();
    if (w < warp && (overlap & verdicts[w])) alive = false;
  }
  return alive;
}

__global__ void __launch_bounds__(threads) tiles_kernel(Sorted sorted, KeptBoxes workspace, int32_t* kept) {
  ATROUS_SHARED(Tile, tile, [1]);
  ATROUS_SHARED(unsigned, verdicts, [words]);
  const int own = static_cast<int>(threadIdx.x);
  const int64_t begin = sorted.begin_of(blockIdx.x), end = sorted.begin_of(int64_t{blockIdx.x} + 1);
  const KeptBoxes of_group{workspace.box + begin, workspace.area + begin};
  int count = 0;
  for (int64_t first = begin; first < end && count < sorted.most; first += threads) {
    const int64_t position = first + own;
    const bool exists = position < end;
    const Box box = exists ? sorted.box(position) : Box{};
    const float area = area_of(box);
    const bool free = is_free(box, area, of_group, count, sorted.threshold, tile[0]) && exists;
    const bool stays = settle_tile(box, area, free, sorted.threshold, tile[0], verdicts);
    int before = 0;
    for (int w = 0; w < words; ++w) {
      const unsigned mask = w < own / 32 ? ~0u : w == own / 32 ? (1u << own % 32) - 1 : 0;
      before += __popc(verdicts[w] & mask);
    }
    if (stays) {
      kept[sorted.rank(position)] = 1;
      of_group.box[count + before] = box;
      of_group.area[count + before] = area;
    }
    for (int w = 0; w < words; ++w) count += __popc(verdicts[w]);
  }
}

// ---- 4: result ----

__global__ void __launch_bounds__(threads)
    collect_kernel(const uint64_t* by_score, const int32_t* kept, int64_t padded, int64_t capacity,
                   int32_t* indices, int32_t* result_count) {
  int64_t count = 0;
  for (int64_t first = 0; first < padded && count < capacity; first += threads) {
    const int64_t rank = first + threadIdx.x;
    const int own = rank < padded ? kept[rank] : 0;
    int total = 0;
    const int64_t to = count + exclusive_sum(own, total);
    if (own && to < capacity) indices[to] = static_cast<int32_t>(index_of(by_score[rank]));
    count += total;
  }
  if (count > capacity) count = capacity;
  if (threadIdx.x == 0) *result_count = static_cast<int32_t>(count);
  for (int64_t i = count + threadIdx.x; i < capacity; i += threads) indices[i] = -1;
}

// f(sorted, kept, groups) marks the ranks to keep.
template <class F>
void suppress(const NmsProblem& p, const NmsInput& in, const NmsResult& out, F&& f) {
  const Device device = in.boxes.device();
  const NmsMembers members(p, in);
  const int64_t padded = sorted_length(p.boxes);
  const LaunchShape shape{blocks_for(padded, threads), threads};
  const auto data_of = [](const Tensor& t) { return reinterpret_cast<uint64_t*>(t.device_data<int64_t>()); };
  const Tensor by_score = Tensor::empty({padded}, DType::i64, device);
  const Tensor by_group = Tensor::empty({padded}, DType::i64, device);
  launch<score_keys_kernel>(shape, members, p.boxes, padded, in.scores.device_data<float>(),
                            data_of(by_score));
  sort_keys(by_score);
  launch<group_keys_kernel>(shape, members, padded, data_of(by_score), data_of(by_group));
  if (p.options.groups > 1) sort_keys(by_group);
  const Tensor kept = Tensor::zeros({padded}, DType::i32, device);
  f(Sorted{in.boxes.device_data<float>(), data_of(by_score), data_of(by_group), padded,
           rounded_down(p.options.iou_threshold), p.capacity()},
    kept.device_data<int32_t>());
  launch<collect_kernel>({1, threads}, data_of(by_score), kept.device_data<int32_t>(), padded, p.capacity(),
                         out.indices.device_data<int32_t>(), out.count.device_data<int32_t>());
}

}  // namespace

void nms_naive(const NmsProblem& p, const NmsInput& in, const NmsResult& out) {
  suppress(p, in, out, [&](const Sorted& sorted, int32_t* kept) {
    const Tensor removed = Tensor::zeros({sorted.padded}, DType::i32, in.boxes.device());
    launch<naive_kernel>({p.options.groups, threads}, sorted, removed.device_data<int32_t>(), kept);
  });
}

void nms_tiles(const NmsProblem& p, const NmsInput& in, const NmsResult& out) {
  suppress(p, in, out, [&](const Sorted& sorted, int32_t* kept) {
    const Tensor box = Tensor::empty({p.boxes, 4}, DType::f32, in.boxes.device());
    const Tensor area = Tensor::empty({p.boxes}, DType::f32, in.boxes.device());
    launch<tiles_kernel>(
        {p.options.groups, threads}, sorted,
        KeptBoxes{reinterpret_cast<Box*>(box.device_data<float>()), area.device_data<float>()}, kept);
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
