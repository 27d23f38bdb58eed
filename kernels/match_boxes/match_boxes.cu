// Matches of boxes [A, 4] with truths [G, 4]. Two passes over all pairs: the first finds the best overlap of
// each truth (only if low-quality matches are allowed), the second decides, a thread per box.
//
//   naive    pairs straight from global memory; every box that overlaps a truth at all takes part in an
//            atomic maximum there
//   staged   truths, their areas and best overlaps in shared memory, a tile of them at a time; a block sends
//            one maximum per truth
//
// A maximum of integers is the same in any order, so both are bit-identical on every run.
#include "kernels/gpu/gpu.h"
#include "kernels/match_boxes/match_boxes_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 128;
constexpr int tile = 128;  // truths
static_assert(tile == threads);

// The state of a box so far.
struct BoxMatch {
  int32_t best = -1, index = 0;
  bool low_quality = false;
  __device__ void take(int32_t overlap, int32_t truth, int32_t best_of_truth) {
    low_quality |= overlap == best_of_truth;
    if (overlap <= best) return;
    best = overlap;
    index = truth;
  }
};

__device__ inline int64_t own_box() {
  return int64_t{blockIdx.x} * threads + threadIdx.x;
}

// ---- naive ----

__global__ void __launch_bounds__(threads)
    naive_best_kernel(int truths, int64_t boxes, const float* g, const float* a, int32_t* best) {
  const int64_t own = own_box();
  if (own >= boxes) return;
  const Box box = box_at(a, own);
  for (int t = 0; t < truths; ++t) {
    const int32_t overlap = overlap_bits(iou_of(box_at(g, t), box));
    if (overlap > 0) atomicMax(best + t, overlap);
  }
}

__global__ void __launch_bounds__(threads)
    naive_match_kernel(int truths, int64_t boxes, MatchThresholds thresholds, const float* g, const float* a,
                       const int32_t* best, int32_t* matches) {
  const int64_t own = own_box();
  if (own >= boxes) return;
  const Box box = box_at(a, own);
  BoxMatch match;
  for (int t = 0; t < truths; ++t) match.take(overlap_bits(iou_of(box_at(g, t), box)), t, best[t]);
  matches[own] = thresholds.match(match.best, match.index, match.low_quality);
}

// ---- staged ----

struct Truths {
  Box box[tile];
  float area[tile];
  int32_t best[tile];
};

// Truths from `first` on, with their best[], or 0: thread i writes truth i. Ends in a barrier.
__device__ inline int load_tile(Truths& t, const float* g, const int32_t* best, int first, int truths) {
  const int count = min(tile, truths - first), own = static_cast<int>(threadIdx.x);
  if (own < count) {
    t.box[own] = box_at(g, first + own);
    t.area[own] = area_of(t.box[own]);
    t.best[own] = best ? best[first + own] : 0;
  }
  __syncthreads();
  return count;
}

__global__ void __launch_bounds__(threads)
    staged_best_kernel(int truths, int64_t boxes, const float* g, const float* a, int32_t* best) {
  ATROUS_SHARED(Truths, t, [1]);
  const int64_t own = own_box();
  const bool exists = own < boxes;
  const Box box = exists ? box_at(a, own) : Box{};
  const float area = area_of(box);
  for (int first = 0; first < truths; first += tile) {
    const int count = load_tile(t[0], g, nullptr, first, truths);
    for (int i = 0; exists && i < count; ++i) {
      const int32_t overlap = overlap_bits(iou_of(t[0].box[i], t[0].area[i], box, area));
      if (overlap > 0) atomicMax(&t[0].best[i], overlap);
    }
    __syncthreads();  // the tile has been read, and its best are found
    const int i = static_cast<int>(threadIdx.x);
    if (i < count && t[0].best[i] > 0) atomicMax(best + first + i, t[0].best[i]);
  }
}

__global__ void __launch_bounds__(threads)
    staged_match_kernel(int truths, int64_t boxes, MatchThresholds thresholds, const float* g, const float* a,
                        const int32_t* best, int32_t* matches) {
  ATROUS_SHARED(Truths, t, [1]);
  const int64_t own = own_box();
  const bool exists = own < boxes;
  const Box box = exists ? box_at(a, own) : Box{};
  const float area = area_of(box);
  BoxMatch match;
  for (int first = 0; first < truths; first += tile) {
    const int count = load_tile(t[0], g, best, first, truths);
    for (int i = 0; exists && i < count; ++i)
      match.take(overlap_bits(iou_of(t[0].box[i], t[0].area[i], box, area)), first + i, t[0].best[i]);
    __syncthreads();  // the tile has been read
  }
  if (exists) matches[own] = thresholds.match(match.best, match.index, match.low_quality);
}

template <auto BestKernel, auto MatchKernel>
void match(const MatchProblem& p, const Tensor& truths, const Tensor& boxes, const Tensor& matches) {
  const auto count = static_cast<int>(p.truths);
  const LaunchShape shape{blocks_for(p.boxes, threads), threads};
  const auto *g = truths.device_data<float>(), *a = boxes.device_data<float>();
  // -1 equals no overlap.
  const Tensor best =
      Tensor::full({p.truths}, p.options.allow_low_quality ? 0 : -1, DType::i32, boxes.device());
  if (p.options.allow_low_quality)
    launch<BestKernel>(shape, count, p.boxes, g, a, best.device_data<int32_t>());
  launch<MatchKernel>(shape, count, p.boxes, MatchThresholds(p.options), g, a, best.device_data<int32_t>(),
                      matches.device_data<int32_t>());
}

}  // namespace

void match_boxes_naive(const MatchProblem& p, const Tensor& truths, const Tensor& boxes,
                       const Tensor& matches) {
  match<naive_best_kernel, naive_match_kernel>(p, truths, boxes, matches);
}

void match_boxes_staged(const MatchProblem& p, const Tensor& truths, const Tensor& boxes,
                        const Tensor& matches) {
  match<staged_best_kernel, staged_match_kernel>(p, truths, boxes, matches);
}

}  // namespace atrous::kernels::ATROUS_GPU
