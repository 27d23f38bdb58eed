// The implementations of box_coder; private to this folder. All tensors dense, none empty.
#pragma once

#include "kernels/box_coder/box_coder.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using EncodeFn = void(const BoxCoderProblem&, const Tensor& references, const Tensor& proposals,
                      const Tensor& deltas);
using DecodeFn = void(const BoxCoderProblem&, const Tensor& deltas, const Tensor& boxes,
                      const Tensor& decoded);
using ClipFn = void(const BoxCoderProblem&, const Tensor& boxes, float height, float width,
                    const Tensor& clipped);
using UsableFn = void(const BoxCoderProblem&, const Tensor& boxes, const Tensor& scores,
                      const UsableOptions& options, const Tensor& usable);

EncodeFn encode_boxes_ref, encode_boxes_chunks;
DecodeFn decode_boxes_ref, decode_boxes_chunks;
ClipFn clip_boxes_ref, clip_boxes_chunks;
UsableFn usable_boxes_ref, usable_boxes_chunks;
ATROUS_DECLARE_ON_GPU(EncodeFn encode_boxes_naive; DecodeFn decode_boxes_naive; ClipFn clip_boxes_naive;
                      UsableFn usable_boxes_naive;)

}  // namespace atrous::kernels
