// Box deltas, decoding, clipping and a mask of usable boxes (formulas: box_coder_math.h), all dense.
//
//   naive    thread per box; a warp reads and writes whole cache lines in four turns.
//            A few thousand boxes take less time
//            than the launch
#include "kernels/box_coder/box_coder_impl.h"
#include "kernels/box_coder/box_coder_math.h"
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 128;

__device__ inline int64_t own_box() {
  return int64_t{blockIdx.x} * threads + threadIdx.x;
}

__global__ void __launch_bounds__(threads)
    encode_kernel(int64_t count, CoderWeights weights, const float* references, const float* proposals,
                  float* deltas) {
  const int64_t i = own_box();
  if (i < count) store_box(deltas, i, encoded(box_at(references, i), box_at(proposals, i), weights));
}

__global__ void __launch_bounds__(threads)
    decode_kernel(int64_t count, int64_t classes, CoderWeights weights, const float* deltas,
                  const float* boxes, float* result) {
  const int64_t i = own_box();
  if (i < count)
    store_box(result, i, decoded(box_at(deltas, i), box_at(boxes, divide(i, classes).quotient), weights));
}

__global__ void __launch_bounds__(threads)
    clip_kernel(int64_t count, const float* boxes, float height, float width, float* result) {
  const int64_t i = own_box();
  if (i < count) store_box(result, i, clipped(box_at(boxes, i), height, width));
}

__global__ void __launch_bounds__(threads)
    usable_kernel(int64_t count, UsableRule rule, const float* boxes, const float* scores, uint8_t* usable) {
  const int64_t i = own_box();
  if (i < count) usable[i] = rule(box_at(boxes, i)) && (!scores || rule(scores[i]));
}

LaunchShape shape_for(int64_t boxes) {
  return {blocks_for(boxes, threads), threads};
}

}  // namespace

void encode_boxes_naive(const BoxCoderProblem& p, const Tensor& references, const Tensor& proposals,
                        const Tensor& deltas) {
  launch<encode_kernel>(shape_for(p.boxes), p.boxes, CoderWeights(p.options), references.device_data<float>(),
                        proposals.device_data<float>(), deltas.device_data<float>());
}

void decode_boxes_naive(const BoxCoderProblem& p, const Tensor& deltas, const Tensor& boxes,
                        const Tensor& decoded) {
  const int64_t count = p.boxes * p.classes;
  launch<decode_kernel>(shape_for(count), count, p.classes, CoderWeights(p.options),
                        deltas.device_data<float>(), boxes.device_data<float>(),
                        decoded.device_data<float>());
}

void clip_boxes_naive(const BoxCoderProblem& p, const Tensor& boxes, float height, float width,
                      const Tensor& clipped) {
  launch<clip_kernel>(shape_for(p.boxes), p.boxes, boxes.device_data<float>(), height, width,
                      clipped.device_data<float>());
}

void usable_boxes_naive(const BoxCoderProblem& p, const Tensor& boxes, const Tensor& scores,
                        const UsableOptions& options, const Tensor& usable) {
  const float* given = scores.defined() ? scores.device_data<float>() : nullptr;
  launch<usable_kernel>(shape_for(p.boxes), p.boxes, UsableRule(options), boxes.device_data<float>(), given,
                        usable.device_data<uint8_t>());
}

}  // namespace atrous::kernels::ATROUS_GPU
