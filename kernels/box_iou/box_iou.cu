// iou[i, j] of boxes a [A, 4] and b [B, 4], both dense, into a dense [A, B].
//
//   naive    thread per pair: 36 bytes of traffic through the caches for 4 that are written
//   staged   a thread keeps box j and its area in registers while it goes down a strip of rows, whose boxes
//            and areas the block holds in shared memory: what remains is writing the result
#include <algorithm>

#include "kernels/box_iou/box_iou_impl.h"
#include "kernels/common/box_math.h"
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 128;
constexpr int strip = 32;  // rows
static_assert(strip <= threads);

__global__ void __launch_bounds__(threads)
    naive_kernel(int64_t count_a, int64_t count_b, const float* a, const float* b, float* iou) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i >= count_a * count_b) return;
  const Division at = divide(i, count_b);
  iou[i] = iou_of(box_at(a, at.quotient), box_at(b, at.remainder));
}

__global__ void __launch_bounds__(threads) staged_kernel(int64_t count_a, int64_t count_b, int64_t strips,
                                                         const float* a, const float* b, float* iou) {
  ATROUS_SHARED(Box, rows, [strip]);
  ATROUS_SHARED(float, areas, [strip]);
  const Division at = divide(blockIdx.x, strips);  // of columns, of rows
  const int64_t first = at.remainder * strip;
  const int count = static_cast<int>(min(int64_t{strip}, count_a - first));
  const int own = static_cast<int>(threadIdx.x);
  if (own < count) {
    rows[own] = box_at(a, first + own);
    areas[own] = area_of(rows[own]);
  }
  __syncthreads();
  const int64_t j = at.quotient * threads + own;
  if (j >= count_b) return;
  const Box box = box_at(b, j);
  const float area = area_of(box);
  for (int i = 0; i < count; ++i) iou[(first + i) * count_b + j] = iou_of(rows[i], areas[i], box, area);
}

}  // namespace

void box_iou_naive(const BoxIouProblem& p, const Tensor& a, const Tensor& b, const Tensor& iou) {
  launch<naive_kernel>({blocks_for(p.a * p.b, threads), threads}, p.a, p.b, a.device_data<float>(),
                       b.device_data<float>(), iou.device_data<float>());
}

void box_iou_staged(const BoxIouProblem& p, const Tensor& a, const Tensor& b, const Tensor& iou) {
  const int64_t strips = blocks_for(p.a, strip);
  launch<staged_kernel>({strips * blocks_for(p.b, threads), threads}, p.a, p.b, strips,
                        a.device_data<float>(), b.device_data<float>(), iou.device_data<float>());
}

}  // namespace atrous::kernels::ATROUS_GPU
